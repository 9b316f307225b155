"""Checkouts that nothing boots, from which the tree of the next deployment is made.

They are what clean-up would remove: trees of deployments that have left the boot entries, and
one that was put aside for this, the spare. Where a tree is taken it is moved to a place of
work first, so that whatever comes between, nobody ever takes half a tree for a whole one.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from layer.errors import StoreError
from layer.frozen import dataclass
from layer.model import Commit, Tree
from layer.store.gobject import OSTree, translated
from layer.store.objects import OstreeStore
from layer.store.recast import distance, find_fault, recast
from layer.store.remains import WORK

_DEPLOYED = re.compile(r"([0-9a-f]{64})\.([0-9]+)")
_MOUNTS = (Path("/proc/self/mountinfo"), Path("/proc/1/mountinfo"))
# Beyond as many names libostree's checkout, in C, is as fast.
_FARTHEST = 50_000
_ABSOLUTE = -100  # AT_FDCWD: in place of the descriptor of a directory
_FREE = 10  # part of the room, and of the inodes, that is left free: one in as many


@dataclass(frozen=True, slots=True)
class Source:
    """A checkout that can be recycled: its place, its commit and that commit's tree."""

    path: Path
    commit: str
    root: Tree
    stateroot: str = ""  # of the deployment that it was; "" for the spare


class Spares:
    """The checkouts of a sysroot that can be recycled. Its lock must be held throughout."""

    def __init__(self, sysroot: Any, path: Path, store: OstreeStore) -> None:
        self._sysroot = sysroot  # libostree's own object, for this room alone
        self._deploy = path / "ostree/deploy"
        self._spare = path / "ostree/layer/spare"
        self._work = path / WORK
        self._store = store

    def has_any(self) -> bool:
        """Whether there is a checkout that can be recycled."""
        return next(self._sources(), None) is not None

    def find_nearest(self, wanted: Tree) -> Source | None:
        """What is made into `wanted` with the fewest changes; None where a checkout is as good."""
        best, least = None, _FARTHEST
        for source in self._sources():
            with suppress(StoreError):  # a part of its commit was pruned
                far = distance(self._store, source.root, wanted, least)
                if far < least:
                    best, least = source, far
        return best

    def take(self, source: Source, wanted: Tree, *, is_full: bool) -> Path:
        """Makes it a checkout of `wanted`, in a place of work that is the caller's to move.

        StoreError where the tree is not what its commit says, in a sample or `is_full`.
        """
        besides = ("etc",) if source.stateroot else ()
        fault = find_fault(self._store, source.path, source.root, is_full=is_full, besides=besides)
        if fault:
            raise StoreError(fault)
        place = self._moved(source)
        recast(self._store, place, source.root, wanted)
        return place

    def check_out(self, commit: Commit, cancel: Any = None) -> Path:
        """A checkout that is libostree's, in a place of work that is the caller's to move."""
        place = self._new_place()
        place.rmdir()  # libostree makes it
        options = OSTree.RepoCheckoutAtOptions()
        with translated(f"cannot check out {commit.checksum}"):
            self._store.repo.checkout_at(options, _ABSOLUTE, str(place), commit.checksum, cancel)
        return place

    def put_aside(self, item: Any) -> None:
        """Keeps the tree of a deployment that was staged and has given way. Best effort.

        libostree, which removes it at shutdown, would keep the machine from going down for long.
        """
        with suppress(StoreError, OSError):
            spare = self._spare / item.get_csum()
            if not spare.exists():
                path = self._deploy.parent.parent / self._sysroot.get_deployment_dirpath(item)
                root = self._store.read_commit(item.get_csum()).root
                place = self._moved(Source(path, item.get_csum(), root, item.get_osname()))
                self._spare.mkdir(parents=True, exist_ok=True)
                place.rename(spare)
        self.tidy()

    def keep(self, commit: Commit, *, may_check_out: bool, is_full: bool) -> None:
        """Puts a checkout of `commit` aside, made of what would be removed; removes the others.

        Where there is nothing to make it of it `may_check_out` anew. Where room is scarce
        there is no spare. Best effort: a failure leaves none.
        """
        spare = self._spare / commit.checksum
        if not self._has_room():
            self.forget()
            return
        if spare.exists() and find_fault(self._store, spare, commit.root, is_full=is_full):
            shutil.rmtree(spare)
        if not spare.exists():
            source = self.find_nearest(commit.root)
            place = None
            if source is not None:
                place = self._attempt(lambda: self.take(source, commit.root, is_full=is_full))
            if place is None and may_check_out:
                place = self._attempt(lambda: self.check_out(commit))
            if place is not None:
                self._spare.mkdir(parents=True, exist_ok=True)
                place.rename(spare)
        self._remove_all_but(spare)

    def sweep(self) -> None:
        """Removes what did not come out of the place of work. Nobody else works there."""
        for path in self._children(self._work):
            shutil.rmtree(path)
        self.tidy()

    def tidy(self) -> None:
        """Takes away directories of ours in which nothing is."""
        for folder in (self._work, self._spare, self._work.parent):
            with suppress(OSError):
                folder.rmdir()

    def forget(self) -> None:
        """Removes the spare, and what was left in the place of work."""
        self._remove_all_but(None)

    def _new_place(self) -> Path:
        self._work.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._work))

    @staticmethod
    def _attempt(act: Callable[[], Path]) -> Path | None:
        with suppress(StoreError, OSError):
            return act()
        return None

    def _sources(self) -> Iterator[Source]:
        for path in self._children(self._spare):
            with suppress(StoreError):
                yield Source(path, path.name, self._store.read_commit(path.name).root)
        items = self._sysroot.get_deployments()
        deployed = {Path(self._sysroot.get_deployment_dirpath(item)).name for item in items}
        mounts = "".join(mounts.read_text() for mounts in _MOUNTS if mounts.exists())
        for stateroot in self._children(self._deploy):
            for path in self._children(stateroot / "deploy"):
                match = _DEPLOYED.fullmatch(path.name)
                if match is None or path.name in deployed or path.name in mounts:
                    continue
                if not _is_pristine(path):
                    continue
                with suppress(StoreError):
                    root = self._store.read_commit(match[1]).root
                    yield Source(path, match[1], root, stateroot.name)

    def _moved(self, source: Source) -> Path:
        """Moves a tree to a place of work, where it is a mere checkout."""
        if source.stateroot:
            self._release(source)
        place = self._new_place()
        source.path.rename(place)
        if source.stateroot:
            with suppress(FileNotFoundError):  # who was killed had moved it already
                shutil.rmtree(place / "etc")
        return place

    def _release(self, source: Source) -> None:
        """Lets the directory of what was deployed be moved, and nothing of it stay behind."""
        checksum, _, serial = source.path.name.partition(".")
        item = OSTree.Deployment.new(0, source.stateroot, checksum, int(serial), None, -1)
        with translated(f"cannot move {source.path}"):
            self._sysroot.deployment_set_mutable(item, True, None)
        source.path.with_name(f"{source.path.name}.origin").unlink(missing_ok=True)

    def _has_room(self) -> bool:
        found = os.statvfs(self._deploy)
        # Some filesystems have no number of inodes.
        return found.f_bavail * _FREE >= found.f_blocks and found.f_favail * _FREE >= found.f_files

    def _remove_all_but(self, spare: Path | None) -> None:
        for path in (*self._children(self._spare), *self._children(self._work)):
            if path != spare:
                shutil.rmtree(path)
        self.tidy()

    @staticmethod
    def _children(folder: Path) -> list[Path]:
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_pristine(path: Path) -> bool:
    """Whether it is a deployment whose /usr was never made writable for good."""
    origin = path.with_name(f"{path.name}.origin")
    return path.is_dir() and origin.is_file() and "unlocked" not in origin.read_text()
