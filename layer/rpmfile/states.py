"""What the rpm database says of each file of a package: that it is there, or why it is not."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping

from layer.model import Nevra

_FILESTATES = 1029  # RPMTAG_FILESTATES, one byte for each file
_ENTRY = struct.Struct(">IIiI")  # tag, type, offset, count


class FileState(enum.IntEnum):
    """Whether a file is there: rpm's RPMFILE_STATE_NORMAL, _NOTINSTALLED and _WRONGCOLOR."""

    NORMAL = 0
    NOT_INSTALLED = 2  # what --excludedocs leaves behind
    WRONG_COLOR = 4  # another package's ELF file is preferred


# By package, and by the position in its list of files.
FileStates = Mapping[Nevra, Mapping[int, FileState]]


def with_file_states(blob: bytes, states: Mapping[int, FileState]) -> bytes:
    """A package's header as the database keeps it, with these states of files.

    They are by the position in the header's list of files, and lie outside of what is signed.
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
    for position, state in states.items():
        if not 0 <= position < items:
            raise ValueError(f"the header has no state of file {position}")
        changed[start + position] = state
    return bytes(changed)
