"""The bytes of an OSTree directory object.

The format is the GVariant `(a(say)a(sayay))`: files with their checksums, then
directories with the checksums of contents and attributes, both sorted by name
(ostree-core.h, OSTREE_TREE_GVARIANT_FORMAT; GVariant specification 1.0). Read
and written here because a directory of thousands of names takes PyGObject a
hundred times longer: it boxes every byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from layer.errors import StoreError
from layer.model import Directory, Tree

_CHECKSUM = 32


def parse_directory(data: bytes) -> Directory:
    """The names in a serialised directory; StoreError where the bytes are not one."""
    try:
        return _parse(memoryview(data))
    except (IndexError, ValueError) as error:
        raise StoreError("a directory object is corrupt", "run `ostree fsck`") from error


def serialize_directory(directory: Directory) -> bytes:
    """The bytes of a directory object, equal for equal directories."""
    files = _array(_file(name, sum_) for name, sum_ in sorted(directory.files.items()))
    subdirectories = _array(
        _subdirectory(name, tree) for name, tree in sorted(directory.directories.items())
    )
    body = files + subdirectories
    return body + _offsets([len(files)], len(body))


def _parse(data: memoryview) -> Directory:
    if len(data) == 0:
        return Directory({}, {})
    width = _width_of(len(data))
    middle = int.from_bytes(data[-width:], "little")
    _check(middle <= len(data) - width)
    files = {}
    for item in _items(data[:middle]):
        name, (checksum,) = _members(item, 1)
        files[name] = checksum
    directories = {}
    for item in _items(data[middle:-width]):
        name, (contents, attributes) = _members(item, 2)
        directories[name] = Tree(contents, attributes)
    return Directory(files, directories)


def _items(data: memoryview) -> Iterable[memoryview]:
    """The elements of an array of variable size: their end offsets stand behind them."""
    if len(data) == 0:
        return
    width = _width_of(len(data))
    table = int.from_bytes(data[-width:], "little")
    start = 0
    for position in range(table, len(data), width):
        end = int.from_bytes(data[position : position + width], "little")
        _check(start < end <= table)
        yield data[start:end]
        start = end
    _check(start == table)


def _members(item: memoryview, count: int) -> tuple[str, list[str]]:
    """The name and the `count` checksums of a tuple; its framing offsets end it."""
    raw = bytes(item)
    start = raw.index(0) + 1
    end = start + count * _CHECKSUM
    _check(len(raw) == end + count * _width_of(len(raw)))
    checksums = [raw[at : at + _CHECKSUM].hex() for at in range(start, end, _CHECKSUM)]
    return raw[: start - 1].decode(), checksums


def _check(is_right: bool) -> None:
    if not is_right:
        raise ValueError("offsets that do not fit")


def _file(name: str, checksum: str) -> bytes:
    start = name.encode() + b"\0"
    body = start + bytes.fromhex(checksum)
    return body + _offsets([len(start)], len(body))


def _subdirectory(name: str, tree: Tree) -> bytes:
    start = name.encode() + b"\0"
    body = start + bytes.fromhex(tree.contents) + bytes.fromhex(tree.attributes)
    # A tuple's offsets stand in reverse order: the end of the second member first.
    return body + _offsets([len(start) + _CHECKSUM, len(start)], len(body))


def _array(items: Iterable[bytes]) -> bytes:
    body = bytearray()
    ends = []
    for item in items:
        body += item
        ends.append(len(body))
    return bytes(body) + _offsets(ends, len(body))


def _offsets(ends: list[int], body: int) -> bytes:
    """Offsets in the smallest width that can address the body and themselves."""
    for width in (1, 2, 4, 8):
        if body + width * len(ends) < 1 << (8 * width):
            return b"".join(end.to_bytes(width, "little") for end in ends)
    raise StoreError("a directory is too large for a directory object")


def _width_of(size: int) -> int:
    return 1 if size < 1 << 8 else 2 if size < 1 << 16 else 4 if size < 1 << 32 else 8
