"""What a failed command must leave as it was, and what it must not leave behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Beside these a sysroot holds objects without a ref, checkouts and the stateroots' /var.
_WATCHED = (
    "boot",
    "ostree/boot.*",
    "ostree/repo/config",
    "ostree/repo/refs",
    "ostree/deploy/*/deploy/*.origin",
    "ostree/deploy/*/deploy/*/etc",
)
_NAMED = ("ostree/deploy/*", "ostree/deploy/*/deploy/*", "ostree/repo/tmp/layer-*")


def state(sysroot: Path) -> dict[str, object]:
    """Refs, deployments, origins, /etc and boot entries: every path with mode and content."""
    found: dict[str, object] = {}
    for pattern in _WATCHED:
        for top in sorted(sysroot.glob(pattern)):
            for path in (top, *sorted(_below(top))):
                if top.name == "refs" and path.is_dir():
                    continue  # libostree leaves the directories of deleted refs
                found[str(path.relative_to(sysroot))] = _noun(path)
    for pattern in _NAMED:
        found[pattern] = sorted(path.name for path in sysroot.glob(pattern))
    return found


@contextmanager
def unchanged(sysroot: Path) -> Iterator[None]:
    """Asserts that what is inside changes nothing, and leaves no mount."""
    before, mounts = state(sysroot), mounts_in(sysroot)
    yield
    after = state(sysroot)
    assert {k: v for k, v in after.items() if before.get(k) != v} == {}
    assert sorted(before) == sorted(after)
    assert mounts_in(sysroot) == mounts == []


def mounts_in(sysroot: Path) -> list[str]:
    """The mounts of our own namespace that concern the sysroot, as lines of /proc/mounts."""
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if str(sysroot) in line]


def _below(top: Path) -> Iterator[Path]:
    if top.is_dir() and not top.is_symlink():
        yield from top.rglob("*")


def _noun(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))  # noqa: PTH115  # Path would tidy it up
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return (oct(status.st_mode), status.st_uid, status.st_gid, content)
