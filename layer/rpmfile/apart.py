"""A root directory of a thread's own.

rpm tells by the inodes of directories whether two paths are one file, and looks for them where it
runs. What links this machine has must not decide what is written for another tree.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from layer.frozen import dataclass
from layer.mounts import enter_root, new_tmpfs

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class OwnRoot:
    """An empty directory, and what to do with it as the root directory; `path` is it from here.

    SQLite follows `path`, and then takes what it finds for a path of ours: it works inside.
    """

    descriptor: int
    path: Path

    def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work` in a thread that sees only what is below `path`, as /."""
        from concurrent.futures import ThreadPoolExecutor  # takes long to load

        def enter_and_work() -> _Result:
            enter_root(self.descriptor)
            return work()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(enter_and_work).result()


@contextmanager
def own_root(scratch: Path, room: int) -> Iterator[OwnRoot]:
    """A root directory that is gone at the end: in memory, where `room` bytes are to spare there.

    Else it is in `scratch`. What is in memory is on no disk, and nobody waits for one.
    """
    descriptor = new_tmpfs() if _is_in_memory(room) else None
    if descriptor is None:
        with tempfile.TemporaryDirectory(prefix="root-", dir=scratch) as folder:
            yield from _opened(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    else:
        yield from _opened(descriptor)


def _opened(descriptor: int) -> Iterator[OwnRoot]:
    try:
        yield OwnRoot(descriptor, Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


def _is_in_memory(room: int) -> bool:
    """Whether so many bytes are less than half of the memory that can be had (proc(5))."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        found = dict(line.split(":") for line in lines)
    available = int(found.get("MemAvailable", "0 kB").split()[0]) << 10
    return 2 * room < available
