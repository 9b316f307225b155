"""What blklogwrites has recorded: writes and flushes, in their order.

The format is that of dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): a
superblock, and then for each entry one sector that describes it and its data.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MAGIC = 0x6A736677736872
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_FLUSH, _DISCARD = 1, 4
_PAGE = 4096  # bytes; what may reach the disk without its neighbours


@dataclass(frozen=True)
class Entry:
    """A write of the disk, at a place of it; or a flush: all before it is durable.

    `at`: where the log has its data, which is not for a discard.
    """

    is_flush: bool
    offset: int = 0
    length: int = 0
    at: int | None = None


def read_log(path: Path) -> tuple[Entry, ...]:
    """All entries that the file holds now; the superblock's number of them may come late."""
    size = path.stat().st_size
    entries = []
    with path.open("rb") as file:
        magic, version, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert (magic, version) == (_MAGIC, 1), f"{path} is no log of writes"
        place = sector
        while place + sector <= size:
            file.seek(place)
            start, count, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            place += sector
            if (start, count, flags) == (0, 0, 0):
                break  # room that nothing was written to
            offset, length = start * sector, count * sector
            if flags & _DISCARD:
                entries.append(Entry(is_flush=False, offset=offset, length=length))
                continue
            if length:
                entries.append(Entry(is_flush=False, offset=offset, length=length, at=place))
                place += length
            if flags & _FLUSH:
                entries.append(Entry(is_flush=True))
    assert place <= size, f"{path} ends within an entry"
    return tuple(entries)


def flushes(entries: Sequence[Entry]) -> tuple[int, ...]:
    """The numbers of entries up to and with each flush."""
    return tuple(number + 1 for number, entry in enumerate(entries) if entry.is_flush)


def pages(entries: Sequence[Entry], chance: random.Random) -> Iterator[Entry]:
    """Half of what is written, by pages: no flush says that any of it is on the disk."""
    for entry in entries:
        for start in range(0, entry.length, _PAGE):
            length = min(_PAGE, entry.length - start)
            if chance.random() < 0.5:
                at = None if entry.at is None else entry.at + start
                yield Entry(is_flush=False, offset=entry.offset + start, length=length, at=at)


def replay(log: Path, entries: Sequence[Entry], image: Path) -> None:
    """Writes to the image what was written to the disk; a discard leaves what was there."""
    with log.open("rb") as source, image.open("r+b") as file:
        for entry in entries:
            if entry.at is not None:
                source.seek(entry.at)
                file.seek(entry.offset)
                file.write(source.read(entry.length))
