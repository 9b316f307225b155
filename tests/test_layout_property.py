"""Nothing that a package brings leaves its place, whatever its header says."""

from __future__ import annotations

import re
import stat
from itertools import chain
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from layer import entries
from layer.layout import LINKS, Placement, place
from layer.model import Nevra, PackageFile, PackageHeader
from layer.tmpfiles import declared_paths

WORDS = (
    "usr", "bin", "sbin", "lib", "lib64", "etc", "boot", "opt", "var", "run", "lock", "home",
    "local", "share", "factory", "ostree-boot", "tmpfiles.d", "zz-layer-pkg.conf", "sysimage",
    "packages", "modules", "x", "x y", "%", "\u00e9",
    "vmlinuz-1", "vmlinuz-..", "vmlinuz-.", "vmlinuz-", "..", ".", "", "a\nb", "\udcff",
)  # fmt: skip
KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)

names = st.sampled_from(WORDS) | st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=4
)
paths = st.builds(
    lambda root, parts: "/".join([root, *parts]),
    st.sampled_from(["", "", "", "", "", "/usr/lib", "/boot", "/var", ".", ".."]),
    st.lists(names, min_size=1, max_size=4),
)
files = st.builds(
    lambda path, kind, link, is_ghost: PackageFile(
        path,
        kind | 0o755,
        "root",
        "root",
        0,
        0,
        "",
        link_to=link if kind == stat.S_IFLNK else "",
        is_ghost=is_ghost,
    ),
    paths,
    st.sampled_from(KINDS) | st.sampled_from([stat.S_IFIFO, stat.S_IFCHR, 0]),
    st.sampled_from(["/etc", "..", "usr/bin", "../var/usrlocal", ""]),
    st.booleans(),
)


def placed(listed: list[PackageFile]) -> Placement:
    nevra = Nevra("pkg", 0, "1", "1", "noarch")
    return place(PackageHeader(nevra, tuple(listed), (), (), "sha256", "none", (), 0, 0, blob=b""))


def regular(path: str) -> PackageFile:
    return PackageFile(path, stat.S_IFREG | 0o644, "root", "root", 0, 0, "")


def link(path: str, *, is_ghost: bool = False) -> PackageFile:
    mode = stat.S_IFLNK | 0o777
    return PackageFile(path, mode, "root", "root", 0, 0, "", link_to="/etc", is_ghost=is_ghost)


@settings(max_examples=1000, deadline=None)
@given(st.lists(files, min_size=1, max_size=8))
@example([regular("/boot/vmlinuz-..")])
@example([regular("/var/\rL")])
@example([link("/var/lib/l", is_ghost=True), regular("/var/lib/l/x")])
@example([link("/usr/share/factory/var"), regular("/var/x")])
@example([link("/usr/lib/l"), regular("/lib/l/x")])
@example([regular("/usr/lib/ostree-boot/x"), regular("/boot/x")])
def test_nothing_leaves_its_place(listed: list[PackageFile]) -> None:
    found = placed(listed)
    for file in found.files:
        parts = file.path.split("/")
        assert parts[0] == "usr" or file.path in LINKS
        assert not {"", ".", ".."} & set(parts)
    for path in declared_paths(found.tmpfiles):
        parts = path.split("/")
        assert parts[1] in ("var", "run")
        assert not {"", ".", ".."} & set(parts[1:])
    if found.refused:
        return
    whole = {file.path: file.source for file in found.files}
    assert len(whole) == len(found.files)
    made = {path[1:] for path in declared_paths(found.tmpfiles)}
    for path in chain(whole, made):
        for parent in parents(path):
            assert parent not in whole or stat.S_ISDIR(whole[parent].mode)
    links = {f.path[1:] for f in listed if stat.S_ISLNK(f.mode) and f.path[1:] in made}
    assert not [path for path in made if links & set(parents(path))]


@settings(max_examples=1000, deadline=None)
@given(st.lists(files, min_size=1, max_size=8))
def test_nothing_is_dropped_silently(listed: list[PackageFile]) -> None:
    found = placed(listed)
    if found.refused:
        return
    sources = {file.source.path for file in found.files}
    made = declared_paths(found.tmpfiles)
    for file in listed:
        if not file.is_ghost and not stat.S_ISDIR(file.mode):
            at_boot = file.path.replace("/var/run", "/run").replace("/var/lock", "/run/lock")
            assert file.path in sources or {file.path, at_boot} & made, file.path


def parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


@given(paths | st.text("/.a\u00e9\udcff\n", max_size=8))
@example("/" + "a" * 255)
@example("/" + "a" * 256)
@example("/a" * 127)
@example("/a" * 128)
@example("/" + "/".join(["a" * 99] * 40))
def test_plain_paths_are_those_without_a_fault(path: str) -> None:
    found = entries.fault_of(regular(path))
    with mock.patch.object(entries, "_PLAIN", re.compile("(?!)")):
        assert entries.fault_of(regular(path)) == found
