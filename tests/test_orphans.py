"""No trigger goes on once the program itself was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

_SANDBOX = """
from pathlib import Path
from layer.sandbox.box import Sandbox, SandboxedCommand
with Sandbox(Path({scratch!r})) as box:
    overlay = box.overlay([Path({lower!r})])
    box.run(overlay, SandboxedCommand(("/bin/sh", "-c", {script!r}), 0, wrapper={wrapper!r}))
"""
_SECONDS = 20.0  # until what was killed must be gone, on a busy machine


def lives(*words: str) -> list[int]:
    """The processes that have exactly this command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().split(b"\0")[:-1] == [word.encode() for word in words]:
                found.append(int(path.parent.name))
    return found


def await_all(*words: str, are_there: bool) -> list[int]:
    deadline = time.monotonic() + _SECONDS
    while bool(found := lives(*words)) != are_there and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("kind", ["sandbox", "traced sandbox"])
def test_a_trigger_ends_with_the_killed_program(kind: str, tmp_path: Path) -> None:
    seconds = f"86{os.getpid()}"  # a word that no other process has
    script = f"trap '' HUP TERM INT; sleep {seconds}; :"
    wrapper = ("strace", "-f", "-o", str(tmp_path / "log")) if "traced" in kind else ()
    text = _SANDBOX.format(scratch=str(tmp_path), lower="/usr", script=script, wrapper=wrapper)
    program = subprocess.Popen([sys.executable, "-c", text], start_new_session=True)
    try:
        assert await_all("sleep", seconds, are_there=True)
        program.send_signal(signal.SIGKILL)
        program.wait()
        assert await_all("sleep", seconds, are_there=False) == []
    finally:
        program.kill()
        for process in lives("sleep", seconds):
            os.kill(process, signal.SIGKILL)
