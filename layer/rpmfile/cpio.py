"""The cpio archive inside an RPM: `newc` (cpio(5)), and rpm's own form without names.

The second, magic `07070X`, has only the file's index in the header: rpm uses it where
a file is larger than 4 GiB, and always in packages of version 6.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator

from layer.errors import PackageRefused
from layer.frozen import dataclass
from layer.words import shown

_NEWC = (b"070701", b"070702")
_STRIPPED = b"07070X"
_MAGIC = 6
_NEWC_HEADER = 110
_STRIPPED_HEADER = 14
_TRAILER = b"TRAILER!!!"
_LONGEST_NAME = 1 << 16
_LONGEST_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry's own words. Without a name it has an index, and says no mode and size."""

    name: bytes | None
    index: int = 0
    mode: int = 0
    size: int = 0


class Reader:
    """Takes an archive apart in one pass; holds no more than one chunk.

    PackageRefused, naming `package`, where the archive is none or ends too early.
    """

    def __init__(self, package: str, read: Callable[[int], bytes], chunk: int) -> None:
        self._package = package
        self._read = read
        self._chunk = chunk
        self._buffer = b""
        self._start = 0  # of what is unread in the buffer
        self._offset = 0  # in the archive, for padding
        self._left = 0  # bytes of the entry's content that nobody has taken

    def next_entry(self) -> Entry | None:
        """The next entry, after which its `content` must be taken; None at the trailer."""
        assert not self._left, "content was not taken"
        self._skip_padding()
        magic = self._take(_MAGIC)
        if magic == _STRIPPED:
            index = self._number(self._take(_STRIPPED_HEADER - _MAGIC))
            self._skip_padding()
            return Entry(None, index=index)
        if magic not in _NEWC:
            raise self._damaged(f"{magic!r} is not the beginning of an entry")
        header = self._take(_NEWC_HEADER - _MAGIC)
        length = self._number(header[88:96])
        if not 0 < length <= _LONGEST_NAME:
            raise self._damaged(f"a name of {length} bytes")
        name = self._take(length)
        self._skip_padding()
        if name[-1:] != b"\0" or b"\0" in name[:-1]:
            raise self._damaged("a name is not terminated")
        if name[:-1] == _TRAILER:
            return None
        return Entry(name[:-1], mode=self._number(header[8:16]), size=self._number(header[48:56]))

    def content(self, size: int) -> Iterator[bytes]:
        """`size` bytes of the current entry, in chunks; to be taken to the end."""
        self._left = size
        while self._left:
            if self._start == len(self._buffer):
                self._fill(1)
            piece = self._buffer[self._start : self._start + self._left]
            self._start += len(piece)
            self._offset += len(piece)
            self._left -= len(piece)
            yield piece

    def check_end(self) -> None:
        """After the trailer there may be zeros, and nothing else."""
        tail = 0
        rest = self._buffer[self._start :]
        while rest:
            tail += len(rest)
            if rest.strip(b"\0") or tail > _LONGEST_TAIL:
                raise self._damaged("something follows its end")
            rest = self._decompressed()

    def _take(self, size: int) -> bytes:
        if len(self._buffer) - self._start < size:
            self._fill(size)
        piece = self._buffer[self._start : self._start + size]
        self._start += size
        self._offset += size
        return piece

    def _skip_padding(self) -> None:
        if padding := -self._offset % 4:
            self._take(padding)

    def _fill(self, size: int) -> None:
        pieces = [self._buffer[self._start :]]
        have = len(pieces[0])
        while have < size:
            piece = self._decompressed()
            if not piece:
                raise self._damaged("it ends too early")
            pieces.append(piece)
            have += len(piece)
        self._buffer = b"".join(pieces)
        self._start = 0

    def _decompressed(self) -> bytes:
        try:
            return self._read(self._chunk)
        except OSError as error:
            # rpm's words for what its decompressors say.
            raise self._damaged(str(error)) from error

    def _number(self, text: bytes) -> int:
        # int() would take signs, blanks, underscores and 0x too.
        try:
            return int.from_bytes(binascii.unhexlify(text), "big")
        except binascii.Error:
            raise self._damaged(f"{text!r} is not a number") from None

    def _damaged(self, fact: str) -> PackageRefused:
        return PackageRefused(f"{self._package}: its payload is damaged: {shown(fact)}")
