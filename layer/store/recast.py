"""A checkout of one tree made into that of another, at the cost of what differs."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from layer.errors import StoreError
from layer.model import Directory, DirectoryAttributes, Tree
from layer.store.objects import OstreeStore
from layer.store.trees import EMPTY, lookup

_DESCENTS = 32  # random ways from the root down, whose directories are looked at
# Without these a machine does not come up, or a later merge of /etc goes wrong. They are looked
# at always: the directories themselves, and those below, too.
_ALWAYS = ("usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/lib/systemd")
_ALWAYS_BELOW = ("usr/etc", "usr/lib/ostree", "usr/lib/systemd/system", "boot")
_KERNELS = "usr/lib/modules"


def distance(store: OstreeStore, old: Tree, new: Tree, limit: int) -> int:
    """How many names have to be made or removed to make `old` into `new`; `limit` if as many."""
    pairs: list[tuple[Tree | None, Tree | None]] = [(old, new)]
    count = 0
    while pairs and count < limit:
        before, after = pairs.pop()
        was, is_ = _read(store, before), _read(store, after)
        count += 1 + len(was.files.items() ^ is_.files.items())
        # What only one of them has is made or removed name by name, all the way down.
        for name in was.directories.keys() | is_.directories.keys():
            pair = (was.directories.get(name), is_.directories.get(name))
            if pair[0] != pair[1]:
                pairs.append(pair)
    return min(count, limit)


def recast(store: OstreeStore, folder: Path, old: Tree, new: Tree) -> None:
    """Makes `folder`, a checkout of `old`, a checkout of `new` as libostree makes one.

    Only directories that differ are entered, and each of them is looked at as a whole first:
    StoreError where it is not what `old` says, and then `folder` is neither.
    """
    _recast(store, folder, old, new, is_top=True)


def find_fault(
    store: OstreeStore,
    folder: Path,
    tree: Tree,
    *,
    is_full: bool = False,
    besides: Collection[str] = (),
) -> str:
    """How a checkout of `tree` differs from it, in words; "" where no difference was seen.

    Looks at what a machine needs to come up and a sample of the other directories, or at all of
    them. A file is right if it is the store's own; what was ever made or removed
    in a directory has left another time there.
    Names `besides` those of the tree may be at its top, and go unseen.
    """
    fault = _fault_in(store, folder, tree, besides, is_top=True)
    if is_full:
        return fault or _fault_below(store, folder, tree)
    fault = fault or _fault_of_boot(store, folder, tree)
    for _ in range(_DESCENTS):
        at, here = folder, tree
        while not fault and (below := store.read_directory(here.contents).directories):
            name = secrets.choice(tuple(below))
            at, here = at / name, below[name]
            fault = _fault_in(store, at, here)
    return fault


def _recast(
    store: OstreeStore, folder: Path, old: Tree, new: Tree, *, is_top: bool = False
) -> None:
    if old.contents != new.contents:
        fault = _fault_in(store, folder, old, is_top=is_top)
        if fault:
            raise StoreError(fault)
        _replace(store, folder, _read(store, old), _read(store, new))
    finish(folder, store.read_directory_attributes(new.attributes))


def _replace(store: OstreeStore, folder: Path, before: Directory, after: Directory) -> None:
    """Makes what is in a directory what is to be in it."""
    for name, checksum in sorted(before.files.items()):
        if after.files.get(name) != checksum:
            (folder / name).unlink()
    for name in sorted(before.directories.keys() - after.directories.keys()):
        shutil.rmtree(folder / name)
    for name, checksum in sorted(after.files.items()):
        if before.files.get(name) != checksum:
            store.link_file(checksum, folder / name)
    for name, tree in sorted(after.directories.items()):
        was = before.directories.get(name)
        if was is None:
            check_out_below(store, folder / name, tree)
        elif was != tree:
            _recast(store, folder / name, was, tree)


def _fault_of_boot(store: OstreeStore, folder: Path, tree: Tree) -> str:
    kernels = lookup(store, tree, _KERNELS)
    names = store.read_directory(kernels.contents).directories if isinstance(kernels, Tree) else ()
    for path in (*_ALWAYS, *_ALWAYS_BELOW, *(f"{_KERNELS}/{name}" for name in names)):
        at, here = folder / path, lookup(store, tree, path)
        if isinstance(here, Tree):
            fault = _fault_in(store, at, here)
            if path in _ALWAYS_BELOW:
                fault = fault or _fault_below(store, at, here)
            if fault:
                return fault
    return ""


def _fault_below(store: OstreeStore, folder: Path, tree: Tree) -> str:
    for name, below in store.read_directory(tree.contents).directories.items():
        at = folder / name
        fault = _fault_in(store, at, below) or _fault_below(store, at, below)
        if fault:
            return fault
    return ""


def _fault_in(
    store: OstreeStore,
    folder: Path,
    tree: Tree,
    besides: Collection[str] = (),
    *,
    is_top: bool = False,
) -> str:
    directory = store.read_directory(tree.contents)
    try:
        found = folder.lstat()
        names = set(os.listdir(folder)) - set(besides)  # noqa: PTH208  # half the time of iterdir
        attributes = attributes_of(folder, found)
        # The top gets its /etc after it was checked out, and with it another time.
        if not is_top and found.st_mtime_ns != 0:
            return f"{folder} was written to"
        if names != directory.files.keys() | directory.directories.keys():
            return f"{folder} has other names"
        if attributes != store.read_directory_attributes(tree.attributes):
            return f"{folder} has another owner, mode or attribute"
        for name, checksum in directory.files.items():
            if not store.is_file_at(checksum, f"{folder}/{name}"):
                return f"{folder / name} is not the repository's"
    except OSError as error:
        return f"{folder} cannot be looked at: {error}"
    return ""


def _read(store: OstreeStore, tree: Tree | None) -> Directory:
    return EMPTY if tree is None else store.read_directory(tree.contents)


def attributes_of(folder: Path, found: os.stat_result) -> DirectoryAttributes:
    """Those of a directory on the disk."""
    names = sorted(os.listxattr(folder, follow_symlinks=False))
    xattrs = ((os.fsencode(name), os.getxattr(folder, name)) for name in names)
    return DirectoryAttributes(found.st_uid, found.st_gid, found.st_mode, tuple(xattrs))


def check_out_below(store: OstreeStore, folder: Path, tree: Tree) -> None:
    """Makes a new directory with a tree in it, as hardlinks."""
    folder.mkdir(mode=0o700)
    directory = store.read_directory(tree.contents)
    for name, checksum in sorted(directory.files.items()):
        store.link_file(checksum, folder / name)
    for name, below in sorted(directory.directories.items()):
        check_out_below(store, folder / name, below)
    finish(folder, store.read_directory_attributes(tree.attributes))


def finish(folder: Path, wanted: DirectoryAttributes) -> None:
    """Gives a directory its owner, mode and attributes, and at last the time of all checkouts."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{folder} is not a directory")
    present, xattrs = attributes_of(folder, found), dict(wanted.xattrs)
    if present != wanted:
        os.chown(folder, wanted.uid, wanted.gid)
        folder.chmod(stat.S_IMODE(wanted.mode))
        for name, _ in present.xattrs:
            if name not in xattrs:
                os.removexattr(folder, name)
        for name, value in wanted.xattrs:
            os.setxattr(folder, name, value)
    os.utime(folder, ns=(0, 0))
