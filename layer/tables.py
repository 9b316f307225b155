"""Tables and long lines in the room that there is; pure, and without colour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_GAP = "  "  # between two cells
_LEAST = 16  # columns below which a last cell is not worth folding beside the others
# What a line may begin with, so that its rest stands below its own start.
_KEY = re.compile(r" *(?:[\w-]+ ){0,2}[\w-]+ *: +(?=\S)")


def table(rows: Iterable[Sequence[str]], indent: str = _GAP, width: int | None = None) -> list[str]:
    """Rows as columns of equal width, in lines of `width` columns where that can be.

    Where they are too wide, the last cell goes on below itself. Rows for which that would have
    little room, or all where these are many, have cells in lines of their own.
    """
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    head = len(indent) + sum(size + len(_GAP) for size in widths[:-1])
    if width is None or head + widths[-1] <= width:
        return [_line(row, widths, indent) for row in rows]
    beside = _fitting(rows, indent, width)
    widths = [max((len(row[i]) for row in beside), default=0) for i in range(len(rows[0]))]
    return [
        line
        for row in rows
        for line in (
            _folded_last(row, widths, indent, width)
            if row in beside
            else _stacked(row, indent, width)
        )
    ]


def _fitting(rows: Sequence[Sequence[str]], indent: str, width: int) -> list[Sequence[str]]:
    """The rows that leave room for the last cell beside the others, if that is most of them.

    What keeps a table from its columns is often one long version of many.
    """
    left = list(rows)
    while 3 * len(left) > 2 * len(rows):
        widths = [max(len(row[i]) for row in left) for i in range(len(rows[0]))]
        room = width - len(indent) - sum(size + len(_GAP) for size in widths[:-1])
        if room >= min(_LEAST, widths[-1]):
            return left
        left.remove(max(left, key=lambda row: sum(map(len, row[:-1]))))
    return []


def folded(text: str, width: int | None) -> str:
    """Lines of `width` columns, broken between words; None breaks none. No word is broken."""
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _fold(line, width))


def _line(row: Sequence[str], widths: Sequence[int], indent: str) -> str:
    cells = (cell.ljust(size) for cell, size in zip(row, widths, strict=True))
    return f"{indent}{_GAP.join(cells)}".rstrip()


def _folded_last(
    row: Sequence[str], widths: Sequence[int], indent: str, width: int
) -> Iterable[str]:
    hanging = len(indent) + sum(size + len(_GAP) for size in widths[:-1])
    return _wrapped(_line(row, widths, indent), width, hanging)


def _stacked(row: Sequence[str], indent: str, width: int) -> list[str]:
    """The cells one after the other, the first of them alone to the left."""
    lines = [f"{indent}{row[0]}"]
    for cell in filter(None, row[1:]):
        if len(lines[-1]) + len(_GAP) + len(cell) <= width:
            lines[-1] += f"{_GAP}{cell}"
        else:
            lines += _wrapped(f"{indent}{_GAP}{cell}", width, len(indent) + len(_GAP))
    return lines


def _fold(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    key = _KEY.match(line)
    start = len(line) - len(line.lstrip())
    if key is not None and " " not in line[key.end() :] and len(line) - width <= start:
        return [line[len(line) - width :]]  # a word that fits where it stands further to the left
    hanging = start + len(_GAP)
    if key is not None and key.end() <= width // 3:
        hanging = key.end()
    return _wrapped(line, width, hanging)


def _wrapped(line: str, width: int, hanging: int) -> list[str]:
    """A line in parts, of which all but the first stand `hanging` columns to the right."""
    parts, rest = [], line
    while len(rest) > width:
        start = len(rest) - len(rest.lstrip())
        place = rest.rfind(" ", max(start, hanging) + 1, width + 1)
        if place < 0:
            place = rest.find(" ", max(start, hanging, width))
        if place < 0:
            break
        parts.append(rest[:place].rstrip())
        rest = " " * hanging + rest[place:].lstrip()
    return [*parts, rest]
