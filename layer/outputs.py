"""Files that a user named, for a plan, a lock or a drawing; - stands for a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

from layer.errors import InvalidInput, LayerError, NotFound
from layer.words import shown

DASH = Path("-")
_OUTPUT = 1  # the descriptor
_HINT = "name a file in a directory that is there and may be written"


def require_place(path: Path) -> None:
    """LayerError where a file could never be written: to be known before long work, not after."""
    if not path.parent.is_dir():
        raise LayerError(f"cannot write {named(path)}: there is no such directory", _HINT)


def write_output(path: Path, content: bytes) -> None:
    """Writes the file in place, as a pipe or a device needs it; LayerError, which names it.

    `-` is the standard output.
    """
    try:
        if path != DASH:
            path.write_bytes(content)
            return
        with open(_OUTPUT, "wb", closefd=False) as output:
            output.write(content)
    except BrokenPipeError:
        raise  # who reads has enough
    except OSError as error:
        raise LayerError(f"cannot write {named(path)}: {error.strerror}", _HINT) from error


def read_input(path: Path) -> str:
    """The text of a file that layer wrote; `-` is the standard input."""
    try:
        content = sys.stdin.buffer.read() if path == DASH and sys.stdin else path.read_bytes()
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{named(path)} is damaged, or no file of layer's") from error
    except OSError as error:
        raise NotFound(f"{named(path)} cannot be read: {error.strerror}") from error


def named(path: Path) -> str:
    """How messages call a file."""
    return "the standard stream" if path == DASH else shown(str(path))
