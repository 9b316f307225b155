"""Where libostree keeps what an open transaction has written, until that is committed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def empty_staging(repository: Path) -> None:
    """Takes away what was written: libostree keeps it, and the next transaction commits it."""
    for folder in _staging(repository):
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)


def staged_bytes(repository: Path) -> int:
    """What the objects take on the disk, in bytes of whole blocks; those that were there before
    are not among them."""
    total = 0
    for folder in _staging(repository):
        for place, _, names in os.walk(folder):
            total += sum(Path(place, name).lstat().st_blocks for name in names)
    return 512 * total


def is_staging_empty(repository: Path) -> bool:
    """Whether nothing was written: what came was there before, or there are refs alone."""
    return not any(names for folder in _staging(repository) for _, _, names in os.walk(folder))


def _staging(repository: Path) -> Iterator[Path]:
    for descriptor in Path("/proc/self/fd").iterdir():  # ours is the one that we hold open
        with suppress(OSError):
            folder = descriptor.readlink()
            is_its = folder.parent == repository / "tmp" and folder.name.startswith("staging-")
            if is_its and folder.is_dir():  # beside it lies a file that is its lock
                yield folder
