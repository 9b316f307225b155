"""The payload, against what the header says of it."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from layer.errors import PackageRefused
from layer.rpmfile.header import read_header
from layer.rpmfile.payload import read_payload
from testdata.distro import rpmwriter
from testdata.distro.cpio import Member, pack_cpio
from testdata.distro.rpmspec import FileSpec, RpmSpec
from testdata.distro.rpmwriter import write_rpm

SPEC = RpmSpec(
    "tool",
    files=(
        FileSpec("/usr/bin/one", b"linked" * 9, mode=0o755),
        FileSpec.hardlink("/usr/bin/two", "/usr/bin/one"),
        FileSpec.hardlink("/usr/bin/six", "/usr/bin/one"),
        FileSpec("/usr/lib/empty", b""),
        FileSpec.hardlink("/usr/lib/void", "/usr/lib/empty"),
        FileSpec("/usr/lib/a", b"a"),
        FileSpec("/usr/lib/\udcff", b"bytes"),
        FileSpec.directory("/usr/lib/d"),
        FileSpec.symlink("/usr/lib/l", "\udcfe"),
        FileSpec("/var/log/ghost", b"", ghost=True),
    ),
)
CONTENT = {
    ("/usr/bin/one", "/usr/bin/six", "/usr/bin/two"): b"linked" * 9,
    ("/usr/lib/a",): b"a",
    ("/usr/lib/d",): b"",
    ("/usr/lib/empty", "/usr/lib/void"): b"",
    ("/usr/lib/l",): b"",
    ("/usr/lib/\udcff",): b"bytes",
}


def content_of(path: Path, *, check_digest: bool = True) -> dict[tuple[str, ...], bytes]:
    header = read_header(path)
    if not check_digest:
        header = replace(header, payload_digests=())
    return {
        tuple(entry.path for entry in file.files): b"".join(file.chunks)
        for file in read_payload(path, header)
    }


def refusal(path: Path) -> str:
    with pytest.raises(PackageRefused) as caught:
        content_of(path)
    assert caught.value.message.isprintable()
    return caught.value.message


def write(tmp_path: Path, *files: FileSpec) -> Path:
    return write_rpm(RpmSpec("tool", files=files), tmp_path, compression="none")


def write_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bytes, spec: RpmSpec = SPEC
) -> Path:
    """An RPM whose digests are right and whose payload is these very bytes."""
    monkeypatch.setattr(rpmwriter, "pack_cpio", lambda _: archive)
    return write_rpm(spec, tmp_path, compression="none")


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_each_file_comes_once_with_all_its_names(
    tmp_path: Path, compression: rpmwriter.Compression
) -> None:
    assert content_of(write_rpm(SPEC, tmp_path, compression=compression)) == CONTENT


@pytest.mark.parametrize(
    "payload", ["w9.gzdio", "w9.bzdio", "w1.xzdio", "w1.lzdio", "w3.zstdio", "w.ufdio"]
)
def test_what_rpmbuild_compresses_is_read(tmp_path: Path, payload: str) -> None:
    if shutil.which("rpmbuild") is None:
        pytest.skip("rpmbuild is not installed")
    spec = tmp_path / "x.spec"
    spec.write_text(
        "Name: x\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n"
        "%description\n%install\nmkdir -p %{buildroot}/usr/share\n"
        "seq 9999 > %{buildroot}/usr/share/x\nln %{buildroot}/usr/share/x %{buildroot}/usr/share/y"
        "\n%files\n/usr/share/x\n/usr/share/y\n"
    )
    definitions = {"_topdir": tmp_path, "_rpmdir": tmp_path, "_binary_payload": payload}
    options = [f"--define={name} {value}" for name, value in definitions.items()]
    subprocess.run(["rpmbuild", "-bb", "--quiet", *options, spec], check=True, capture_output=True)
    numbers = "".join(f"{n}\n" for n in range(1, 10000)).encode()
    (path,) = tmp_path.glob("noarch/*.rpm")
    assert content_of(path) == {("/usr/share/x", "/usr/share/y"): numbers}


def stripped(spec: RpmSpec) -> bytes:
    """The archive as rpm writes it for files of more than 4 GiB (lib/cpio.c)."""
    files = rpmwriter.resolve_hardlinks(spec.files)
    archive = bytearray()
    for index, file in enumerate(files):
        if file.ghost:
            continue
        archive += b"07070X%08x\0\0" % index
        names = [n for n, other in enumerate(files) if other.content == file.content]
        if file.target:
            archive += file.target.encode("utf-8", "surrogateescape")
        elif index == names[-1]:
            archive += file.content
        archive += bytes(-len(archive) % 4)
    return bytes(archive) + pack_cpio([])


def test_archive_without_names_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert content_of(write_archive(tmp_path, monkeypatch, stripped(SPEC))) == CONTENT


def test_large_file_comes_in_small_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096 * 5
    path = write(tmp_path, FileSpec("/usr/large", content))
    (file,) = read_payload(path, read_header(path))
    # Taken after the walk has gone on: it has been checked, and nothing is left.
    assert list(file.chunks) == []
    for file in read_payload(path, read_header(path)):
        chunks = list(file.chunks)
        assert max(map(len, chunks)) <= 1 << 20
        assert b"".join(chunks) == content


def test_content_that_nobody_reads_is_checked_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, FileSpec("/usr/a", b"a", digest="0" * 64), FileSpec("/usr/b", b"b"))
    with pytest.raises(PackageRefused, match=r"/usr/a: the digest of its content is wrong"):
        list(read_payload(path, read_header(path)))


@pytest.mark.parametrize(
    ("file", "fact"),
    [
        (FileSpec("/usr/x", digest="0" * 64), "the digest of its content is wrong"),
        (FileSpec("/usr/x", digest=""), "the header has no digest of it"),
        (
            FileSpec("/usr/x", in_header=False),
            "the payload holds it, the header does not list it",
        ),
        (FileSpec("/usr/x", in_payload=False), "the header lists it, the payload lacks it"),
        (FileSpec("/usr/x", kind=stat.S_IFIFO), "is a device, FIFO or socket"),
    ],
)
def test_payload_and_header_must_agree(tmp_path: Path, file: FileSpec, fact: str) -> None:
    path = write(tmp_path, FileSpec("/usr/a", b"a"), file)
    assert refusal(path).endswith(f"x: {fact}")
    assert refusal(path).startswith("tool-1-1.x86_64: ")


REGULAR = stat.S_IFREG | 0o644
FILE = FileSpec("/usr/x", b"content")


@pytest.mark.parametrize(
    ("members", "fact"),
    [
        (
            [Member(b"./usr/x", stat.S_IFDIR | 0o755, b"", 1, 1, 0)],
            "/usr/x: payload and header disagree on its type",
        ),
        (
            [Member(b"./usr/x", REGULAR, b"conten", 1, 1, 0)],
            "/usr/x: payload and header disagree on its size",
        ),
        (
            [Member(b"./usr/x", REGULAR, b"CONTENT", 1, 1, 0)],
            "/usr/x: the digest of its content is wrong",
        ),
        (
            [Member(b"./usr/x", REGULAR, b"content", 1, 1, 0)] * 2,
            "/usr/x: the payload holds it twice",
        ),
        (
            [Member(b"./usr/../x", REGULAR, b"content", 1, 1, 0)],
            "./usr/../x: the payload holds it, the header does not list it",
        ),
        ([], "/usr/x: the header lists it, the payload lacks it"),
    ],
)
def test_archive_that_lies_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[Member], fact: str
) -> None:
    spec = RpmSpec("tool", files=(FILE,))
    path = write_archive(tmp_path, monkeypatch, pack_cpio(members), spec)
    assert refusal(path) == f"tool-1-1.x86_64: {fact}"


@pytest.mark.parametrize(
    ("archive", "fact"),
    [
        (b"", "it ends too early"),
        (b"070701" + b"0" * 50, "it ends too early"),
        (b"garbage" * 50, "b'garbag' is not the beginning of an entry"),
        (b"070701" + b"-" * 104, "b'--------' is not a number"),
        (b"070701" + b"f" * 104, "a name of 4294967295 bytes"),
        (b"07070X" + b"f" * 8 + bytes(2), None),
        (pack_cpio([]) + b"more", "something follows its end"),
    ],
)
def test_archive_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bytes, fact: str | None
) -> None:
    path = write_archive(tmp_path, monkeypatch, archive, RpmSpec("tool"))
    said = "its payload is damaged: " + (fact or "")
    if fact is None:
        said = "the payload holds file number 4294967295, which the header does not list"
    assert refusal(path) == f"tool-1-1.x86_64: {said}"


def test_hardlinks_with_other_attributes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = read_header(write_rpm(SPEC, tmp_path))
    files = tuple(
        replace(file, mode=file.mode | 0o4000) if file.path == "/usr/bin/two" else file
        for file in header.files
    )
    with pytest.raises(PackageRefused, match="/usr/bin/two: differs from its hardlink"):
        list(read_payload(tmp_path / SPEC.filename, replace(header, files=files)))


def test_another_packages_header_is_refused(tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    other = read_header(write_rpm(RpmSpec("other"), tmp_path))
    with pytest.raises(PackageRefused, match="does not begin with the header of other-1-1"):
        list(read_payload(path, other))


def test_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    header = replace(read_header(path), payload_codec="rot13")
    with pytest.raises(PackageRefused, match="payload compression rot13 is unknown"):
        list(read_payload(path, header))


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_damaged_package_is_refused_wherever_the_damage_is(
    tmp_path: Path, compression: rpmwriter.Compression
) -> None:
    path = write_rpm(SPEC, tmp_path, compression=compression)
    good = path.read_bytes()
    start = len(read_header(path).blob)
    damaged = [good[:length] for length in range(0, len(good), 31)]
    for position in range(start, len(good), 3):
        flipped = bytearray(good)
        flipped[position] ^= 0x40
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(PackageRefused):
            content_of(path)
        # Without a digest of the payload every file still stands for itself.
        try:
            found = content_of(path, check_digest=False)
        except PackageRefused:
            continue
        assert found == CONTENT


def test_digest_of_another_algorithm_is_checked(tmp_path: Path) -> None:
    path = write(tmp_path, FileSpec("/usr/x", b"x", digest=hashlib.md5(b"x").hexdigest()))
    header = replace(read_header(path), digest_algorithm="md5")
    assert [b"".join(file.chunks) for file in read_payload(path, header)] == [b"x"]
