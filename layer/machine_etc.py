"""What somebody has changed in a deployment's /etc, beside what its tree ships."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from layer.change import EtcEdit

ADDED, CHANGED, REMOVED = "A", "M", "D"  # as `ostree admin config-diff` has them


def edits(deployment: Path) -> tuple[EtcEdit, ...]:
    """All that differs between the /etc of a deployment's checkout and that of its tree."""
    return tuple(sorted(_compare(deployment / "usr/etc", deployment / "etc", "/etc")))


def left_behind(leaving: Path, target: Path) -> tuple[EtcEdit, ...]:
    """The edits of one deployment's /etc that another's has not."""
    return tuple(
        edit
        for edit in edits(leaving)
        if not _is_same(leaving / edit.path[1:], target / edit.path[1:])
    )


def _compare(shipped: Path, present: Path, where: str) -> Iterator[EtcEdit]:
    before, after = (_names(folder) for folder in (shipped, present))
    for name in before | after:
        path = f"{where}/{name}"
        if name not in after:
            yield EtcEdit(path, REMOVED)
        elif name not in before:
            yield EtcEdit(path, ADDED)
        elif not is_same_itself(shipped / name, present / name):
            yield EtcEdit(path, CHANGED)
        if name in before & after and all(_is_folder(f / name) for f in (shipped, present)):
            yield from _compare(shipped / name, present / name, path)


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths hold the same, directories with all that is in them."""
    there = [os.path.lexists(path) for path in (one, other)]
    if not all(there):
        return not any(there)
    if not is_same_itself(one, other):
        return False
    if not _is_folder(one):
        return True
    names = _names(one)
    return names == _names(other) and all(_is_same(one / name, other / name) for name in names)


def is_same_itself(one: Path, other: Path) -> bool:
    """Whether two paths hold the same, but for what is in them as directories."""
    a, b = one.lstat(), other.lstat()
    if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid):
        return False
    if _attributes(one) != _attributes(other):
        return False
    if stat.S_ISLNK(a.st_mode):
        return one.readlink() == other.readlink()
    return not stat.S_ISREG(a.st_mode) or filecmp.cmp(one, other, shallow=False)


def _attributes(path: Path) -> dict[str, bytes]:
    """Labels are the policy's business, not an edit."""
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name != "security.selinux"
    }
