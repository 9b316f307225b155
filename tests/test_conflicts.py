"""Paths with two owners: what the plan sees by headers is what the merge would find."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from layer import assembly
from layer.accounts import resolve_owners
from layer.conflicts import check_conflicts
from layer.errors import Conflict
from layer.importer import import_package, read_package_header
from layer.layout import place
from layer.model import Commit, PackageHeader, PackageTree
from layer.rpmfile.header import read_header
from layer.store.objects import OstreeStore
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import extra_repository, fails
from tests.world import Machine

PATH = "/usr/share/thing"
FORMS = {
    "file": FileSpec(PATH, b"a"),
    "same file": FileSpec(PATH, b"a", mtime=1),
    "by number": FileSpec(PATH, b"a", user="0", group="root"),
    "content": FileSpec(PATH, b"b"),
    "longer": FileSpec(PATH, b"aa"),
    "mode": FileSpec(PATH, b"a", mode=0o600),
    "owner": FileSpec(PATH, b"a", user="games"),
    "group": FileSpec(PATH, b"a", group="games"),
    "capabilities": FileSpec(PATH, b"a", capabilities="cap_net_raw=ep"),
    "link": FileSpec.symlink(PATH, "a"),
    "other link": FileSpec.symlink(PATH, "b"),
    "directory": FileSpec.directory(PATH),
    "other directory": FileSpec.directory(PATH, 0o700),
    "inside": FileSpec(f"{PATH}/deep/x", b"x"),
    "ghost": FileSpec(PATH, ghost=True),
}
DIFFERENT = "different content, mode or owner"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OstreeStore:
    return OstreeStore.create(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def base(store: OstreeStore, tmp_path_factory: pytest.TempPathFactory) -> Commit:
    """A base with every form of a file in it, each below its own name."""
    files = [moved(spec, f"/usr/share/base/{name}") for name, spec in FORMS.items()]
    accounts = (
        FileSpec("/etc/passwd", b"root:x:0:0:::\ngames:x:5:60:::\n"),
        FileSpec("/etc/group", b"root:x:0:\ngames:x:60:\n"),
    )
    tree = imported(store, tmp_path_factory, tiny_rpm("in-base", *files, *accounts))
    with store.transaction():
        scratch = tmp_path_factory.mktemp("scratch")
        root, _ = assembly.record_packages(store, tree.root, [tree], epoch=0, scratch=scratch)
        root = resolve_owners(store, root, [tree])
        checksum = store.write_commit(root, parent=None, timestamp=0, subject="", metadata={})
    return store.read_commit(checksum)


def moved(spec: FileSpec, path: str) -> FileSpec:
    return replace(spec, path=spec.path.replace(PATH, path))


def imported(store: OstreeStore, folders: pytest.TempPathFactory, spec: RpmSpec) -> PackageTree:
    path = write_rpm(spec, folders.mktemp("rpm"))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    with store.transaction():
        return import_package(store, path, read_header(path), checksum=checksum)


def by_headers(store: OstreeStore, base: Commit, packages: Sequence[PackageTree]) -> str:
    headers: list[PackageHeader] = [read_package_header(store, p) for p in packages]
    try:
        check_conflicts(store, base, [(h, place(h).files) for h in headers])
    except Conflict as error:
        return error.message
    return ""


def by_merge(store: OstreeStore, base: Commit, packages: Sequence[PackageTree]) -> str:
    try:
        with store.transaction():
            assembly.merge(store, base.root, packages)
    except Conflict as error:
        return error.message
    return ""


def may_meet(one: str, other: str) -> bool:
    """Whether two packages may have these forms at one path."""
    return "ghost" in (one, other) or any(
        {one, other} <= alike
        for alike in (
            {"file", "same file", "by number"},
            {"directory", "other directory", "inside"},
            {one},
        )
    )


def test_two_packages_clash_in_the_plan_as_in_the_merge(
    store: OstreeStore, base: Commit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ones, others = (
        {form: imported(store, tmp_path_factory, tiny_rpm(name, FORMS[form])) for form in FORMS}
        for name in ("one", "other")
    )
    for one, other in itertools.product(FORMS, FORMS):
        trees = [ones[one], others[other]]
        found = by_headers(store, base, trees)
        assert found == by_merge(store, base, trees)
        assert (found == "") == may_meet(one, other), (one, other, found)


def test_package_and_base_clash_in_the_plan_as_in_the_merge(
    store: OstreeStore, base: Commit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for there, new in itertools.product(FORMS, FORMS):
        path = f"/usr/share/base/{there}"
        trees = [imported(store, tmp_path_factory, tiny_rpm("new", moved(FORMS[new], path)))]
        found = by_headers(store, base, trees)
        assert found == by_merge(store, base, trees)
        assert (found == "") == may_meet(there, new), (there, new, found)
        owner = "the base" if there == "inside" else "in-base-1-1.noarch"
        assert found == "" or f"  {path}: {owner} and new-1-1.noarch: " in found


def test_the_plan_shows_all_conflicts_before_anything_is_fetched(machine_kept: Machine) -> None:
    before = sorted(machine_kept.host().cache.rglob("*.rpm"))
    for words in (("-n",), ("-y",)):
        assert fails(machine_kept, "install", *words, "clash-a", "clash-b") == [
            "error: these paths have two owners:",
            f"  /etc/tiny.conf: tiny-release-1-1.x86_64 and clash-b-1-1.noarch: {DIFFERENT}",
            f"  /usr/share/clash: clash-a-1-1.noarch and clash-b-1-1.noarch: {DIFFERENT}",
            "hint: leave out one of the packages",
        ]
    fetched = [p for p in machine_kept.host().cache.rglob("*.rpm") if p not in before]
    assert [p for p in fetched if p.stat().st_size > 20_000] == []


def test_what_no_header_tells_is_found_by_the_merge(machine: Machine, tmp_path: Path) -> None:
    """The base's os-release is no longer what its package brought: composing wrote a version."""
    path = "/usr/lib/os-release"
    there = (machine.pending().path / "usr/lib/os-release").read_bytes()
    assert there == b'ID=tiny\nNAME="Tiny"\nVERSION_ID=1\n'
    as_packaged = tiny_rpm("as-packaged", FileSpec(path, there.replace(b"=1", b"=0")))
    as_it_is = tiny_rpm("as-it-is", FileSpec(path, there))
    options = extra_repository(tmp_path / "extra", as_packaged, as_it_is)
    assert fails(machine, "install", "-y", *options, "as-packaged") == [
        "error: these paths have two owners:",
        f"  {path}: tiny-release-1-1.x86_64 and as-packaged-1-1.noarch: {DIFFERENT}",
        "hint: leave out one of the packages",
    ]
    machine.layer("install", "-y", *options, "as-it-is")
    assert machine.layered() == ["as-it-is"]
