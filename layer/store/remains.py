"""What is left in a sysroot of a process that was killed, and libostree never removes."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# libglnx gives a file a name of this form before it takes another one's place. Among the refs it
# counts as one.
_ON_ITS_WAY = re.compile(r"tmp\.[A-Za-z0-9]{6}")
WORK = "ostree/layer/work"
_STAGING, _LOCK = "staging-*", "-lock"


def sweep_sysroot(sysroot: Path) -> None:
    """Removes it; to be called with the lock held.

    Where a program works on the repository its files stay: they may be that program's own.
    """
    # Trees that were about to be recycled: what nobody finished, nobody can tell what it is.
    shutil.rmtree(sysroot / WORK, ignore_errors=True)
    repo = sysroot / "ostree/repo"
    with suppress(OSError), _alone(repo / ".lock"):
        for path in (*_below(repo / "refs"), *sysroot.glob("ostree/deploy/*/deploy/tmp.*")):
            if _ON_ITS_WAY.fullmatch(path.name):
                path.unlink()
    staging = sorted((repo / "tmp").glob(_STAGING))
    for lock in (path for path in staging if path.name.endswith(_LOCK)):
        with suppress(OSError), _alone(lock):
            shutil.rmtree(lock.with_name(lock.name.removesuffix(_LOCK)), ignore_errors=True)
            lock.unlink()
    if any((repo / "state").glob("*.commitpartial")):
        return  # what a pull that failed has fetched stays for the next one, without a lock
    for folder in (path for path in staging if path.is_dir()):
        if not folder.with_name(f"{folder.name}{_LOCK}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _below(folder: Path) -> Iterator[Path]:
    for top, _, names in os.walk(folder):
        yield from (Path(top, name) for name in names)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a lock as libostree takes them, of the open file; OSError where another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
        yield
    finally:
        os.close(descriptor)
