"""ELF files of one path: whose is in the tree is what rpm decides by the colours of files."""

from __future__ import annotations

import itertools
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from layer import assembly
from layer.accounts import resolve_owners
from layer.model import Commit, PackageTree
from layer.multilib import gives_way, is_decided
from layer.ownership import open_ownership
from layer.rpmdb import extract_database
from layer.store.objects import OstreeStore
from layer.store.trees import lookup
from layer.trimming import trim
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm
from tests.cli import extra_repository
from tests.test_cli_db import db
from tests.test_conflicts import by_headers, by_merge, imported
from tests.world import Machine

PATH = "/usr/bin/tool"
PASSWD, GROUP = "root:x:0:0:::\ngames:x:5:60:::\n", "root:x:0:\ngames:x:60:\n"


def elf(bits: int, more: bytes = b"") -> bytes:
    """The beginning of a program, as far as anyone looks."""
    return b"\x7fELF" + bytes([bits // 32]) + bytes(11) + b"\x02\0" + more


FORMS = {
    "32": FileSpec(PATH, elf(32), 0o755),
    "32 again": FileSpec(PATH, elf(32), 0o755),
    "other 32": FileSpec(PATH, elf(32, b"other"), 0o755, "games", "games"),
    "64": FileSpec(PATH, elf(64), 0o755),
    "other 64": FileSpec(PATH, elf(64, b"other"), 0o4755, "games"),
    "text": FileSpec(PATH, b"#!/bin/sh\n", 0o755),
}
CLAIMED = FileSpec(PATH, elf(64), 0o755, ghost=True)
NAMES = {form: f"p{number}" for number, form in enumerate([*FORMS, "ghost"])}


@dataclass(frozen=True)
class Result:
    """What came of some packages: the file, what the database says of it, and whose it is."""

    content: bytes
    user: int
    group: int
    mode: int
    states: tuple[str, ...]
    owners: tuple[str, ...]


class Forms:
    """Each form as a package, on its way in by us and by rpm."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.store = OstreeStore.create(folders.mktemp("store"))
        forms = {**FORMS, "ghost": CLAIMED}
        specs = {form: tiny_rpm(NAMES[form], forms[form], arch="x86_64") for form in forms}
        self.rpms = {form: write_rpm(s, folders.mktemp("rpm")) for form, s in specs.items()}
        self.trees = {form: imported(self.store, folders, spec) for form, spec in specs.items()}
        texts = (FileSpec("/etc/passwd", PASSWD.encode()), FileSpec("/etc/group", GROUP.encode()))
        self.accounts = imported(self.store, folders, tiny_rpm("accounts", *texts))
        self.bare = self._commit(self.accounts, [self.accounts], {}, self.accounts.root)

    def by_us(self, *steps: Sequence[str]) -> Result | None:
        """What `commit` comes to."""
        made = self.commit(*steps)
        return self._result(made) if made else None

    def commit(self, *steps: Sequence[str]) -> Commit | None:
        """Each step over the commit of the one before; None for a conflict, which the plan says."""
        base = self.bare
        for step in steps:
            trees = [self.trees[form] for form in step]
            said = by_merge(self.store, base, trees)
            assert by_headers(self.store, base, trees) == said
            if said:
                return None
            with self.store.transaction():
                merged = assembly.merge(self.store, base.root, trees)
            base = self._commit(base, merged.packages, merged.states, merged.tree)
        return base

    def without(self, commit: Commit, form: str) -> tuple[bytes | None, tuple[str, ...]]:
        """The file, None for none, and what the database says, once a package was taken away."""
        scratch = self.folders.mktemp("without")
        with self.store.transaction():
            tree = trim(self.store, commit.root, [self.trees[form].nevra], scratch).tree
        database = extract_database(self.store, tree, self.folders.mktemp("db"))
        found, content = lookup(self.store, tree, PATH[1:]), None
        if isinstance(found, str):
            with self.store.open_file(found) as file:
                content = file.read()
        return content, _states("--dbpath", str(database), owned=False).states

    def _commit(self, _: object, packages: Sequence[PackageTree], states, root) -> Commit:  # type: ignore[no-untyped-def]
        scratch = self.folders.mktemp("scratch")
        with self.store.transaction():
            root = resolve_owners(self.store, root, packages)
            root, _ = assembly.record_packages(
                self.store, root, packages, epoch=0, scratch=scratch, states=states
            )
            checksum = self.store.write_commit(
                root, parent=None, timestamp=0, subject="", metadata={}
            )
        return self.store.read_commit(checksum)

    def _result(self, commit: Commit) -> Result:
        checksum = lookup(self.store, commit.root, PATH[1:])
        assert isinstance(checksum, str)
        found = self.store.read_file_attributes(checksum)
        with self.store.open_file(checksum) as file:
            content = file.read()
        database = extract_database(self.store, commit.root, self.folders.mktemp("db"))
        with open_ownership(self.store, commit) as ownership:
            owner = ownership.owner_of(PATH[1:])
        said = _states("--dbpath", str(database))
        assert owner is not None
        assert owner.name in said.owners
        mode = stat.S_IMODE(found.mode)
        return Result(content, found.uid, found.gid, mode, said.states, said.owners)

    def by_rpm(self, *steps: Sequence[str]) -> Result | None:
        """Each step a transaction; None for a conflict."""
        root = self.root(*steps)
        if root is None:
            return None
        file = root / PATH[1:]
        found, said = file.stat(), _states("--root", str(root), "--dbpath", "/.rpmdb")
        mode = stat.S_IMODE(found.st_mode)
        return Result(file.read_bytes(), found.st_uid, found.st_gid, mode, said.states, said.owners)

    def without_by_rpm(self, root: Path, form: str) -> tuple[bytes | None, tuple[str, ...]]:
        """The file, None for none, and what the database says, once rpm has erased a package."""
        where = ["--root", str(root), "--dbpath", "/.rpmdb"]
        command = ["rpm", "-e", *where, "--noscripts", "--nodeps", "--noplugins", "--force-debian"]
        subprocess.run([*command, self.trees[form].nevra.name], check=True)
        file = root / PATH[1:]
        content = file.read_bytes() if file.exists() else None
        return content, _states(*where, owned=False).states

    def root(self, *steps: Sequence[str]) -> Path | None:
        """Where rpm has installed each step's packages; None for a conflict."""
        root = self.folders.mktemp("root")
        (root / "etc").mkdir()
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/group").write_text(GROUP)
        where = ["--root", str(root), "--dbpath", "/.rpmdb"]
        for step in steps:
            rpms = [str(self.rpms[form]) for form in step]
            less = ["--noscripts", "--nodeps", "--noplugins", "--force-debian", "--nosignature"]
            colors = ["--define", "_transaction_color 3", "--define", "_prefer_color 2"]
            command = ["rpm", "-i", *where, *less, *colors, *rpms]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                assert f"{PATH} " in done.stderr
                assert "conflicts" in done.stderr
                return None
        return root


@dataclass(frozen=True)
class _Said:
    states: tuple[str, ...]
    owners: tuple[str, ...]


def _states(*where: str, owned: bool = True) -> _Said:
    def ask(*words: str) -> tuple[str, ...]:
        command = ["rpm", *where, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return tuple(sorted(line for line in done.stdout.splitlines() if "accounts" not in line))

    shown = "[%{=NAME} %{FILESTATES:fstate}\n]"
    return _Said(ask("-qa", "--qf", shown), ask("-qf", PATH) if owned else ())


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    return Forms(tmp_path_factory)


def cases() -> Iterator[tuple[tuple[str, ...], ...]]:
    """Two packages at once; the one in the base, the other layered; and some more."""
    for one, other in itertools.permutations(FORMS, 2):
        if NAMES[one] < NAMES[other]:
            yield ((one, other),)
        yield ((one,), (other,))
    yield (("32", "32 again", "64"),)
    yield (("32", "other 32", "64"),)
    yield (("32", "64", "other 64"),)
    yield (("32",), ("32 again", "64"))
    yield (("32",), ("other 32", "64"))
    yield (("64",), ("32", "32 again"))
    yield (("32", "64"), ("32 again",))
    yield (("32",), ("64",), ("other 32",))
    yield (("32", "64"), ("other 64",))
    yield (("32", "64"), ("text",))


@pytest.mark.parametrize("steps", list(cases()), ids=str)
def test_the_tree_and_its_database_are_as_rpm_has_them(
    forms: Forms, steps: tuple[tuple[str, ...], ...]
) -> None:
    assert forms.by_us(*steps) == forms.by_rpm(*steps)


@pytest.mark.parametrize("gone", ["32", "64"])
@pytest.mark.parametrize(
    "steps",
    [
        (("32", "64"),),
        (("32",), ("64",)),
        (("64",), ("32",)),
        (("32", "32 again", "64"),),
        (("32",), ("32 again", "64")),
        (("64", "ghost"), ("32",)),
        (("ghost",), ("32", "64")),
    ],
    ids=str,
)
def test_what_goes_with_a_package_is_what_rpm_erases(
    forms: Forms, steps: tuple[tuple[str, ...], ...], gone: str
) -> None:
    """A file stays for the sake of a package whose own file is there, and of no other."""
    commit, root = forms.commit(*steps), forms.root(*steps)
    assert commit is not None
    assert root is not None
    assert forms.without(commit, gone) == forms.without_by_rpm(root, gone)


def test_what_rpm_decides_is_not_all_a_conflict(forms: Forms) -> None:
    found = [forms.by_us(*steps) for steps in (((("32", "other 64")),), (("other 32",), ("64",)))]
    assert [(r.content, r.user, r.mode, r.states) for r in found if r] == [
        (elf(64, b"other"), 5, 0o4755, ("p0 wrong color", "p4 normal")),
        (elf(64), 0, 0o755, ("p2 wrong color", "p3 normal")),
    ]


def test_two_that_differ_clash_even_where_both_give_way(forms: Forms) -> None:
    """rpm says so in two of three orders, and where it takes them one by one; we always."""
    for order in itertools.permutations(("32", "other 32", "64")):
        trees = [forms.trees[form] for form in order]
        said = by_merge(forms.store, forms.bare, trees)
        assert "p0-1-1.x86_64 and p2-1-1.x86_64: different content" in said
        assert by_headers(forms.store, forms.bare, trees) == said


def test_who_gives_way_is_said(forms: Forms) -> None:
    with forms.store.transaction():
        merged = assembly.merge(
            forms.store, forms.bare.root, [forms.trees["64"], forms.trees["other 32"]]
        )
    assert merged.notes == (
        f"{PATH}: p2-1-1.x86_64 gives way to p3-1-1.x86_64, whose file is of 64 bits",
    )
    assert [package.owners for package in merged.packages] == [(), ()]


def test_colours_decide_between_the_two_widths_alone() -> None:
    pairs = [(a, b) for a in range(5) for b in range(5) if is_decided(a, b)]
    assert pairs == [(1, 2), (1, 3), (2, 1), (3, 1)]
    assert [(a, b) for a, b in pairs if gives_way(a, b)] == [(1, 2), (1, 3)]


def test_one_name_in_two_widths_is_layered(machine: Machine, tmp_path: Path) -> None:
    wide = tiny_rpm("both", FileSpec(PATH, elf(64), 0o755), arch="x86_64")
    narrow = tiny_rpm("narrow", FileSpec(PATH, elf(32), 0o755), arch="x86_64")
    options = extra_repository(tmp_path / "extra", wide, narrow)
    machine.layer("install", "-y", *options, "both", "narrow")
    assert (machine.pending().path / PATH[1:]).read_bytes() == elf(64)
    assert db(machine, "owner", PATH).stdout == f"{PATH}: both-1-1.x86_64\n"


def test_two_architectures_of_one_name_are_packages_of_their_own(
    machine: Machine, tmp_path: Path
) -> None:
    wide, narrow = (
        tiny_rpm("twin", f"/usr/share/twin-{arch}", arch=arch) for arch in ("x86_64", "i686")
    )
    options = extra_repository(tmp_path / "extra", wide, narrow)

    machine.layer("install", "-y", *options, "twin")
    shown = machine.layer("install", "-y", *options, "twin.i686").stdout
    assert "Installing 1 package:" in shown and "Changing" not in shown
    assert machine.layered() == ["twin", "twin"]
    # Nothing of them changes while none of them does.
    before = machine.pending()
    assert "No upgrade available." in machine.layer("upgrade", "-y", *options).stdout
    assert machine.pending() == before
    newer = [replace(spec, version="2") for spec in (wide, narrow)]
    tiny_repository(tmp_path / "extra/packages", *newer)
    shown = machine.layer("upgrade", "-y", *options).stdout
    assert "Changing 2 packages:" in shown
    assert [line.split() for line in shown.splitlines() if " -> " in line] == [
        ["twin", f"1-1.{arch}", "->", f"2-1.{arch}"] for arch in ("i686", "x86_64")
    ]
    shown = machine.layer("uninstall", "-y", *options, "twin.i686").stdout
    assert "Removing 1 package:\n  twin-2-1.i686\n" in shown
