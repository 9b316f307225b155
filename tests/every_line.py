"""Runs many command lines of the program from one process that forks, so that each takes a moment.

python -m tests.every_line < JSON of `{"lines": [[word, ...], ...], "is_closed": bool, ...}`
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BUG = 99  # the exit status of what ended with a traceback


@dataclass(frozen=True)
class Done:
    """How a command line ended."""

    words: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run_lines(
    lines: Sequence[Sequence[str]],
    *,
    env: Mapping[str, str],
    is_closed: bool = False,
    columns: int = 0,
) -> list[Done]:
    """Runs them one after the other, with an empty stdin; `is_closed`: nobody reads stdout.

    With `columns` it is a terminal of so many, and all that is written there is its stdout.
    """
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LC_ALL", "LANG")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.every_line"],
        input=json.dumps(
            {"lines": [[*line] for line in lines], "is_closed": is_closed, "columns": columns}
        ),
        capture_output=True,
        encoding="ascii",
        env={**kept, **env},
        check=True,
    )
    found = json.loads(done.stdout)
    return [Done(tuple(one["words"]), one["status"], one["out"], one["err"]) for one in found]


def main() -> None:
    """Reads the lines, runs them, and writes what came of them."""
    import layer.commands
    from tests.test_architecture import verbs

    for verb in verbs():
        importlib.import_module(f"{layer.commands.__name__}.{verb.replace('-', '_')}")
    asked = json.loads(sys.stdin.read())
    with tempfile.TemporaryDirectory() as folder:  # for who writes a file of any name
        os.chdir(folder)
        if asked["columns"]:
            found = [_run_on_terminal(words, asked["columns"]) for words in asked["lines"]]
        else:
            found = [_run(words, is_closed=asked["is_closed"]) for words in asked["lines"]]
        os.chdir("/")
    print(json.dumps(found))


def _run(words: list[str], *, is_closed: bool) -> dict[str, object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(words, _unread_pipe() if is_closed else out.fileno(), err.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    return {"words": words, "status": status, "out": texts[0], "err": texts[1]}


def _run_on_terminal(words: list[str], columns: int) -> dict[str, object]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = os.fork()
    if child == 0:
        os.close(ours)
        _become(words, theirs, theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # Linux says so at the end of a terminal
        while block := os.read(ours, 1 << 16):
            written += block
    os.close(ours)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = written.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    return {"words": words, "status": status, "out": text, "err": ""}


def _become(words: list[str], out: int, err: int) -> None:
    from layer.__main__ import command

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["layer", *words]
    try:
        if "LAYER_TEST_BUG" in os.environ:
            raise AssertionError("as a bug would")
        command()
    except BaseException:
        traceback.print_exc()
    os._exit(BUG)


def _unread_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


if __name__ == "__main__":
    main()
