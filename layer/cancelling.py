"""Ending another process of layer's, from outside."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from layer.errors import LayerError
from layer.host import Host, require_root
from layer.processes import command_line, lock_holders
from layer.words import printable

_PATIENCE = 60  # seconds; the step that changes what boots is not interrupted
_POLL = 0.05
_PROGRAMS = {"layer", "rpm-ostree"}


def cancel(host: Host) -> tuple[str, ...]:
    """Interrupts whoever holds the sysroot's lock, and waits; the command lines that ended.

    LayerError where that is another program, which is left alone, or one that does not end.
    """
    require_root()
    ended = []
    for pid in lock_holders(host.sysroot.path / "ostree/lock"):
        words = command_line(pid)
        if not words:
            continue  # it has just ended
        shown = printable(" ".join(_after_program(words) or words))
        if not _after_program(words):
            raise LayerError(
                f"process {pid} works on {host.sysroot.path}, and is not layer: {shown}",
                f"end it yourself: kill -INT {pid}",
            )
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        end = time.monotonic() + _PATIENCE
        while pid in lock_holders(host.sysroot.path / "ostree/lock"):
            if time.monotonic() > end:
                raise LayerError(
                    f"process {pid} ({shown}) has not ended within {_PATIENCE} s",
                    "wait for it: a change of what boots is not interrupted",
                )
            time.sleep(_POLL)
        ended.append(shown)
    return tuple(ended)


def _after_program(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command line from the program's name on, () where it is not layer's."""
    for number, word in enumerate(words[:4]):
        if Path(word).name in _PROGRAMS:
            return ("layer", *words[number + 1 :])
    return ()
