"""What a command costs, from its start until what it wrote is on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Of its own, and small: else the peak would count what this process had before exec.
_METER = """
import ctypes, json, os, subprocess, sys, time
libc = ctypes.CDLL(None)
folder = os.open(sys.argv[1], os.O_RDONLY) if sys.argv[1] else None
began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
output = process.stdout.read().decode(errors="replace")
_, status, usage = os.wait4(process.pid, 0)
ended = time.perf_counter()
if folder is not None:
    libc.syncfs(folder)
durable = time.perf_counter()
print(json.dumps([durable - began, ended - began, usage.ru_utime, usage.ru_stime,
                  usage.ru_maxrss << 10, os.waitstatus_to_exitcode(status), output]))
"""


class Failed(Exception):
    """A command that was to be measured did not do its work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, of processor in the program and in the kernel; bytes at the peak.

    `clock` ends when all is on the disk, `ended` when the program had ended. `phases` are
    seconds by the clock and of processor of each phase of layer's, `counts` what it did.
    """

    clock: float
    ended: float
    user: float
    system: float
    peak: int
    output: str = ""
    phases: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def processor(self) -> float:
        """Seconds of processor."""
        return self.user + self.system

    def plus(self, other: Cost) -> Cost:
        """One command after the other."""
        return Cost(
            self.clock + other.clock,
            self.ended + other.ended,
            self.user + other.user,
            self.system + other.system,
            max(self.peak, other.peak),
        )


def measure(command: Sequence[str], folder: Path | None, profile: Path | None = None) -> Cost:
    """Runs a command; Failed where its status is not 0. `profile` is what layer writes.

    What others wrote before is on the disk when it begins, and what it wrote into `folder`'s
    filesystem when it ends; without one nobody waits for the disk.
    """
    # As installed: byte-code is kept.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if folder is not None:
        os.sync()
    meter = [sys.executable, "-S", "-c", _METER, str(folder or ""), *command]
    *figures, status, output = json.loads(subprocess.check_output(meter, env=environment))
    if status != 0:
        raise Failed(f"status {status}: {' '.join(command)}\n{output}")
    phases, counts = _read(profile) if profile else ({}, {})
    return Cost(*figures, output=output, phases=phases, counts=counts)


def _read(profile: Path) -> tuple[dict[str, tuple[float, float]], dict[str, int]]:
    found = json.loads(profile.read_text())
    phases = {p["name"]: (p["seconds"], p["processor"]) for p in found["phases"]}
    return phases, found["counts"]
