"""Files that a user named for what a verb makes: a plan, a lock, a drawing."""

from __future__ import annotations

from pathlib import Path

from layer.errors import LayerError
from layer.words import shown


def require_place(path: Path) -> None:
    """LayerError where a file could never be written: to be known before long work, not after."""
    if not path.parent.is_dir():
        raise LayerError(f"cannot write {shown(str(path))}: there is no such directory")


def write_output(path: Path, content: bytes) -> None:
    """Writes the file in place, as a pipe or a device needs it; LayerError, which names it."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise LayerError(f"cannot write {shown(str(path))}: {error.strerror}") from error
