"""What differs between two commits as a live change sees it: whose it is, and who uses it."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from layer.live.plan import Differences, Process, Usage, Whose, packages_to_watch
from layer.live.rules import core, shadowed
from layer.model import Commit, Nevra, PackageHeader, Tree, TreeDiff
from layer.owners import Owned, OwnerKind
from layer.ownership import Ownership, open_ownership
from layer.paths import tree_paths
from layer.processes import FileId, Seen, identity
from layer.reasons import Needs
from layer.rpmdb import DATABASE_PATHS, open_packages
from layer.store.contract import ObjectStore
from layer.store.trees import altered_directories, diff, lookup

_TRIPLET = "-linux-"


def read_differences(
    store: ObjectStore,
    seen: Commit,
    wanted: Commit,
    refusals: Iterable[tuple[str, str]] = (),
) -> Differences:
    """All that differs, with owners, by the commits alone."""
    found = diff(store, seen.root, wanted.root)
    folders = library_folders(store, seen.root)
    shadows = {}
    for path in found.added:
        other = shadowed(path, folders, lambda p: isinstance(lookup(store, seen.root, p), str))
        if other:
            shadows[path] = other
    owners = _owners(store, seen, wanted, found, shadows.values())
    return Differences(
        diff=found,
        owner=lambda path: owners.get(path, Whose()),
        shadows=shadows,
        attributes=tuple(
            path
            for path in altered_directories(store, seen.root, wanted.root)
            if not path.startswith("usr/etc/")
        ),
        types=tuple(_other_types(store, seen.root, wanted.root, found)),
        refusals=tuple(refusals),
    )


def read_usage(
    store: ObjectStore,
    seen: Commit,
    found: Differences,
    needs: Needs | None,
    usr: Path,
    processes: Sequence[Seen],
) -> Usage:
    """Who uses the files that change or go, and their packages; `usr` is what is seen now.

    Only processes count that will see what is mounted at /usr.
    """
    holders: dict[FileId, set[Process]] = {}
    for one in processes:
        if one.follows:
            for file in one.files:
                holders.setdefault(file, set()).add(one.process)
    touched = (*found.diff.changed, *found.diff.removed)
    files = {path: users for path in touched if (users := _users_of([path], usr, holders))}
    packages = {}
    watched = packages_to_watch(found)
    if watched:
        with open_packages(store, seen.root) as stored:
            for nevra in watched:
                names = {nevra, *dependents(needs, nevra)} if needs else {nevra}
                paths: list[str] = []
                for name in sorted(names) if stored else ():
                    parsed = Nevra.parse(name)
                    for header in stored.named(parsed.name, parsed) if stored else ():
                        paths += _paths_of(header)
                packages[nevra] = _users_of(paths, usr, holders)
    return Usage(files, packages)


def dependents(needs: Needs, nevra: str) -> frozenset[str]:
    """The packages that need one, directly or not."""
    by: dict[str, set[str]] = {}
    for need in needs.links:
        by.setdefault(str(need.of), set()).add(str(need.by))
    found: set[str] = set()
    todo = [nevra]
    while todo:
        new = by.get(todo.pop(), set()) - found
        found |= new
        todo += sorted(new)
    return frozenset(found - {nevra})


def library_folders(store: ObjectStore, root: Tree) -> tuple[str, ...]:
    """The directories of a tree in which the loader looks for libraries by itself."""
    found = [path for path in ("usr/lib", "usr/lib64") if _is_folder(store, root, path)]
    libraries = lookup(store, root, "usr/lib")
    if isinstance(libraries, Tree):
        names = sorted(store.read_directory(libraries.contents).directories)
        found += [f"usr/lib/{name}" for name in names if _TRIPLET in name]
    return tuple(found)


def _is_folder(store: ObjectStore, root: Tree, path: str) -> bool:
    return isinstance(lookup(store, root, path), Tree)


def _owners(
    store: ObjectStore, seen: Commit, wanted: Commit, found: TreeDiff, shadowed: Iterable[str]
) -> Mapping[str, Whose]:
    """Of what is there its owner now, of what is added that to come."""
    owners: dict[str, Whose] = {}
    with open_ownership(store, seen) as now, open_ownership(store, wanted) as then:
        cores: dict[str, str] = {}
        for path in found.added:
            owners[path] = _whose(then, path, cores)
        for path in (*found.changed, *found.removed, *shadowed):
            owners[path] = _whose(now, path, cores)
        # A package's file that a trigger now writes, or the other way round, is not ours yet.
        for path in found.changed:
            if owners[path].is_ours and not _is_ours(path, then.owner_of(path)):
                owners[path] = _whose(then, path, cores)
    return owners


def _whose(ownership: Ownership, path: str, cores: dict[str, str]) -> Whose:
    owned = ownership.owner_of(path)
    if _is_ours(path, owned):
        return Whose(is_ours=True)
    if owned is None:
        return Whose()
    if owned.name not in cores:
        claims = [h for h, _ in ownership.claims(path) if str(h.nevra) == owned.name]
        cores[owned.name] = core(p for header in claims for p in _paths_of(header))
    return Whose(owned.name, hard=cores[owned.name])


def _is_ours(path: str, owned: Owned | None) -> bool:
    if path.rpartition("/")[0] in DATABASE_PATHS:
        return True
    return owned is not None and owned.kind is not OwnerKind.PACKAGE


def _paths_of(header: PackageHeader) -> Iterator[str]:
    """Where a package's files can lie in a tree; not its directories, which others use, too."""
    for file in header.files:
        if not stat.S_ISDIR(file.mode):
            yield from tree_paths(file.path)


def _users_of(
    paths: Iterable[str], usr: Path, holders: Mapping[FileId, set[Process]]
) -> tuple[Process, ...]:
    users: set[Process] = set()
    for path in paths:
        with suppress(OSError):  # not everything that a package lists is there
            users |= holders.get(identity(usr.parent / path), set())
    return tuple(sorted(users))


def _other_types(store: ObjectStore, seen: Tree, wanted: Tree, found: TreeDiff) -> Iterator[str]:
    """Paths that become another kind of file."""
    for path in found.changed:
        modes = []
        for root in (seen, wanted):
            checksum = lookup(store, root, path)
            assert isinstance(checksum, str), path
            modes.append(stat.S_IFMT(store.read_file_attributes(checksum).mode))
        if modes[0] != modes[1]:
            yield path
    for path in found.added:
        if isinstance(lookup(store, seen, path), Tree) or _has_file_above(store, seen, path):
            yield path
    for path in found.removed:
        if isinstance(lookup(store, wanted, path), Tree) or _has_file_above(store, wanted, path):
            yield path


def _has_file_above(store: ObjectStore, root: Tree, path: str) -> bool:
    """Whether one of a path's directories is a file there; only its own matters, most are new."""
    folder = path.rpartition("/")[0]
    while folder:
        found = lookup(store, root, folder)
        if found is not None:
            return isinstance(found, str)
        folder = folder.rpartition("/")[0]
    return False
