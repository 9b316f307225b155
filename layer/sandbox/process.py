"""Starts processes of the host, and ends what it started however we end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from layer.errors import NotFound

_KEPT = 1 << 20  # bytes of output that are kept, from the end
_DYING = 10.0  # seconds that a killed sandbox has until its pipe must have closed
HOST_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended (minus the signal's number where one killed it) and what it printed."""

    status: int
    output: str
    is_timeout: bool = False


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    keep: int = _KEPT,
) -> Finished:
    """Runs a command to its end; its standard output and error together, the last `keep` bytes.

    Standard input is empty, the environment is `env` (by default PATH and the
    C locale), the umask 022. Whatever interrupts us kills the command first.
    NotFound where the host lacks the program.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=HOST_ENVIRONMENT if env is None else env,
            umask=0o022,
            # Ctrl-C at the terminal reaches us alone, and we end what we started.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFound(f"this machine has no program {argv[0]}") from error
    assert process.stdout is not None
    with process.stdout as pipe:
        try:
            output, is_timeout = _collect(pipe, timeout, keep)
            if not is_timeout:
                is_timeout = not _has_ended(process, timeout)
        except BaseException:
            _kill(process)
            _collect(pipe, _DYING, keep)
            process.wait()
            raise
        if is_timeout:
            _kill(process)
            output += _collect(pipe, _DYING, keep)[0]
    return Finished(process.wait(), output.decode(errors="replace"), is_timeout)


def attached(argv: Sequence[str]) -> int:
    """Runs a command on our own terminal and environment; returns its exit status.

    128 and the number of the signal that ended it, as shells say it. NotFound
    where the host lacks the program.
    """
    try:
        status = subprocess.run(argv, check=False).returncode
    except FileNotFoundError as error:
        raise NotFound(f"this machine has no program {argv[0]}") from error
    return 128 - status if status < 0 else status


def _collect(pipe: IO[bytes], timeout: float | None, keep: int) -> tuple[bytes, bool]:
    """What comes until the end of the pipe, the last `keep` bytes, and whether time was up."""
    deadline = None if timeout is None else time.monotonic() + timeout
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return bytes(output), True
            if not selector.select(left):
                continue
            chunk = os.read(pipe.fileno(), 1 << 16)
            if not chunk:
                return bytes(output), False
            output += chunk
            if len(output) > 2 * keep:
                del output[:-keep]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its children; it leads a group of its own."""
    if process.returncode is None:  # else the number may be another's by now
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """A process may close its output and live on."""
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True
