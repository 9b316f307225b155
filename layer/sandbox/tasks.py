"""A hard limit on processes, which the kernel keeps: the pids controller of cgroups(7)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from layer.frozen import dataclass

# Where the controller may be: in its own hierarchy (version 1), or in the one of all (version 2).
_ROOTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
_PREFIX = "layer-"  # then the maker's process id, and a random word
_EMPTYING = 5.0  # seconds until the kernel has buried all that was killed
_ENTER = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """A group of processes that cannot grow beyond its limit; None where the host has no such."""

    path: Path | None

    def entered(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The command line that starts another within the group."""
        if self.path is None:
            return tuple(argv)
        return ("/bin/sh", "-c", _ENTER, str(self.path / "cgroup.procs"), *argv)

    def has_refused(self) -> bool:
        """Whether a process was not started for the limit's sake."""
        if self.path is None:
            return False
        with suppress(OSError):
            fields = (self.path / "pids.events").read_text().split()
            return fields[0] == "max" and fields[1] != "0"
        return False


@contextmanager
def task_group(most: int) -> Iterator[TaskGroup]:
    """A group of at most so many processes and threads, gone at the end.

    The host may have no such controller, or not let us use it: then nothing is limited.
    """
    path = _make(most)
    try:
        yield TaskGroup(path)
    finally:
        if path is not None:
            _remove(path)


def _make(most: int) -> Path | None:
    for root in _ROOTS:
        _remove_abandoned(root)
        with suppress(OSError):
            path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
            try:
                (path / "pids.max").write_text(str(most))
            except OSError:  # the hierarchy has other controllers
                path.rmdir()
                continue
            return path
    return None


def _remove_abandoned(root: Path) -> None:
    """Removes the groups of programs that were killed."""
    for path in root.glob(f"{_PREFIX}*-*"):
        maker = path.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", maker).exists():
            with suppress(OSError):
                path.rmdir()


def _remove(path: Path) -> None:
    deadline = time.monotonic() + _EMPTYING
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # something in it is still ending
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        else:
            return
