"""Content on its way into the store, held while it is hashed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Self

from layer.store.gobject import Gio, GLib

_IN_MEMORY = 1 << 22  # bytes; what is larger goes to the disk
_AT_ONCE = 1 << 16  # bytes; to put more together costs more than to give it in pieces


class Spool:
    """Bytes that are written once, and then read by libostree: in memory, or on disk if many."""

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._folder = folder
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Adds bytes at the end."""
        self.size += len(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._pieces.append(piece)
        if self.size > _IN_MEMORY:
            # It has no name, so that nothing is left of it whatever happens.
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed above
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def stream(self) -> Any:
        """All that was written, as a `Gio.InputStream`."""
        if self._file is None:
            if self.size <= _AT_ONCE:
                return Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(b"".join(self._pieces)))
            stream = Gio.MemoryInputStream.new()
            for piece in self._pieces:
                stream.add_bytes(GLib.Bytes.new(piece))
            return stream
        self._file.seek(0)  # which flushes, too
        return Gio.UnixInputStream.new(os.dup(self._file.fileno()), True)
