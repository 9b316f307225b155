"""Malformed RPMs: a good package is taken apart, changed anywhere, and sealed again.

All digests are right unless a change is made behind them, so that nothing but
care stands between what was changed and whoever reads the package.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import zstandard

from testdata.distro.rpmheader import Kind, Region, Tag
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import encode_rpm

_LEAD = 96
_INTRO = 16
_SHA256 = 8
_ALIGNMENT = {Kind.INT16: 2, Kind.INT32: 4, 5: 8}

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "ufdio": lambda data: data,
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE, preset=0),
    "zstd": lambda data: zstandard.ZstdCompressor(level=3).compress(data),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A tag's value as it stands in a header: rpm's type, number of items, and bytes."""

    tag: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """A package in parts; `codec` is one of COMPRESSORS."""

    lead: bytes
    fields: tuple[Field, ...]
    archive: bytes
    codec: str = "ufdio"


def draft(spec: RpmSpec) -> Draft:
    """The parts of a good package."""
    data = encode_rpm(spec, compression="none")
    header = header_start(data)
    entries, size = struct.unpack_from(">8xII", data, header)
    return Draft(
        data[:_LEAD],
        tuple(_fields(data[header : header + _INTRO + 16 * entries + size])),
        data[header + _INTRO + 16 * entries + size :],
    )


def with_tags(parts: Draft, *fields: Field) -> Draft:
    """Other values for these tags."""
    tags = {field.tag for field in fields}
    kept = [field for field in parts.fields if field.tag not in tags]
    return replace(parts, fields=(*kept, *fields))


def without_tags(parts: Draft, *tags: Tag | int) -> Draft:
    """A header that lacks these tags."""
    gone = {tag.number if isinstance(tag, Tag) else tag for tag in tags}
    return replace(parts, fields=tuple(f for f in parts.fields if f.tag not in gone))


def seal(
    parts: Draft,
    *,
    payload: bytes | None = None,
    edit: Callable[[bytearray], None] | None = None,
    has_payload_digest: bool = True,
) -> bytes:
    """The package's bytes.

    `payload` takes the place of the compressed archive; `edit` changes the
    header's bytes before they are sealed.
    """
    if payload is None:
        payload = COMPRESSORS[parts.codec](parts.archive)
    parts = with_tags(
        parts,
        strings(Tag.PAYLOADDIGEST, hashlib.sha256(payload).hexdigest()),
        strings(Tag.PAYLOADDIGESTALT, hashlib.sha256(parts.archive).hexdigest()),
    )
    if parts.codec != "ufdio":
        parts = with_tags(parts, text(Tag.PAYLOADCOMPRESSOR, parts.codec))
    if not has_payload_digest:
        parts = without_tags(parts, Tag.PAYLOADDIGEST, Tag.PAYLOADDIGESTALT, Tag.PAYLOADDIGESTALGO)
    header = bytearray(encode(parts.fields, Region.IMMUTABLE))
    if edit is not None:
        edit(header)
    return parts.lead + signature(bytes(header), payload) + bytes(header) + payload


def signature(header: bytes, payload: bytes, **wrong: str) -> bytes:
    """A padded signature header; `wrong` may say another `sha256`."""
    body = header + payload
    sha256 = wrong.get("sha256", hashlib.sha256(header).hexdigest())
    fields = (
        text(Tag.SIG_SHA1, hashlib.sha1(header, usedforsecurity=False).hexdigest()),
        text(Tag.SIG_SHA256, sha256),
        int32(Tag.SIG_SIZE, len(body) & 0xFFFFFFFF),
        Field(1004, Kind.BINARY, 16, hashlib.md5(body, usedforsecurity=False).digest()),
        int32(Tag.SIG_PAYLOADSIZE, 0),
    )
    encoded = encode(fields, Region.SIGNATURES)
    return encoded + bytes(-len(encoded) % 8)


def header_start(data: bytes) -> int:
    """Where the header of a package begins: behind lead and signature."""
    entries, size = struct.unpack_from(">8xII", data, _LEAD)
    end = _LEAD + _INTRO + 16 * int(entries) + int(size)
    return end + -end % 8


def encode(fields: Sequence[Field], region: Region) -> bytes:
    """A header of these fields, in the order of their tags, equal ones as they come."""
    store, index = bytearray(), bytearray()
    for field in sorted(fields, key=lambda field: field.tag):
        store += bytes(-len(store) % _ALIGNMENT.get(field.kind, 1))
        index += struct.pack(">IIII", field.tag, field.kind, len(store), field.count)
        store += field.data
    entries = len(fields) + 1
    head = struct.pack(">IIII", region, Kind.BINARY, len(store), 16)
    store += struct.pack(">iiii", region, Kind.BINARY, -16 * entries, 16)
    intro = b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", entries, len(store))
    return intro + head + bytes(index) + bytes(store)


def entry_position(header: bytes, tag: Tag) -> int:
    """Where the index entry of a tag stands: number, type, offset and count, four bytes each."""
    (entries,) = struct.unpack_from(">8xI", header)
    for position in range(_INTRO, _INTRO + 16 * entries, 16):
        if struct.unpack_from(">I", header, position)[0] == tag.number:
            return position
    raise KeyError(tag)


# --- values -------------------------------------------------------------------------------------


def text(tag: Tag | int, value: str | bytes) -> Field:
    """A single string."""
    return Field(_number(tag), Kind.STRING, 1, _bytes(value) + b"\0")


def strings(tag: Tag | int, *values: str | bytes) -> Field:
    """An array of strings."""
    data = b"".join(_bytes(value) + b"\0" for value in values)
    return Field(_number(tag), Kind.STRINGS, len(values), data)


def int16(tag: Tag | int, *values: int) -> Field:
    """An array of 16-bit numbers."""
    return Field(_number(tag), Kind.INT16, len(values), struct.pack(f">{len(values)}H", *values))


def int32(tag: Tag | int, *values: int) -> Field:
    """An array of 32-bit numbers."""
    return Field(_number(tag), Kind.INT32, len(values), struct.pack(f">{len(values)}I", *values))


def int64(tag: Tag | int, *values: int) -> Field:
    """An array of 64-bit numbers."""
    return Field(_number(tag), 5, len(values), struct.pack(f">{len(values)}Q", *values))


def _number(tag: Tag | int) -> int:
    return tag.number if isinstance(tag, Tag) else tag


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _fields(header: bytes) -> list[Field]:
    (entries,) = struct.unpack_from(">8xI", header)
    store = header[_INTRO + 16 * entries :]
    found = []
    for number in range(1, entries):  # the first is the region
        tag, kind, offset, count = struct.unpack_from(">IIII", header, _INTRO + 16 * number)
        found.append(Field(tag, kind, count, store[offset : _end(store, kind, offset, count)]))
    return found


def _end(store: bytes, kind: int, offset: int, count: int) -> int:
    width = {Kind.INT16: 2, Kind.INT32: 4, Kind.BINARY: 1}.get(Kind(kind))
    if width:
        return offset + width * count
    for _ in range(count):
        offset = store.index(b"\0", offset) + 1
    return offset
