"""What a change takes on disk: foreseen from headers, and counted where the objects are there."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from layer.effects import Disk
from layer.frozen import dataclass
from layer.impact import Coming
from layer.labelling import has_policy
from layer.layout import HEADERS
from layer.lock import read_record as read_lock_record
from layer.model import Commit, Tree
from layer.paths import directories_above
from layer.records import read_cached, write_record
from layer.rpmdb import DATABASE_FILE, database_path
from layer.store.contract import ObjectStore
from layer.store.trees import directories_of, files_of, lookup, lookup_all

_SCHEMA = 1
_CHECKSUMS = (33, 66)  # bytes of a file and of a directory in a directory object, beside the name
_ENTRY = 80  # bytes of an object's name in its directory
_SMALL = 2  # files of one block beside a commit: the commit itself, and the ref that keeps it
# SQLite's pages and indexes over a header.
_DATABASE_GROWTH = 1.5
# What triggers make of each file that fires them: of a Python module its byte-code, which may be
# a half or the double of it. What others make is about as large as what they made before.
_MADE = {"python-bytecode": (".py", "__pycache__", 1.1)}
# Of a tree: what else is written whatever the packages are, such as ids, passwd and group.
_WRITTEN = 12


@dataclass(frozen=True, slots=True)
class Places:
    """The repository, the checkout of what boots next, None where there is none, and /boot."""

    repository: Path
    deployment: Path | None
    boot: Path
    entries: int = 0  # of the boot loader
    known: Path | None = None  # a record of what the checkout takes, which may be missing
    is_recycled: bool = False  # the directories of the checkout are those of one that nobody boots


@dataclass(frozen=True, slots=True)
class Usage:
    """What a repository takes: its files by inode, and the bytes of its directories."""

    inodes: frozenset[int]
    directories: int


def foresee_disk(
    store: ObjectStore,
    places: Places,
    base: Commit,
    before: Commit,
    packages: Sequence[Coming],
    triggers: Collection[str],
) -> Disk:
    """What layering the packages over a base takes, as far as their headers tell."""
    work = _Tally(os.statvfs(places.repository).f_frsize)
    for package in packages:
        if package.root is None:
            _add_import(work, package)
    if packages:
        _add_tree(work, store, base, before, packages, triggers)
    return Disk(
        objects=work.total(_directory_size(places.repository)),
        checkout=checkout_size(store, places, before.root)
        + _new_paths(work, store, before, places, packages, triggers),
        boot=_boot_size(places, work.block),
    )


def checkout_size(store: ObjectStore, places: Places, tree: Tree) -> int:
    """Bytes that a deployment takes beside its hard links, as the one that boots next does.

    Where there is none yet, as the tree says it.
    """
    if places.deployment is None:
        return _size_of_first(store, tree, places.repository)
    usr = places.deployment / "usr"
    total = 0 if places.is_recycled else _size_of_usr(usr, tree, places.known)
    for folder, _, files in os.walk(places.deployment / "etc"):
        total += _blocks(Path(folder))
        total += sum(_blocks(Path(folder, name)) for name in files)
    return total + 2 * _blocks(places.deployment)


def _size_of_usr(path: Path, tree: Tree, known: Path | None) -> int:
    """Bytes of the directories; counted once for a tree, as they are as many as the base has."""
    match read_cached(known, _SCHEMA) if known else None:
        case {"tree": tree.contents, "bytes": int(size)}:
            return size
    size = sum(_directories(path))
    if known:
        with suppress(OSError):  # then it is counted again
            write_record(known, _SCHEMA, {"tree": tree.contents, "bytes": size})
    return size


def _size_of_first(store: ObjectStore, tree: Tree, repository: Path) -> int:
    block, folder = os.statvfs(repository).f_frsize, _directory_size(repository)
    total = folder * sum(1 for _ in directories_of(store, tree))
    etc = lookup(store, tree, "usr/etc")
    if isinstance(etc, Tree):
        total += folder * sum(1 for _ in directories_of(store, etc))
        sizes = (_size_of(store, etc, path) for path, _ in files_of(store, etc))
        total += sum(-(-size // block) * block for size in sizes)
    return total


def read_usage(repository: Path) -> Usage:
    """What is in a repository now beside its objects: refs, and the directories of both."""
    inodes: set[int] = set()
    directories = sum(map(_blocks, _folders_of_objects(repository)))
    for folder, _, names in os.walk(repository / "refs"):
        directories += _blocks(Path(folder))
        inodes.update(Path(folder, name).lstat().st_ino for name in names)
    return Usage(frozenset(inodes), directories)


def gained(repository: Path, before: Usage) -> int:
    """Bytes in blocks that refs and directories have taken since; the store counts its objects,
    of which there are as many as the base has files.
    """
    total = sum(map(_blocks, _folders_of_objects(repository))) - before.directories
    for folder, _, names in os.walk(repository / "refs"):
        found = [Path(folder, name).lstat() for name in names]
        total += _blocks(Path(folder))
        total += sum(512 * one.st_blocks for one in found if one.st_ino not in before.inodes)
    return total


def _folders_of_objects(repository: Path) -> Iterator[Path]:
    yield repository / "objects"
    with os.scandir(repository / "objects") as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


class _Tally:
    """Objects that will be written; one that is like another is written once."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.new_directories: set[str] = set()
        self._seen: set[object] = set()
        self._bytes = 0
        self._count = 0

    def add(self, size: float, key: object = None) -> None:
        """An object of that many bytes."""
        if key is not None:
            if key in self._seen:
                return
            self._seen.add(key)
        self._bytes += -(-int(size) // self.block) * self.block
        self._count += 1

    def total(self, directory: int) -> int:
        """All of it in blocks, with the names; `directory` is what an empty one takes."""
        names = self._count * _ENTRY if directory else 0
        return self._bytes + -(-names // self.block) * self.block


def _add_import(work: _Tally, package: Coming) -> None:
    """The package's own commit: its files, its header, its directories."""
    names: dict[str, int] = {}
    for file in package.placement.files:
        source = file.source
        if stat.S_ISDIR(source.mode):
            _note(names, file.path, is_directory=True)
            continue
        _note(names, file.path, is_directory=False)
        if stat.S_ISREG(source.mode):
            work.add(source.size, (source.digest, source.size, source.mode, source.capabilities))
        else:
            work.add(0, ("link", source.link_to))
    _note(names, f"{HEADERS}/{package.name}.rpm", is_directory=False)
    for size in names.values():
        work.add(size)
    work.add(len(package.header.blob))
    for _ in range(_SMALL):
        work.add(1)


def _note(names: dict[str, int], path: str, *, is_directory: bool) -> None:
    """Adds a path to the sizes of directory objects, with all above it."""
    if is_directory:
        names.setdefault(path, 1)
    parent, name = _split(path)
    is_known = parent in names
    names[parent] = names.get(parent, 1) + len(name) + _CHECKSUMS[is_directory]
    if not is_known and parent != ".":
        _note(names, parent, is_directory=True)


def _add_tree(
    work: _Tally,
    store: ObjectStore,
    base: Commit,
    before: Commit,
    packages: Sequence[Coming],
    triggers: Collection[str],
) -> None:
    """The merged tree: files with owners and labels, directories, the database, triggers."""
    new = [package for package in packages if package.is_new]
    is_labelled = has_policy(store, base.root)
    for package in new:
        _add_copies(work, package, is_labelled=is_labelled)
    written = [*_written(store, before, triggers), *_made(new, triggers)]
    for _, size in written:
        work.add(size)
        if is_labelled:
            work.add(size)
    database = f"{database_path(store, base.root)}/{DATABASE_FILE}"
    grown = _DATABASE_GROWTH * sum(len(package.header.blob) for package in new)
    work.add(_size_of(store, before.root, database) + grown)
    paths = [file.path for package in new for file in package.placement.files]
    paths += [*(path for path, _ in written), database, f"{HEADERS}/x"]
    for folder, size in _tree_directories(store, before.root, paths):
        work.add(size, ("directory", folder))
    for _ in range(_WRITTEN + (_SMALL + 2) * len(triggers)):
        work.add(1)


def _add_copies(work: _Tally, package: Coming, *, is_labelled: bool) -> None:
    """Files again, which other owners, modes or labels make other objects."""
    owned = {owner.path for owner in package.placement.owners}
    owned |= {mode.path[1:] for mode in package.audit.rewrites.modes}
    for file in package.placement.files:
        if stat.S_ISREG(file.source.mode):
            for is_copied in (file.path in owned, is_labelled):
                if is_copied:
                    work.add(file.source.size)
    if is_labelled:
        work.add(len(package.header.blob))


def _written(
    store: ObjectStore, before: Commit, triggers: Collection[str]
) -> Iterator[tuple[str, float]]:
    """What these triggers wrote last, with sizes: about as much as they will write."""
    if "layer.schema" not in before.metadata:
        return
    written = read_lock_record(before).written
    paths = [path for path, writer in written if writer in triggers]
    there = lookup_all(store, before.root, paths)
    for path in paths:
        yield path, _size(store, there.get(path))


def _made(packages: Sequence[Coming], triggers: Collection[str]) -> Iterator[tuple[str, float]]:
    """What these triggers make of each file, in a directory of its own beside the file."""
    for suffix, folder, factor in (made for name, made in _MADE.items() if name in triggers):
        for package in packages:
            for file in package.placement.files:
                if file.path.endswith(suffix) and stat.S_ISREG(file.source.mode):
                    parent, name = _split(file.path)
                    if name != suffix:  # which begins with a dot, as a hidden file does
                        yield f"{parent}/{folder}/{name}", factor * file.source.size


def _tree_directories(
    store: ObjectStore, root: Tree, paths: Iterable[str]
) -> Iterator[tuple[str, int]]:
    """The directories that change when these paths do, with the bytes of their new objects."""
    folders: dict[str, set[str]] = {}
    for path in paths:
        for parent, child in _steps(path):
            names = folders.setdefault(parent, set())
            if child in names:
                break  # all above is known as well
            names.add(child)
    for folder, names in folders.items():
        there = lookup(store, root, "" if folder == "." else folder)
        size = sum(len(name) + _CHECKSUMS[0] for name in names)
        if isinstance(there, Tree):
            present = store.read_directory(there.contents)
            size = sum(len(name) + _CHECKSUMS[0] for name in {*names, *present.files})
            size += sum(len(name) + _CHECKSUMS[1] for name in present.directories)
        yield folder, size


def _steps(path: str) -> Iterator[tuple[str, str]]:
    while path not in (".", ""):
        parent, name = _split(path)
        yield parent, name
        path = parent


def _split(path: str) -> tuple[str, str]:
    """A directory, "." for the tree's own, and a name in it; pathlib takes ten times as long."""
    parent, _, name = path.rpartition("/")
    return parent or ".", name


def _new_paths(
    work: _Tally,
    store: ObjectStore,
    before: Commit,
    places: Places,
    packages: Sequence[Coming],
    triggers: Collection[str],
) -> int:
    """Directories that the checkout gains, and the files of /etc, which are copies."""
    if places.deployment is None:
        return 0
    new = [package for package in packages if package.is_new]
    files = [file for package in new for file in package.placement.files]
    folders = directories_above(file.path for file in files)
    copied = 0
    for file in files:
        if stat.S_ISDIR(file.source.mode):
            folders.add(file.path)
        elif file.path.startswith("usr/etc/") and stat.S_ISREG(file.source.mode):
            copied += -(-file.source.size // work.block) * work.block
    folders.update(_split(path)[0] for path, _ in _made(new, triggers))
    gained = folders - lookup_all(store, before.root, folders).keys()
    in_etc = sum(folder.startswith("usr/etc/") for folder in gained)
    return copied + (len(gained) + in_etc) * _directory_size(places.deployment)


def _boot_size(places: Places, block: int) -> int:
    """The boot entries, each a file, in a directory of their own; the deployment's origin."""
    return (places.entries + 2) * block if places.boot.is_dir() else block


def _directories(path: Path) -> Iterator[int]:
    """The bytes of a directory and of all below it; those that hold files alone are not opened."""
    found = path.lstat()
    yield 512 * found.st_blocks
    if found.st_nlink == 2:  # itself and its name: no directory points back to it
        return
    with os.scandir(path) as entries:
        children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    for child in children:
        yield from _directories(Path(child))


def _directory_size(path: Path) -> int:
    return min(_blocks(path), os.statvfs(path).f_frsize)


def _blocks(path: Path) -> int:
    return 512 * path.lstat().st_blocks


def _size_of(store: ObjectStore, root: Tree, path: str) -> int:
    return _size(store, lookup(store, root, path))


def _size(store: ObjectStore, checksum: Tree | str | None) -> int:
    if not isinstance(checksum, str) or store.read_file_attributes(checksum).target:
        return 0
    with store.open_file(checksum) as content:
        return content.seek(0, os.SEEK_END)  # of a borrowed store it is no file of a disk
