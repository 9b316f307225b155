"""Trees to the lower layers of an overlay, and its upper layer back to what changed in a tree."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.model import Directory, DirectoryAttributes, FileAttributes, Tree
from layer.store.contract import ObjectStore
from layer.store.selinux import XATTR, label_of, with_label
from layer.store.trees import EMPTY, TreeEditor, files_of, lookup
from layer.triggers.globs import Glob, match

_CHUNK = 1 << 20  # bytes
_OVERLAY_XATTRS = b"trusted.overlay."
_NO_ENTRY = os.makedev(0, 0)  # the device number of an overlay's whiteout


@dataclass(frozen=True, slots=True, order=True)
class Folder:
    """A directory that was made, or one that was there and got other attributes."""

    path: str
    attributes: str
    is_made: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """What commands did to a tree: files with their checksums, directories, removed paths."""

    files: tuple[tuple[str, str], ...] = ()
    folders: tuple[Folder, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteRules:
    """What may be written, and what of it is thrown away."""

    writes: tuple[Glob, ...]
    scratch: tuple[Glob, ...]


def link_difference(store: ObjectStore, old: Tree | None, new: Tree, path: Path) -> None:
    """Makes the directory `path` so that, laid over a checkout of `old`, it shows `new`.

    Files are links into the store: nobody must write to them but through the overlay.
    """
    path.mkdir()
    before = store.read_directory(old.contents) if old else EMPTY
    after = store.read_directory(new.contents)
    for name, checksum in after.files.items():
        if before.files.get(name) != checksum:
            store.link_file(checksum, path / name)
    for name, child in after.directories.items():
        known = before.directories.get(name)
        if known != child:
            # Over a file, or over nothing, `known` is None: the overlay then
            # shows this directory alone, for it looks no further down than a
            # file or a whiteout.
            link_difference(store, known, child, path / name)
    for name in _names(before) - _names(after):
        os.mknod(path / name, stat.S_IFCHR, _NO_ENTRY)
    _set_attributes(path, store.read_directory_attributes(new.attributes))


def read_effect(store: ObjectStore, tree: Tree, upper: Path, rules: WriteRules) -> Effect:
    """What the upper layer, over `tree`'s usr, changes in it; what it holds goes into the store.

    TriggerFailed names every path that `rules` do not allow. What is equal to
    what the tree has is no change, whatever was copied up.
    """
    usr = lookup(store, tree, "usr")
    found = list(_Reader(store).changes(usr if isinstance(usr, Tree) else None, upper, "usr"))
    kept, faults = _judge(store, tree, found, rules)
    if faults:
        raise TriggerFailed("writes what it does not declare: " + ", ".join(sorted(faults)))
    return Effect(
        tuple(sorted((c.path, c.value) for c in kept if c.kind is _Kind.FILE)),
        tuple(
            sorted(
                Folder(c.path, c.value, c.kind is _Kind.MADE)
                for c in kept
                if c.kind in _FOLDER_KINDS
            )
        ),
        tuple(sorted(c.path for c in kept if c.kind is _Kind.REMOVED)),
    )


def apply_effect(store: ObjectStore, tree: Tree, effect: Effect) -> Tree:
    """The tree with the effect in it."""
    editor = TreeEditor(store, tree)
    for path in effect.removed:
        if editor.lookup(path) is not None:
            editor.remove(path)
    for folder in effect.folders:
        if not folder.is_made or editor.lookup(folder.path) is None:
            editor.put_directory(folder.path, folder.attributes)
    for path, checksum in effect.files:
        editor.put_file(path, checksum)
    return editor.write()


class _Kind(enum.Enum):
    FILE = "file"
    MADE = "made"  # a directory that was not there
    ALTERED = "altered"  # one that was, with other attributes
    REMOVED = "removed"
    SPECIAL = "special"  # a device, FIFO or socket


_FOLDER_KINDS = {_Kind.MADE, _Kind.ALTERED}


@dataclass(frozen=True, slots=True)
class _Change:
    """`value` is the checksum of a file, or of a directory's attributes."""

    path: str
    kind: _Kind
    value: str = ""


class _Reader:
    """Walks an upper layer beside the tree that it lies over."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._hardlinks: dict[int, str] = {}  # inode number to checksum

    def changes(
        self, old: Tree | None, folder: Path, path: str, *, is_opaque: bool = False
    ) -> Iterator[_Change]:
        """`old` is what the tree has there; opaque is what shows nothing of the layers below."""
        store = self._store
        yield from self._folder_change(old, folder, path)
        before = store.read_directory(old.contents) if old else EMPTY
        is_opaque = is_opaque or _is_marked_opaque(folder)
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if is_opaque:
            gone = _names(before) - {entry.name for entry in found}
            yield from (_Change(f"{path}/{name}", _Kind.REMOVED) for name in sorted(gone))
        for entry in found:
            below = f"{path}/{entry.name}"
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                if entry.name in before.files:
                    yield _Change(below, _Kind.REMOVED)
                known = before.directories.get(entry.name)
                yield from self.changes(known, Path(entry.path), below, is_opaque=is_opaque)
            else:
                yield from self._file_change(before, entry.name, Path(entry.path), below)

    def _folder_change(self, old: Tree | None, folder: Path, path: str) -> Iterator[_Change]:
        info = folder.lstat()
        attributes = DirectoryAttributes(info.st_uid, info.st_gid, info.st_mode, _xattrs(folder))
        known = self._store.read_directory_attributes(old.attributes) if old else None
        if known is None or with_label(known, None) != attributes:
            kind = _Kind.MADE if old is None else _Kind.ALTERED
            yield _Change(path, kind, self._store.write_directory_attributes(attributes))

    def _file_change(
        self, before: Directory, name: str, file: Path, path: str
    ) -> Iterator[_Change]:
        info = file.lstat()
        if stat.S_ISCHR(info.st_mode) and info.st_rdev == _NO_ENTRY:
            if name in _names(before):
                yield _Change(path, _Kind.REMOVED)
            return
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
            yield _Change(path, _Kind.SPECIAL)
            return
        checksum = self._stored(file, info)
        if name in before.directories:
            yield _Change(path, _Kind.REMOVED)
        if not self._is_same(before.files.get(name), checksum):
            yield _Change(path, _Kind.FILE, checksum)

    def _is_same(self, known: str | None, checksum: str) -> bool:
        """Whether a file is the one that the tree has, whatever label that has."""
        if known is None or known == checksum:
            return known is not None
        there = self._store.read_file_attributes(known)
        if label_of(there) is None:
            return False
        attributes = self._store.read_file_attributes(checksum)
        if with_label(there, None) != attributes:
            return False
        if stat.S_ISLNK(attributes.mode):
            return True
        with self._store.open_file(known) as one, self._store.open_file(checksum) as other:
            while (chunk := one.read(_CHUNK)) == other.read(_CHUNK):
                if not chunk:
                    return True
        return False

    def _stored(self, file: Path, info: os.stat_result) -> str:
        if info.st_nlink > 1 and info.st_ino in self._hardlinks:
            return self._hardlinks[info.st_ino]
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(file)  # noqa: PTH115  # Path would tidy it up
            attributes = FileAttributes(info.st_uid, info.st_gid, info.st_mode, target)
            checksum = self._store.write_file(attributes)
        else:
            attributes = FileAttributes(info.st_uid, info.st_gid, info.st_mode, "", _xattrs(file))
            checksum = self._store.write_file(attributes, _chunks(file))
        self._hardlinks[info.st_ino] = checksum
        return checksum


def _judge(
    store: ObjectStore, tree: Tree, found: Sequence[_Change], rules: WriteRules
) -> tuple[list[_Change], list[str]]:
    """The changes that count, and the paths of those that are not allowed."""
    kept: list[_Change] = []
    dropped: list[str] = []
    faults: list[str] = []
    # From below, so that what a directory was made for is known before it.
    for change in sorted(found, key=lambda change: change.path, reverse=True):
        paths = _paths_of(store, tree, change)
        if all(_is_among(rules.scratch, path) for path in paths):
            dropped.append(change.path)
        elif change.kind is _Kind.SPECIAL:
            faults.append(f"{change.path} (a device, FIFO or socket)")
        elif all(_is_among(rules.writes, path) for path in paths) or (
            change.kind is _Kind.MADE and _is_above(change.path, (c.path for c in kept))
        ):
            kept.append(change)
        elif change.kind is _Kind.MADE and _is_above(change.path, dropped):
            dropped.append(change.path)
        else:
            faults += [path for path in paths if not _is_among(rules.writes, path)]
    return kept, faults


def _paths_of(store: ObjectStore, tree: Tree, change: _Change) -> list[str]:
    """The path, or for a removed directory those of all files that went with it."""
    if change.kind is _Kind.REMOVED:
        gone = lookup(store, tree, change.path)
        if isinstance(gone, Tree):
            below = [path for path, _ in files_of(store, gone, f"{change.path}/")]
            return below or [change.path]
    return [change.path]


def _is_among(globs: Iterable[Glob], path: str) -> bool:
    return any(match(glob, path) is not None for glob in globs)


def _is_above(folder: str, paths: Iterable[str]) -> bool:
    return any(path.startswith(f"{folder}/") for path in paths)


def _names(directory: Directory) -> set[str]:
    return {*directory.files, *directory.directories}


def _set_attributes(path: Path, attributes: DirectoryAttributes) -> None:
    """Exactly these, whatever our umask, and the time that checked-out directories have."""
    os.chown(path, attributes.uid, attributes.gid)
    path.chmod(stat.S_IMODE(attributes.mode))
    for name, value in attributes.xattrs:
        os.setxattr(path, name, value)
    os.utime(path, (0, 0))


def _is_marked_opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, b"trusted.overlay.opaque") == b"y"
    except OSError:  # ENODATA: there is no such attribute
        return False


def _xattrs(path: Path) -> tuple[tuple[bytes, bytes], ...]:
    """Without what the overlay notes there, and without the label that this machine may give."""
    names = (os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False))
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(names)
        if not name.startswith(_OVERLAY_XATTRS) and name != XATTR
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
