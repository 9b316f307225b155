"""The writer's packages as rpm and createrepo_c see them."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import rpm

from testdata.distro.rpmspec import FileSpec, FileTrigger, RpmSpec, Scriptlet
from testdata.distro.rpmwriter import Compression, encode_rpm, write_rpm
from testdata.distro.tiny import tiny_repository, tiny_rpm

FULL = RpmSpec(
    "full",
    "2.0~rc1^git",
    "3",
    7,
    summary="Everything at once",
    requires=("libc6 >= 2.36", "/bin/sh", "(a or b >= 2)"),
    pre_requires=("early = 1:2-3",),
    provides=("virtual = 5",),
    conflicts=("foe < 3",),
    obsoletes=("former < 2",),
    recommends=("friend",),
    files=(
        FileSpec("/etc/full.conf", b"x=1\n", config=True),
        FileSpec("/usr/bin/full", b"#!/bin/sh\n", 0o4755),
        FileSpec("/usr/bin/full-ping", b"ping", 0o755, capabilities="cap_net_raw=ep"),
        FileSpec("/usr/bin/full-send", b"send", 0o2755, "root", "mail"),
        FileSpec("/usr/share/doc/full/README", b"read", doc=True),
        FileSpec.directory("/var/lib/full", 0o750, "full", "full"),
        FileSpec("/var/log/full.log", ghost=True),
        FileSpec.symlink("/usr/lib/full/relative", "../../bin/full"),
        FileSpec("/usr/lib/full/data", b"shared", 0o640),
        FileSpec.hardlink("/usr/lib/again", "/usr/share/full/again"),
        FileSpec.hardlink("/usr/share/full/again", "/usr/lib/full/data"),
        FileSpec("/usr/share/caf\udce9", b"not UTF-8"),
    ),
    scriptlets=(
        Scriptlet("pre", "true\n", "/bin/sh -e"),
        Scriptlet("post", "echo done\n"),
        Scriptlet("posttrans", "x = 1", "<lua>"),
    ),
    file_triggers=(FileTrigger(("/usr/share/icons", "/usr/share/mime"), "refresh\n"),),
)


def read_header(path: Path) -> rpm.hdr:
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES)
    with path.open("rb") as stream:
        return transaction.hdrFromFdno(stream.fileno())


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_rpm_finds_every_digest_right(tmp_path: Path, compression: Compression) -> None:
    path = write_rpm(FULL, tmp_path, compression=compression)
    checked = subprocess.run(
        ["rpm", "-K", "--nosignature", path], capture_output=True, text=True, check=True
    )
    assert checked.stdout == f"{path}: digests OK\n"


def test_package_without_files_is_accepted(tmp_path: Path) -> None:
    path = write_rpm(tiny_rpm("empty"), tmp_path)
    subprocess.run(["rpm", "-K", "--nosignature", path], stdout=subprocess.DEVNULL, check=True)
    assert list(rpm.files(read_header(path))) == []


def test_rpm_finds_a_flipped_byte(tmp_path: Path) -> None:
    path = write_rpm(FULL, tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    checked = subprocess.run(["rpm", "-K", "--nosignature", path], capture_output=True)
    assert checked.returncode == 1


def test_same_spec_gives_same_bytes() -> None:
    assert encode_rpm(FULL) == encode_rpm(FULL)


def test_order_of_files_does_not_matter() -> None:
    specs = [tiny_rpm("order", *files) for files in (["/usr/a", "/usr/b"], ["/usr/b", "/usr/a"])]
    assert encode_rpm(specs[0]) == encode_rpm(specs[1])


def test_attributes_read_back(tmp_path: Path) -> None:
    found = {
        file.name: (stat.filemode(file.mode), file.user, file.group, file.caps, file.fflags)
        for file in rpm.files(read_header(write_rpm(FULL, tmp_path)))
    }
    noreplace = rpm.RPMFILE_CONFIG | rpm.RPMFILE_NOREPLACE
    assert found == {
        "/etc/full.conf": ("-rw-r--r--", "root", "root", "", noreplace),
        "/usr/bin/full": ("-rwsr-xr-x", "root", "root", "", 0),
        "/usr/bin/full-ping": ("-rwxr-xr-x", "root", "root", "cap_net_raw=ep", 0),
        "/usr/bin/full-send": ("-rwxr-sr-x", "root", "mail", "", 0),
        "/usr/lib/again": ("-rw-r-----", "root", "root", "", 0),
        "/usr/lib/full/data": ("-rw-r-----", "root", "root", "", 0),
        "/usr/lib/full/relative": ("lrwxrwxrwx", "root", "root", "", 0),
        "/usr/share/caf\udce9": ("-rw-r--r--", "root", "root", "", 0),
        "/usr/share/doc/full/README": ("-rw-r--r--", "root", "root", "", rpm.RPMFILE_DOC),
        "/usr/share/full/again": ("-rw-r-----", "root", "root", "", 0),
        "/var/lib/full": ("drwxr-x---", "full", "full", "", 0),
        "/var/log/full.log": ("-rw-r--r--", "root", "root", "", rpm.RPMFILE_GHOST),
    }


def test_hardlinks_share_an_inode_and_one_content(tmp_path: Path) -> None:
    path = write_rpm(FULL, tmp_path)
    files = {file.name: file for file in rpm.files(read_header(path))}
    names = ["/usr/lib/again", "/usr/lib/full/data", "/usr/share/full/again"]
    assert {(files[name].inode, files[name].nlink) for name in names} == {
        (files[names[0]].inode, 3)
    }


def test_rpm_unpacks_what_was_written(tmp_path: Path) -> None:
    """rpm itself links hardlinked names to the file that it has begun."""
    path = write_rpm(FULL, tmp_path)
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(
        ["rpm", "--root", root, "--dbpath", "/db", "-i", "--nodeps", "--noscripts", path],
        capture_output=True,
        check=True,
    )
    shared = root / "usr/lib/full/data"
    assert shared.read_bytes() == b"shared"
    assert (root / "usr/lib/again").stat().st_ino == shared.stat().st_ino
    assert (root / "usr/share/full/again").stat().st_ino == shared.stat().st_ino
    assert (root / "usr/bin/full").read_bytes() == b"#!/bin/sh\n"
    assert (root / "usr/lib/full/relative").readlink() == Path("../../bin/full")


def test_dependencies_read_back(tmp_path: Path) -> None:
    header = read_header(write_rpm(FULL, tmp_path))
    requires = [dependency.DNEVR()[2:] for dependency in rpm.ds(header, "requirename")]
    own = "7:2.0~rc1^git-3"
    assert [text for text in requires if not text.startswith("rpmlib")] == [
        "(a or b >= 2)",
        "/bin/sh",
        "/bin/sh",
        "/bin/sh",
        f"config(full) = {own}",
        "early = 1:2-3",
        "libc6 >= 2.36",
    ]
    provides = [dependency.DNEVR()[2:] for dependency in rpm.ds(header, "providename")]
    assert provides == [
        f"config(full) = {own}",
        f"full = {own}",
        f"full(x86-64) = {own}",
        "virtual = 5",
    ]


def test_scriptlets_read_back(tmp_path: Path) -> None:
    header = read_header(write_rpm(FULL, tmp_path))
    assert header[rpm.RPMTAG_PREIN] == "true\n"
    assert header[rpm.RPMTAG_PREINPROG] == ["/bin/sh", "-e"]
    assert header[rpm.RPMTAG_POSTIN] == "echo done\n"
    assert header[rpm.RPMTAG_POSTTRANSPROG] == ["<lua>"]
    assert header[rpm.RPMTAG_TRANSFILETRIGGERNAME] == ["/usr/share/icons", "/usr/share/mime"]
    assert header[rpm.RPMTAG_TRANSFILETRIGGERINDEX] == [0, 0]


def test_entry_can_be_kept_out_of_header_or_payload(tmp_path: Path) -> None:
    spec = tiny_rpm(
        "hostile",
        "/usr/share/honest",
        FileSpec("/usr/share/unlisted", b"x", in_header=False),
        FileSpec("/usr/share/absent", b"x", in_payload=False),
    )
    path = write_rpm(spec, tmp_path, compression="none")
    listed = [file.name for file in rpm.files(read_header(path))]
    assert listed == ["/usr/share/absent", "/usr/share/honest"]
    # The header holds directory and name apart, the payload whole paths.
    content = path.read_bytes()
    assert (b"./usr/share/unlisted" in content, b"./usr/share/absent" in content) == (True, False)


def test_repository_is_the_same_when_made_again(tmp_path: Path) -> None:
    specs = [FULL, tiny_rpm("small", "/usr/share/small")]
    repositories = [tiny_repository(tmp_path / name, *specs) for name in ("first", "second")]
    contents = [
        {path.name: path.read_bytes() for path in (repository / "repodata").iterdir()}
        for repository in repositories
    ]
    assert contents[0] == contents[1]
    again = tiny_repository(repositories[0], *specs) / "repodata"
    assert {path.name: path.read_bytes() for path in again.iterdir()} == contents[0]
