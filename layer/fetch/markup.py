"""Looking metadata over once, when they come, so that no parser meets what would break it.

libsolv's reader takes what it gets: a value of 100 MB costs hours, since expat begins a tag
anew with every piece that it is given of it; a text of that length costs its triple in memory;
parentheses in a dependency cost stack. None of that is in any real file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from layer.errors import InvalidInput
from layer.solver.conditions import check_condition

_CHUNK = 1 << 18  # bytes
_LONGEST_TEXT = 1 << 18  # bytes between two tags; descriptions are the longest there are
_LONGEST_TAG = 1 << 14  # bytes
_LARGEST = 4 << 30  # bytes, unpacked
_UNSUSPICIOUS = 64 << 20  # bytes, unpacked; below it does not matter how well they were packed
_DEEPEST = 100  # elements in each other; there are five
_BEST_RATIO = 200  # XML packs to a twentieth, or a fiftieth
CODECS = {".xml": "none", ".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}

# A comment, unparsed text or an instruction to the reader, as one whole.
_ASIDE = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_WEB_PAGE = re.compile(rb"<!doctype\s+html", re.IGNORECASE)
_ASIDE_START = re.compile(rb"<(?:\?|!(?:-|\[|$)|$)")
_TAG = re.compile(rb"""[^"'>]*(?:"[^"]*"[^"'>]*|'[^']*'[^"'>]*)*>""")
_EMPTY = re.compile(rb"""<[^<>"'/]*(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*)*/>""")
# The value of an attribute that is a condition, also where its parenthesis is escaped.
_CONDITION = re.compile(rb"""=\s*(?:"([(&][^"<]*)"|'([(&][^'<]*)')""")


def check_markup(path: Path) -> None:
    """InvalidInput where an XML file, packed as its name says, is none that a repository needs."""
    from layer.rpmfile.stream import decompressed  # loads rpm, which only new metadata need

    limit = max(_UNSUSPICIOUS, min(_LARGEST, _BEST_RATIO * path.stat().st_size))
    total, look = 0, _Look()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with decompressed(descriptor, CODECS[path.suffix]) as read:
            while chunk := read(_CHUNK):
                total += len(chunk)
                if total > limit:
                    raise InvalidInput(f"holds more than {limit >> 20} MB")
                look.take(chunk)
    except OSError as error:
        raise InvalidInput("is damaged") from error
    finally:
        os.close(descriptor)


class _Look:
    """One look over a file, piece by piece."""

    def __init__(self) -> None:
        self._rest = b""  # the last tag and its text, of which more may come
        self._depth = 0

    def take(self, chunk: bytes) -> None:
        """Looks at all that is whole."""
        if b"\0" in chunk:
            raise InvalidInput("is not written in UTF-8")
        data, aside = _without_asides(self._rest + chunk)
        end = max(data.rfind(b"<"), 0)
        self._rest = data[end:] + aside
        if len(self._rest) > _LONGEST_TEXT:
            raise InvalidInput(f"holds a text of more than {_LONGEST_TEXT >> 10} kB")
        for piece in data.split(b"<"):
            if len(piece) > _LONGEST_TAG:
                _check_length(piece)
        for double, single in _CONDITION.findall(data):
            _check_condition(double or single)
        self._descend(data[:end])

    def _descend(self, data: bytes) -> None:
        opened = data.count(b"<")
        is_plain = opened == data.count(b">")  # then no > stands where it closes no tag
        closed = data.count(b"/>") if is_plain else len(_EMPTY.findall(data))
        self._depth += opened - closed - 2 * data.count(b"</")
        if self._depth > _DEEPEST:
            raise InvalidInput(f"nests more than {_DEEPEST} elements")


def _check_condition(value: bytes) -> None:
    is_simple = len(value) <= 200 and value.count(b"(") <= 3 and b"&" not in value
    if is_simple:
        return
    from html import unescape  # slow to load, and seldom needed

    try:
        check_condition(unescape(value.decode("utf-8", "replace")))
    except InvalidInput as error:
        raise InvalidInput(f"holds {error.message}") from error


def _without_asides(data: bytes) -> tuple[bytes, bytes]:
    """The data without asides, up to one that has not ended yet; and the rest."""
    if b"<!" not in data and b"<?" not in data:
        return data, b""
    data = _ASIDE.sub(_text_of, data)
    at = min((n for n in (data.find(b"<!"), data.find(b"<?")) if n >= 0), default=-1)
    if at < 0:
        return data, b""
    if _WEB_PAGE.match(data, at):  # of a captive portal, say
        raise InvalidInput("is no repository metadata")
    if not _ASIDE_START.match(data, at):
        raise InvalidInput("declares what no list of packages needs to declare")
    return data[:at], data[at:]


def _text_of(aside: re.Match[bytes]) -> bytes:
    """So much of it as counts as text."""
    return b" " * len(aside[0]) if aside[0].startswith(b"<![") else b""


def _check_length(piece: bytes) -> None:
    """A piece is a tag without its < and the text behind it."""
    tag = _TAG.match(piece)
    if tag is None or len(tag[0]) > _LONGEST_TAG:
        raise InvalidInput(f"holds a tag of more than {_LONGEST_TAG >> 10} kB")
    if len(piece) > _LONGEST_TEXT:
        raise InvalidInput(f"holds a text of more than {_LONGEST_TEXT >> 10} kB")
