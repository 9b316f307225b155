"""Starts processes of the host, and ends what it started however we end."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from layer.errors import NotFound
from layer.frozen import dataclass
from layer.interrupts import uninterrupted

_KEPT = 1 << 20  # bytes of output that are kept, from the end
_TICK = 0.05  # seconds between two looks at what a watched command uses
_DYING = 10.0  # seconds that a killed sandbox has until its pipe must have closed
HOST_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

_TIME = "time"
_INSTALL = "install the package that has it, or see to PATH"

Watch = Callable[[int], str]
"""Takes a command's process id; gives the limit that it has reached, or ""."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended (minus the signal's number where one killed it) and what it printed.

    `reached` says which limit it was killed for.
    """

    status: int
    output: str
    is_timeout: bool = False
    reached: str = ""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    keep: int = _KEPT,
    watch: Watch | None = None,
    descriptors: Sequence[int] = (),
) -> Finished:
    """Runs a command to its end; its standard output and error together, the last `keep` bytes.

    Standard input is empty, the environment is `env` (by default PATH and the
    C locale), the umask 022. Whatever interrupts us kills the command first.
    `watch` is asked all the time; what it answers is the limit for which the command is killed.
    It has `descriptors` open, too. NotFound where the host lacks the program.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=HOST_ENVIRONMENT if env is None else env,
            umask=0o022,
            pass_fds=descriptors,
            # Ctrl-C at the terminal reaches us alone, and we end what we started.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFound(f"this machine has no program {argv[0]}", _INSTALL) from error
    assert process.stdout is not None
    with process.stdout as pipe:
        try:
            limits = _Limits(process.pid, timeout, watch)
            output, why = _collect(pipe, keep, limits)
            if not why:
                why = _await_end(process, limits)
        except BaseException:
            _kill(process)
            _collect(pipe, keep, _Limits(process.pid, _DYING))
            process.wait()
            raise
        if why:
            _kill(process)
            output += _collect(pipe, keep, _Limits(process.pid, _DYING))[0]
    text = output.decode(errors="replace")
    return Finished(process.wait(), text, why == _TIME, "" if why == _TIME else why)


def find_program(name: str) -> Path | None:
    """Where this machine has a program that `run` would start, or None."""
    found = shutil.which(name, path=HOST_ENVIRONMENT["PATH"])
    return Path(found) if found else None


def attached(argv: Sequence[str]) -> int:
    """Runs a command on our own terminal and environment; returns its exit status.

    128 and the number of the signal that ended it, as shells say it. NotFound
    where the host lacks the program.
    """
    try:
        status = subprocess.run(argv, check=False).returncode
    except FileNotFoundError as error:
        raise NotFound(f"this machine has no program {argv[0]}", _INSTALL) from error
    return 128 - status if status < 0 else status


def piped(argv: Sequence[str], text: bytes, settings: Mapping[str, str]) -> None:
    """Gives a text to a command on our own terminal, with our environment and `settings`.

    It may end before it has read all. NotFound where the host lacks the program.
    """
    environment = {**os.environ, **settings}
    with uninterrupted():
        try:
            subprocess.run(argv, input=text, env=environment, check=False)
        except (FileNotFoundError, PermissionError) as error:
            raise NotFound(
                f"this machine has no program {argv[0]}",
                "$LAYER_PAGER names another; so does $PAGER",
            ) from error


class _Limits:
    """When a command must end; `check` says why, "" as long as it need not."""

    def __init__(self, pid: int, timeout: float | None, watch: Watch | None = None) -> None:
        self._pid = pid
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._watch = watch

    def check(self) -> str:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return _TIME
        return self._watch(self._pid) if self._watch else ""

    @property
    def pause(self) -> float | None:
        """Seconds until the next check."""
        if self._watch:
            return _TICK
        return None if self._deadline is None else max(0, self._deadline - time.monotonic())


def _collect(pipe: IO[bytes], keep: int, limits: _Limits) -> tuple[bytes, str]:
    """What comes until the end of the pipe, the last `keep` bytes, and the limit that ended it."""
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            why = limits.check()
            if why:
                return bytes(output), why
            if not selector.select(limits.pause):
                continue
            chunk = os.read(pipe.fileno(), 1 << 16)
            if not chunk:
                return bytes(output), ""
            output += chunk
            if len(output) > 2 * keep:
                del output[:-keep]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its children; it leads a group of its own."""
    if process.returncode is None:  # else the number may be another's by now
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _await_end(process: subprocess.Popen[bytes], limits: _Limits) -> str:
    """A process may close its output and live on."""
    while True:
        try:
            process.wait(limits.pause)
            return ""
        except subprocess.TimeoutExpired:
            why = limits.check()
            if why:
                return why
