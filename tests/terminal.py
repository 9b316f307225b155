"""The real program on a terminal of its own: what it writes there, and what a person sees."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyte

_PATIENCE = 120  # seconds
_PAGES = 2000  # lines


@dataclass(frozen=True)
class Shown:
    """All that came to a terminal, when (in seconds), and how the program ended."""

    blocks: tuple[tuple[float, str], ...]
    status: int
    columns: int
    lines: int

    @property
    def text(self) -> str:
        """The characters as they came."""
        return "".join(block for _, block in self.blocks)

    def screen(self, blocks: int | None = None) -> pyte.Screen:
        """What a person has before them at the end, or after so many blocks."""
        screen = pyte.Screen(self.columns, _PAGES)
        pyte.Stream(screen).feed("".join(block for _, block in self.blocks[:blocks]))
        return screen

    def seen(self) -> list[str]:
        """The lines that stay."""
        found = [line.rstrip() for line in self.screen().display]
        while found and not found[-1]:
            found.pop()
        return found


def on_terminal(
    *words: str,
    columns: int = 80,
    lines: int = 24,
    answers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (sys.executable, "-m", "layer"),
) -> Shown:
    """Runs the program on a terminal of that size; types an answer where its question is seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in _UNSET}
    waiting = dict(answers or {})
    with subprocess.Popen(
        [*program, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**kept, "TERM": "xterm-256color", **(env or {})},
    ) as process:
        os.close(theirs)
        began, blocks, tail = time.monotonic(), [], b""
        while block := _read(ours):
            # A character may come in two parts.
            tail += block
            text = tail.decode(errors="ignore")
            if text.encode() != tail and len(tail) < 4:
                continue
            blocks.append((time.monotonic() - began, text))
            tail = tail[len(text.encode()) :] if text.encode() != tail else b""
            for question in [q for q in waiting if q in text]:
                os.write(ours, waiting.pop(question).encode())
        os.close(ours)
        status = process.wait(_PATIENCE)
    return Shown(tuple(blocks), status, columns, lines)


_UNSET = {"COLUMNS", "LINES", "NO_COLOR", "LAYER_PAGER", "PAGER", "LESS"}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux says so at the end of a terminal
        return b""
