"""Debian's packages, versions and paths in RPM's terms."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import rpm

from testdata.distro.debian import convert_deb
from testdata.distro.debversion import parse_debian_version, translate_relations
from testdata.distro.rpmspec import FileSpec, FileTrigger, Scriptlet
from testdata.distro.usrmerge import merged_path, merged_target

CONTROL = """\
Package: sample
Version: 1:2.0-1+b1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Section: utils
Pre-Depends: early
Depends: libc6 (>= 2.36), default-mta | mail-transport-agent, python3:any
Breaks: former (<< 2), living
Replaces: former (<< 2), living
Provides: virtual, versioned (= 3)
Description: A sample
 It shows what a conversion keeps.
 .
 Even this.
"""


@pytest.mark.parametrize(
    ("debian", "expected"),
    [
        ("2.36-9+deb12u14", "2.36-9+deb12u14"),
        ("2:4.0.2-3", "2:4.0.2-3"),
        ("0:1-1", "1-1"),
        ("12.4", "12.4"),
        ("1.0~rc1-1~bpo12+1", "1.0~rc1-1~bpo12+1"),
        ("4.13+dfsg1-1-2", "4.13+dfsg1^1-2"),
        ("2.0+~1.2-1+~x", "2.0+1.2-1+x"),
        ("1.2-.", "1.2-999999"),
        ("1.2-z", "1.2-999999"),
    ],
)
def test_version_maps(debian: str, expected: str) -> None:
    assert str(parse_debian_version(debian)) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("libc6", ("libc6",)),
        ("libc6 (>= 2.36)", ("libc6 >= 2.36",)),
        ("libc6 (>> 2.36)", ("libc6 >= 2.36-0",)),
        ("libc6 (>> 2.36-1)", ("libc6 > 2.36-1",)),
        ("libc6 (<= 2.36)", ("libc6 <= 2.36-0",)),
        ("libc6 (<< 2.36)", ("libc6 < 2.36",)),
        ("python3:any (>= 3.9~)", ("python3 >= 3.9~",)),
        ("a | b (= 1:2-3), c", ("(a or b = 1:2-3)", "c")),
        ("", ()),
    ],
)
def test_dependencies_map(field: str, expected: tuple[str, ...]) -> None:
    assert translate_relations(field) == expected


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0-1+b1"),
        ("1.0-1+b1", "1.0-1-1"),
        ("1.0-1-1", "1.1-1"),
        ("1.0-1", "1.0+~2-1"),
        ("1.0-9", "1.0-."),
        ("9-1", "1:0.1-1"),
    ],
)
def test_mapped_versions_sort_as_debian_sorts_them(older: str, newer: str) -> None:
    subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)
    mapped = [parse_debian_version(text) for text in (older, newer)]
    labels = [(str(evr.epoch or 0), evr.version, evr.release) for evr in mapped]
    assert rpm.labelCompare(*labels) == -1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/bin/sh", "/usr/bin/sh"),
        ("/lib64", "/usr/lib64"),
        ("/library/x", "/library/x"),
        ("/boot/vmlinuz-6.1.0-1-amd64", "/usr/lib/modules/6.1.0-1-amd64/vmlinuz"),
        ("/etc/passwd", "/etc/passwd"),
    ],
)
def test_paths_move_below_usr(path: str, expected: str) -> None:
    assert merged_path(path) == expected


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("/bin/a", "b", "b"),
        ("/bin/a", "../usr/bin/b", "b"),
        ("/bin/a", "/usr/bin/b", "/usr/bin/b"),
        ("/sbin/a", "../lib/b", "../lib/b"),
        ("/usr/lib/x.so", "/lib/x.so", None),
        ("/usr/lib/x.so", "../../lib/x.so.1", "../../lib/x.so.1"),
    ],
)
def test_links_keep_their_meaning(path: str, target: str, expected: str | None) -> None:
    assert merged_target(path, target) == expected


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A .deb of a script, its configuration, two links and a postinst."""
    tree = tmp_path / "sample"
    for directory in ("DEBIAN", "bin", "usr/bin", "usr/lib/sample", "etc"):
        (tree / directory).mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL)
    (tree / "DEBIAN/conffiles").write_text("/etc/sample.conf\n")
    (tree / "DEBIAN/triggers").write_text("interest-noawait /usr/share/sample\n")
    postinst = tree / "DEBIAN/postinst"
    postinst.write_text(
        "#!/bin/sh -e\nupdate-alternatives --install /usr/bin/smp \\\n smp /bin/sample 10\n"
    )
    postinst.chmod(0o755)
    (tree / "bin/sample").write_text("#!/usr/bin/awk -f\n")
    (tree / "bin/sample").chmod(0o4755)
    (tree / "bin/other").symlink_to("../usr/bin/other")
    (tree / "etc/sample.conf").write_text("x=1\n")
    (tree / "usr/lib/sample/link").hardlink_to(tree / "bin/sample")
    for path in tree.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, tmp_path],
        env=os.environ | {"SOURCE_DATE_EPOCH": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return next(tmp_path.glob("*.deb"))


def test_deb_keeps_its_metadata(sample: Path) -> None:
    spec = convert_deb(sample, frozenset({"sample", "living"}))
    assert (spec.name, spec.evr, spec.arch) == ("sample", "1:2.0-1+b1", "x86_64")
    assert spec.description == "It shows what a conversion keeps.\n\nEven this."
    assert spec.requires == (
        "libc6 >= 2.36",
        "(default-mta or mail-transport-agent)",
        "python3",
        "early",
        "/usr/bin/awk",
    )
    assert spec.pre_requires == ("early",)
    assert spec.conflicts == ("former < 2", "living")
    assert spec.obsoletes == ("former < 2",)
    assert spec.provides == (
        "/bin/other",
        "/bin/sample",
        "/usr/bin/smp",
        "versioned = 3",
        "virtual = 1:2.0-1+b1",
    )


def test_deb_moves_below_usr(sample: Path) -> None:
    script = b"#!/usr/bin/awk -f\n"
    first, second = "/usr/bin/sample", "/usr/lib/sample/link"
    files = {file.path: file for file in convert_deb(sample).files}
    assert sorted(files) == ["/etc/sample.conf", first, "/usr/lib/sample", second]
    assert files["/etc/sample.conf"] == FileSpec("/etc/sample.conf", b"x=1\n", config=True, mtime=1)
    assert {files[first].content, files[second].content} == {script, b""}
    assert {files[first].hardlink_to, files[second].hardlink_to} <= {"", first, second}
    assert "/usr/bin/other" not in files  # it had come to name itself


def test_maintainer_script_gets_its_arguments(sample: Path) -> None:
    spec = convert_deb(sample)
    rest = "update-alternatives --install /usr/bin/smp \\\n smp /bin/sample 10\n"
    configure = f'#!/bin/sh -e\nset -- configure ""\n{rest}'
    triggered = f'#!/bin/sh -e\nset -- triggered "/usr/share/sample"\n{rest}'
    assert spec.scriptlets == (Scriptlet("post", configure, "/bin/sh -e"),)
    assert spec.file_triggers == (FileTrigger(("/usr/share/sample",), triggered, "/bin/sh -e"),)
