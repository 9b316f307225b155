"""Objects that are missing, or not what their names say, and what has them."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from layer.errors import StoreError
from layer.frozen import dataclass
from layer.model import Tree
from layer.store.gobject import OSTree, translated
from layer.store.objects import OstreeStore

_CHUNK = 1 << 20
_SUFFIXES = {"commit": "commit", "directory": "dirtree", "attributes": "dirmeta", "file": "file"}


@dataclass(frozen=True, slots=True, order=True)
class Damaged:
    """An object that is wrong: the path where it was seen first, its kind and checksum.

    `names` are those of the commits that have it, sorted. `is_missing`: it is not there at all.
    """

    path: str
    kind: str
    checksum: str
    is_missing: bool
    names: tuple[str, ...] = ()


def find_damaged(store: OstreeStore, commits: Mapping[str, str]) -> tuple[Damaged, ...]:
    """Reads every object of these commits, given by names; what is wrong, sorted."""
    search = _Search(store)
    names: dict[Damaged, set[str]] = {}
    for name, checksum in sorted(commits.items()):
        for found in search.commit(checksum):
            names.setdefault(found, set()).add(name)
    return tuple(
        sorted(
            Damaged(one.path, one.kind, one.checksum, one.is_missing, tuple(sorted(names[one])))
            for one in names
        )
    )


def drop(store: OstreeStore, found: Iterable[Damaged], commits: Iterable[str]) -> None:
    """Takes damaged objects away, so that they can come again, and marks `commits` as partial."""
    for one in found:
        _path_of(store, one.kind, one.checksum).unlink(missing_ok=True)
    for checksum in commits:
        with translated(f"cannot mark {checksum}"):
            store.repo.mark_commit_partial(checksum, True)


def is_whole(store: OstreeStore, checksum: str) -> bool:
    """Whether a commit and all that it consists of is there as it should be."""
    return not _Search(store).commit(checksum)


class _Search:
    """Looks at each object once, however many commits have it."""

    def __init__(self, store: OstreeStore) -> None:
        self._store = store
        self._below: dict[Tree, frozenset[Damaged]] = {}
        self._seen: dict[tuple[str, str], Damaged | None] = {}

    def commit(self, checksum: str) -> frozenset[Damaged]:
        """What is wrong in a commit."""
        try:
            return self._tree(self._store.read_commit(checksum).root, "")
        except StoreError:
            return frozenset([self._wrong("commit", checksum, "")])

    def _tree(self, tree: Tree, path: str) -> frozenset[Damaged]:
        known = self._below.get(tree)
        if known is not None:
            return known
        found: set[Damaged] = set()
        if self._store_fails("attributes", tree.attributes):
            found.add(self._wrong("attributes", tree.attributes, path))
        if self._store_fails("directory", tree.contents):
            found.add(self._wrong("directory", tree.contents, path))
        else:
            directory = self._store.read_directory(tree.contents)
            for name, checksum in directory.files.items():
                wrong = self._file(checksum, f"{path}/{name}")
                found |= {wrong} if wrong else set()
            for name, below in directory.directories.items():
                found |= self._tree(below, f"{path}/{name}")
        self._below[tree] = frozenset(found)
        return self._below[tree]

    def _store_fails(self, kind: str, checksum: str) -> bool:
        read = (
            self._store.read_directory_attributes
            if kind == "attributes"
            else self._store.read_directory
        )
        try:
            read(checksum)
        except StoreError:
            return True
        return False

    def _file(self, checksum: str, path: str) -> Damaged | None:
        key = ("file", checksum)
        if key not in self._seen:
            self._seen[key] = None if self._is_file_right(checksum) else self._wrong(*key, path)
        return self._seen[key]

    def _is_file_right(self, checksum: str) -> bool:
        place = _path_of(self._store, "file", checksum)
        with suppress(FileNotFoundError, StoreError):
            if not stat.S_ISREG(place.lstat().st_mode):
                with translated(""):
                    self._store.repo.fsck_object(OSTree.ObjectType.FILE, checksum, None)
                return True
            with self._store.open_file(checksum) as file:
                while file.read(_CHUNK):
                    pass
            return True
        return False

    def _wrong(self, kind: str, checksum: str, path: str) -> Damaged:
        place = _path_of(self._store, kind, checksum)
        is_there = place.exists() or place.is_symlink()
        return Damaged(path or "/", kind, checksum, not is_there)


def _path_of(store: OstreeStore, kind: str, checksum: str) -> Path:
    return store.path / "objects" / checksum[:2] / f"{checksum[2:]}.{_SUFFIXES[kind]}"
