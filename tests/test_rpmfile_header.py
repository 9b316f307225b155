"""What an RPM says of itself."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from layer.errors import NotFound, PackageRefused
from layer.model import Nevra, PackageFile, PackageHeader, Scriptlet
from layer.rpmfile.header import parse_header, read_header
from testdata.distro import rpmspec, rpmwriter
from testdata.distro.rpmheader import Region, Tag, Value, encode_header
from testdata.distro.rpmspec import BUILD_TIME, FileSpec, RpmSpec
from testdata.distro.rpmwriter import encode_rpm, write_rpm

SPEC = RpmSpec(
    "tool",
    "1.0~rc1",
    "2.x",
    epoch=3,
    provides=("virtual = 4", "other"),
    files=(
        FileSpec("/etc/tool.conf", b"a=b\n", config=True, user="tool", group="games"),
        FileSpec("/usr/bin/ping", b"ping", mode=0o4755, capabilities="cap_net_raw=ep"),
        FileSpec("/usr/bin/one", b"linked"),
        FileSpec.hardlink("/usr/bin/two", "/usr/bin/one"),
        FileSpec.symlink("/usr/bin/sym", "one"),
        FileSpec("/usr/share/doc/\udcff", b"", doc=True),
        FileSpec.directory("/var/lib/tool", 0o2770, "tool", "tool"),
        FileSpec("/var/log/tool.log", ghost=True, mode=0o600),
    ),
    scriptlets=(
        rpmspec.Scriptlet("pre", "echo pre"),
        rpmspec.Scriptlet("post", "", "/sbin/ldconfig"),
        rpmspec.Scriptlet("preun", "echo preun", "/bin/sh -e"),
        rpmspec.Scriptlet("postun", "echo postun"),
        rpmspec.Scriptlet("pretrans", "print(1)", "<lua>"),
        rpmspec.Scriptlet("posttrans", "echo posttrans"),
        rpmspec.Scriptlet("verify", "echo verify"),
    ),
    file_triggers=(rpmspec.FileTrigger(("/usr/lib", "/usr/share"), "echo trigger"),),
)


def header_of(tmp_path: Path, spec: RpmSpec = SPEC) -> PackageHeader:
    return read_header(write_rpm(spec, tmp_path))


def test_every_field_is_read(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    assert header.nevra == Nevra("tool", 3, "1.0~rc1", "2.x", "x86_64")
    assert set(header.provides) >= {"virtual = 4", "other", "tool = 3:1.0~rc1-2.x"}
    assert header.scriptlets == (
        Scriptlet("pretrans", "<lua>", "print(1)"),
        Scriptlet("pre", "/bin/sh", "echo pre"),
        Scriptlet("post", "/sbin/ldconfig", ""),
        Scriptlet("preun", "/bin/sh -e", "echo preun"),
        Scriptlet("postun", "/bin/sh", "echo postun"),
        Scriptlet("posttrans", "/bin/sh", "echo posttrans"),
        Scriptlet("verify", "/bin/sh", "echo verify"),
        Scriptlet("transfiletriggerin", "/bin/sh", "echo trigger", ("/usr/lib", "/usr/share")),
    )
    assert header.digest_algorithm == "sha256"
    assert header.payload_codec == "zstd"
    assert [(name, len(digest)) for name, digest in header.payload_digests] == [("sha256", 64)]
    assert header.build_time == BUILD_TIME
    assert header.installed_size > 0


def test_files_are_read_as_the_header_has_them(tmp_path: Path) -> None:
    files = {file.path: file for file in header_of(tmp_path).files}
    assert files["/usr/bin/ping"] == PackageFile(
        path="/usr/bin/ping",
        mode=stat.S_IFREG | 0o4755,
        user="root",
        group="root",
        size=4,
        mtime=BUILD_TIME,
        digest=hashlib.sha256(b"ping").hexdigest(),
        capabilities="cap_net_raw=ep",
    )
    assert (files["/etc/tool.conf"].is_config, files["/etc/tool.conf"].user) == (True, "tool")
    assert files["/etc/tool.conf"].group == "games"
    assert files["/usr/bin/sym"].link_to == "one"
    assert stat.S_ISLNK(files["/usr/bin/sym"].mode)
    assert files["/usr/bin/one"].link_group == files["/usr/bin/two"].link_group != 0
    assert files["/usr/bin/ping"].link_group == 0
    assert files["/usr/share/doc/\udcff"].is_doc
    assert files["/var/lib/tool"].mode == stat.S_IFDIR | 0o2770
    assert files["/var/log/tool.log"].is_ghost


def test_blob_is_the_beginning_and_reads_as_a_package(tmp_path: Path) -> None:
    path = write_rpm(SPEC, tmp_path)
    header = read_header(path)
    assert path.read_bytes().startswith(header.blob)
    assert len(header.blob) < path.stat().st_size
    alone = tmp_path / "blob"
    alone.write_bytes(header.blob)
    assert read_header(alone) == header == parse_header(header.blob, "it")


def test_package_without_files_is_read(tmp_path: Path) -> None:
    header = header_of(tmp_path, RpmSpec("empty", arch="noarch"))
    assert (header.files, header.scriptlets, header.nevra.arch) == ((), (), "noarch")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "is not an RPM package"),
        (b"<html>captive portal</html>" * 99, "is not an RPM package"),
        (b"\xed\xab\xee\xdb" + bytes(500), "is damaged or cut short"),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes, fact: str) -> None:
    path = tmp_path / "x.rpm"
    path.write_bytes(content)
    with pytest.raises(PackageRefused) as caught:
        read_header(path)
    assert caught.value.message.startswith(f"{path} {fact}")


def test_directory_and_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="is not a file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(PackageRefused, match="is not a file"):
        read_header(tmp_path / "fifo")
    with pytest.raises(NotFound, match="No such file"):
        read_header(tmp_path / "missing")


def test_truncated_header_is_refused_at_every_length(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    blob = header_of(tmp_path).blob
    for length in range(0, len(blob), 5):
        with pytest.raises(PackageRefused):
            parse_header(blob[:length], "cut")
    assert capfd.readouterr().err == ""


def test_flipped_byte_of_the_header_is_refused(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    start = header.blob.rindex(b"\x8e\xad\xe8\x01")  # behind lead and signature
    for position in range(start, len(header.blob), 5):
        damaged = bytearray(header.blob)
        damaged[position] ^= 0x10
        with pytest.raises(PackageRefused):
            parse_header(bytes(damaged), "flipped")


def test_flipped_byte_before_the_header_changes_nothing_or_is_refused(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    for position in range(0, header.blob.rindex(b"\x8e\xad\xe8\x01"), 3):
        damaged = bytearray(header.blob)
        damaged[position] ^= 0x10
        try:
            found = parse_header(bytes(damaged), "flipped")
        except PackageRefused:
            continue
        assert replace(found, blob=b"") == replace(header, blob=b"")


@pytest.mark.parametrize("name", ["a/b", "a b", "../x", "a\nb", "\udcff"])
def test_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    blob = encode_rpm(RpmSpec(name))
    with pytest.raises(PackageRefused) as caught:
        parse_header(blob, "hostile")
    assert caught.value.message.startswith("hostile: its header makes no sense: ")
    assert caught.value.message.isprintable()


def test_header_that_was_made_to_break_rpm_is_refused_or_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its digests are right, so nothing but our own care stands between it and rpm's library."""
    encode = encode_header
    position = 0

    def hostile(tags: dict[Tag, Value], region: Region) -> bytes:
        data = bytearray(encode(tags, region))
        if region is Region.IMMUTABLE:
            data[position % len(data)] ^= 0x81
        return bytes(data)

    monkeypatch.setattr(rpmwriter, "encode_header", hostile)
    outcomes = set()
    for position in range(16, 2400, 3):  # noqa: B007 - hostile() reads it
        try:
            parse_header(encode_rpm(SPEC, compression="none"), "hostile")
            outcomes.add("read")
        except PackageRefused as error:
            assert error.message.isprintable()
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
