"""What a process and all that it started use, as /proc says it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from layer.frozen import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Threads of all processes together, and the bytes that these have in memory."""

    tasks: int
    memory: int


def usage_of(pid: int) -> Usage:
    """The usage of a process and of its descendants, as far as they still live."""
    children: dict[int, list[int]] = defaultdict(list)
    found: dict[int, Usage] = {}
    for name in (path.name for path in Path("/proc").iterdir()):
        if name.isdigit():
            try:
                # The name in brackets may hold anything; proc_pid_stat(5) counts from there.
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:  # it has just ended
                continue
            children[int(fields[1])].append(int(name))
            found[int(name)] = Usage(int(fields[17]), int(fields[21]) * _PAGE)
    tasks, memory, todo = 0, 0, [pid]
    while todo:
        one = todo.pop()
        todo += children[one]
        if one in found:
            tasks, memory = tasks + found[one].tasks, memory + found[one].memory
    return Usage(tasks, memory)
