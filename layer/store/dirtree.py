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
    files = {}
    for item in _items(data[:middle]):
        name, start = _name(item)
        files[name] = bytes(item[start : start + _CHECKSUM]).hex()
    directories = {}
    for item in _items(data[middle:-width]):
        name, start = _name(item)
        contents = bytes(item[start : start + _CHECKSUM]).hex()
        attributes = bytes(item[start + _CHECKSUM : start + 2 * _CHECKSUM]).hex()
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
        yield data[start:end]
        start = end


def _name(item: memoryview) -> tuple[str, int]:
    """The leading string of a tuple, and where the next member starts."""
    raw = bytes(item)
    end = raw.index(0)
    return raw[:end].decode(), end + 1


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
