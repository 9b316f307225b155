"""What the rpm database says of each file of a package: that it is there, or was left out."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_FILESTATES = 1029  # RPMTAG_FILESTATES, one byte for each file
_NOT_INSTALLED = 2  # RPMFILE_STATE_NOTINSTALLED, what rpm --excludedocs leaves behind
_ENTRY = struct.Struct(">IIiI")  # tag, type, offset, count


def with_absent_files(blob: bytes, positions: Iterable[int]) -> bytes:
    """A package's header as the database keeps it, with these files recorded as not installed.

    `positions` are those in the header's list of files. The states lie outside of what is signed.
    ValueError where the header has no states for them.
    """
    count, _ = struct.unpack_from(">II", blob)
    for number in range(count):
        tag, _, offset, items = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        if tag == _FILESTATES:
            break
    else:
        raise ValueError("the header has no file states")
    start = 8 + count * _ENTRY.size + offset
    changed = bytearray(blob)
    for position in positions:
        if not 0 <= position < items:
            raise ValueError(f"the header has no state of file {position}")
        changed[start + position] = _NOT_INSTALLED
    return bytes(changed)
