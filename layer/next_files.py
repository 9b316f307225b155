"""Files as the next deployment will have them, before it is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from layer.frozen import dataclass
from layer.machine_etc import is_same_itself
from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.trees import lookup

_MOST_LINKS = 40  # on the way to one file, as the kernel has it


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, a link with its target or a directory: in a checkout, or in the store."""

    path: Path | None = None
    checksum: str = ""
    target: str = ""
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class NextFiles:
    """A tree's files, with what its layers and the machine's admin change of /etc.

    `merge` is the checkout whose /etc the next deployment takes over: what somebody edited or
    added there wins, what they removed stays away, and all else is as the tree ships it.
    `layered` are the trees of what is layered now and of its base: what only the first has
    comes from a layer, and stays. Paths have no leading slash and links are followed, never
    to a file of the machine that we run on.
    """

    store: ObjectStore
    tree: Tree
    merge: Path | None = None
    layered: tuple[Tree, Tree] | None = None

    def names(self, folder: str) -> tuple[str, ...]:
        """What is in a directory, sorted; nothing where there is none."""
        found = self._follow(folder)
        if found is None or not found[1].is_directory:
            return ()
        where = found[0]
        names: set[str] = set()
        if self.merge and _is_etc(where) and (self.merge / where).is_dir():
            names |= set(os.listdir(self.merge / where))  # noqa: PTH208 - names alone
        for tree in self._trees:
            shipped = lookup(self.store, tree, _shipped(where))
            if isinstance(shipped, Tree):
                directory = self.store.read_directory(shipped.contents)
                names |= {*directory.files, *directory.directories}
        return tuple(sorted(name for name in names if self._look(f"{where}/{name}")))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none. OSError where it may not be read."""
        found = self._follow(path)
        if found is None or found[1].is_directory:
            return None
        with self._open(found[1]) as file:
            return file.read()

    def on_disk(self, path: str, keep: Path) -> Path:
        """Where a file can be read: in `merge`, or copied below `keep`; there it may be missing."""
        found = self._follow(path)
        if found is not None and found[1].path is not None:
            return found[1].path
        copy = keep / path
        content = self.read(path)
        if content is not None and not (copy.is_file() and copy.read_bytes() == content):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        return copy

    @property
    def _trees(self) -> Sequence[Tree]:
        return (self.tree, *(self.layered or ())[:1])

    def _open(self, entry: _Entry) -> BinaryIO:
        return entry.path.open("rb") if entry.path else self.store.open_file(entry.checksum)

    def _follow(self, path: str) -> tuple[str, _Entry] | None:
        """Where a path leads, and what is there."""
        todo, links = path.split("/")[::-1], 0
        done: list[str] = []
        entry = _Entry(is_directory=True)
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            found = self._look("/".join([*done, name]))
            if found is None:
                return None
            entry = found
            if not entry.target:
                done.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            if entry.target.startswith("/"):
                done = []
            todo += entry.target.split("/")[::-1]
        return "/".join(done), entry

    def _look(self, path: str) -> _Entry | None:
        """What is at a path, whose directories are no links."""
        shipped = self._look_in_trees(_shipped(path))
        if self.merge is None or not _is_etc(path):
            return shipped
        if any(self._is_removed(parent) for parent in _parents(path)):
            return None
        mine, was = self.merge / path, self.merge / _shipped(path)
        if not os.path.lexists(mine):
            return None if os.path.lexists(was) else shipped
        if mine.is_dir() and not mine.is_symlink():
            return _Entry(is_directory=True)
        if os.path.lexists(was) and is_same_itself(mine, was):
            return shipped
        return _Entry(target=os.fspath(mine.readlink())) if mine.is_symlink() else _Entry(mine)

    def _is_removed(self, path: str) -> bool:
        assert self.merge is not None
        was = os.path.lexists(self.merge / _shipped(path))
        return was and not os.path.lexists(self.merge / path)

    def _look_in_trees(self, path: str) -> _Entry | None:
        found = lookup(self.store, self.tree, path)
        if found is None and self.layered:
            now, base = (lookup(self.store, tree, path) for tree in self.layered)
            found = now if base is None else None
        if found is None:
            return None
        if isinstance(found, Tree):
            return _Entry(is_directory=True)
        return _Entry(checksum=found, target=self.store.read_file_attributes(found).target or "")


def _is_etc(path: str) -> bool:
    return path == "etc" or path.startswith("etc/")


def _shipped(path: str) -> str:
    return f"usr/{path}" if _is_etc(path) else path


def _parents(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(2, len(names) + 1)]
