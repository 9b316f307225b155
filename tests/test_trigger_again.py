"""The same again starts no sandbox: counted in the kernel's own words, which strace writes down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import do, extra_repository, repositories
from tests.world import Machine

STRACE = ["strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-o"]


def sandboxes(machine: Machine, log: Path, *words: str) -> int:
    """How many sandboxes an install in a process of its own starts."""
    options = ["--sysroot", str(machine.path), *repositories(machine, "install"), "-y"]
    command = [sys.executable, "-m", "layer", "install", *options, *words]
    subprocess.run([*STRACE, str(log), *command], check=True, capture_output=True)
    lines = log.read_text().splitlines()
    return sum('/bwrap", ' in line and line.endswith("= 0") for line in lines)


def test_the_same_again_starts_no_sandbox(machine: Machine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert sandboxes(machine, log, "apple", "daemon") == 2  # ldconfig, sysusers
    first = machine.pending().checksum
    do(machine, "reset", "-y")

    assert sandboxes(machine, log, "apple", "daemon") == 0
    assert machine.pending().checksum == first

    do(machine, "reset", "-y")
    conf = FileSpec("/usr/lib/sysusers.d/more.conf", b'u gamma - "Gamma"\n')
    more = extra_repository(tmp_path / "more", tiny_rpm("more", conf))
    assert sandboxes(machine, log, *more, "apple", "daemon", "more") == 1  # sysusers alone
