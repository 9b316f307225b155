"""Directories of our own, gone at the end; those of who was killed go at the next `sweep`."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "layer-"  # of those beside the objects
# Of the solver's cache, which is swept where no solver is loaded, too: a folder beside those that
# are named by repositories' ids, which begin with no dot, and what names in it begin with.
SOLV_CACHE, NEW_SOLV_CACHE = ".solv", ".new-"
_KEPT = ".kept"


@contextmanager
def scratch_directory(directory: Path, prefix: str = PREFIX) -> Iterator[Path]:
    """An empty directory, removed at the end unless `leave` was told of it."""
    with _locked(directory, fcntl.LOCK_SH):  # nobody sweeps until it is seen to be ours
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        if not (folder / _KEPT).exists():
            # libostree may have been first where it lies in its own: it removes what is older
            # than a day, and a clock can jump.
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def leave(folder: Path) -> None:
    """Lets a directory of `scratch_directory` stay, for a person to look at."""
    (folder / _KEPT).touch()


def sweep(directory: Path, prefix: str) -> None:
    """Removes directories and locked files of that prefix whose makers have died."""
    with suppress(OSError), _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in sorted(directory.glob(f"{prefix}*")):
            with suppress(OSError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not path.is_dir():
                    path.unlink()
                elif not (path / _KEPT).exists():
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
