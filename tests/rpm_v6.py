"""Write RPM v6 packages, as rpm 6 builds them: sizes of 64 bits, three digests, no names in cpio.

Format: https://rpm-software-management.github.io/rpm/manual/format_v6.html
"""

from __future__ import annotations

import hashlib
import posixpath
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from enum import IntEnum

from testdata.distro.forge import (
    COMPRESSORS,
    Draft,
    Field,
    draft,
    encode,
    int32,
    int64,
    strings,
    text,
    with_tags,
    without_tags,
)
from testdata.distro.rpmheader import Kind, Region, Tag
from testdata.distro.rpmspec import RpmSpec


class New(IntEnum):
    """The tags that packages of version 4 lack."""

    SIG_SHA256 = 273
    SIG_SHA3_256 = 279
    SIG_RESERVED = 999
    LONGFILESIZES = 5008
    LONGSIZE = 5009
    PAYLOADSHA256 = 5092  # once PAYLOADDIGEST
    PAYLOADSHA256ALGO = 5093  # as rpm 4 needed it, and rpm 6 does not
    PAYLOADSHA256ALT = 5097
    PAYLOADSIZE = 5112
    PAYLOADSIZEALT = 5113
    RPMFORMAT = 5114
    FILEMIMEINDEX = 5115
    MIMEDICT = 5116
    SOURCENEVR = 5120
    PAYLOADSHA512 = 5121
    PAYLOADSHA512ALT = 5122
    PAYLOADSHA3_256 = 5123
    PAYLOADSHA3_256ALT = 5124


# Of the compressed payload, of the archive in it, and how both are made.
PAYLOAD_DIGESTS = (
    (New.PAYLOADSHA256, New.PAYLOADSHA256ALT, hashlib.sha256, strings),
    (New.PAYLOADSHA512, New.PAYLOADSHA512ALT, hashlib.sha512, text),
    (New.PAYLOADSHA3_256, New.PAYLOADSHA3_256ALT, hashlib.sha3_256, text),
)
HEADER_DIGESTS = ((New.SIG_SHA256, hashlib.sha256), (New.SIG_SHA3_256, hashlib.sha3_256))

_RESERVED = 64  # bytes for signatures to come
_NEWC_HEADER = 110
_V4_ONLY = (Tag.SIZE, Tag.FILESIZES, New.PAYLOADSHA256ALGO)


def encode_rpm_v6(
    spec: RpmSpec,
    *,
    codec: str = "zstd",
    without: Collection[New] = (),
    wrong: Collection[New] = (),
    spoil: Callable[[Draft], Draft] = lambda parts: parts,
) -> bytes:
    """The package's bytes.

    It lacks the tags in `without`, and the digests in `wrong` are those of something else;
    `spoil` changes the parts before they are sealed.
    """
    parts = spoil(_draft(spec, codec))
    payload = COMPRESSORS[parts.codec](parts.archive)
    digests = _payload_fields(parts, payload, wrong)
    kept = {field.tag for field in parts.fields} - {field.tag for field in digests}
    own = [field for field in parts.fields if field.tag in kept]
    header = encode([f for f in (*own, *digests) if f.tag not in without], Region.IMMUTABLE)
    return parts.lead + _signature(header, without, wrong) + header + payload


def _draft(spec: RpmSpec, codec: str) -> Draft:
    """A package that would be of version 4, as one of version 6."""
    parts = draft(spec)
    fields = [
        int32(New.RPMFORMAT, 6),
        text(Tag.RPMVERSION, "6.0.0"),
        text(New.SOURCENEVR, f"{spec.source or spec.name}-{spec.evr}"),
        text(Tag.PAYLOADCOMPRESSOR, codec),
        int64(New.LONGSIZE, *_numbers(parts, Tag.SIZE)),
    ]
    if sizes := _numbers(parts, Tag.FILESIZES):
        fields += [
            int64(New.LONGFILESIZES, *sizes),
            int32(New.FILEMIMEINDEX, *[0] * len(sizes)),
            strings(New.MIMEDICT, "application/octet-stream"),
        ]
    # Version 4 for older readers; architecture and system are 0.
    lead = parts.lead[:4] + struct.pack(">BBhh", 4, 0, 0, 0) + parts.lead[10:76]
    lead += struct.pack(">hh16x", 0, 5)
    kept = with_tags(without_tags(parts, *_V4_ONLY), *fields)
    return replace(kept, lead=lead, archive=_stripped(parts), codec=codec)


def _stripped(parts: Draft) -> bytes:
    """The archive with each entry's number in the header for all else that is said of it."""
    folders, names = _texts(parts, Tag.DIRNAMES), _texts(parts, Tag.BASENAMES)
    places = zip(_numbers(parts, Tag.DIRINDEXES), names, strict=True)
    numbers = {posixpath.join(folders[at], name): n for n, (at, name) in enumerate(places)}
    stripped, position = bytearray(), 0
    while True:
        fields = parts.archive[position : position + _NEWC_HEADER]
        size, length = int(fields[54:62], 16), int(fields[94:102], 16)
        start = position + _NEWC_HEADER
        name = parts.archive[start : start + length - 1]
        if name == b"TRAILER!!!":
            return bytes(stripped) + parts.archive[position:]
        content = start + length + -(start + length) % 4
        stripped += b"07070X%08x" % numbers[name.removeprefix(b".")]
        stripped += bytes(-len(stripped) % 4) + parts.archive[content : content + size]
        stripped += bytes(-len(stripped) % 4)
        position = content + size + -size % 4


def _payload_fields(parts: Draft, payload: bytes, wrong: Collection[New]) -> list[Field]:
    fields = [
        int64(New.PAYLOADSIZE, len(payload)),
        int64(New.PAYLOADSIZEALT, len(parts.archive)),
    ]
    for tag, alternative, algorithm, written in PAYLOAD_DIGESTS:
        for which, data in ((tag, payload), (alternative, parts.archive)):
            fields.append(written(which, algorithm(data + b"x" * (which in wrong)).hexdigest()))
    return fields


def _signature(header: bytes, without: Collection[New], wrong: Collection[New]) -> bytes:
    fields = [
        text(tag, algorithm(header + b"x" * (tag in wrong)).hexdigest())
        for tag, algorithm in HEADER_DIGESTS
        if tag not in without
    ]
    reserved = Field(New.SIG_RESERVED, Kind.BINARY, _RESERVED, bytes(_RESERVED))
    encoded = encode([*fields, reserved], Region.SIGNATURES)
    return encoded + bytes(-len(encoded) % 8)


def _numbers(parts: Draft, tag: Tag) -> Sequence[int]:
    data = _data(parts, tag)
    return struct.unpack(f">{len(data) // 4}I", data)


def _texts(parts: Draft, tag: Tag) -> list[bytes]:
    return _data(parts, tag).split(b"\0")[:-1]


def _data(parts: Draft, tag: Tag) -> bytes:
    return next((field.data for field in parts.fields if field.tag == tag.number), b"")
