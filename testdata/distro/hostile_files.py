"""Files that are no package, or the beginning of one, or two things at once."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable

from testdata.distro.forge import (
    COMPRESSORS,
    Draft,
    draft,
    entry_position,
    header_start,
    int32,
    seal,
    signature,
    text,
    with_tags,
    without_tags,
)
from testdata.distro.hostile import ORDINARY, HostilePackage, good
from testdata.distro.rpmheader import Tag

NO_RPM = "is not an RPM package|is no RPM package"
CUT = "or damaged|is damaged or cut short|is no RPM package|is not an RPM package"
DIGEST = "the digest of its payload is wrong"
DAMAGED = "its payload is damaged: "


def _whole(name: str) -> bytes:
    return seal(draft(good(name)))


def _cut(name: str, why: str, expected: str, end: Callable[[bytes], int]) -> HostilePackage:
    return HostilePackage(name, why, expected, lambda: _whole(name)[: end(_whole(name))])


def _header_end(data: bytes) -> int:
    start = header_start(data)
    entries, size = struct.unpack_from(">8xII", data, start)
    return start + 16 + 16 * int(entries) + int(size)


def _poked(
    name: str, why: str, expected: str, position: Callable[[bytes], int], value: int
) -> HostilePackage:
    """A package with another 32-bit number somewhere, behind its digests."""

    def make() -> bytes:
        data = bytearray(_whole(name))
        struct.pack_into(">I", data, position(bytes(data)), value)
        return bytes(data)

    return HostilePackage(name, why, expected, make)


def _edited(name: str, why: str, expected: str, tag: Tag, shift: int, value: int) -> HostilePackage:
    """A package whose index entry of `tag` was changed before it was sealed."""

    def edit(header: bytearray) -> None:
        struct.pack_into(">I", header, entry_position(bytes(header), tag) + shift, value)

    return HostilePackage(name, why, expected, lambda: seal(draft(good(name, ORDINARY)), edit=edit))


def _flipped_header(name: str) -> bytes:
    data = bytearray(_whole(name))
    data[data.index(b"The package")] ^= 0x20
    return bytes(data)


def _flipped_payload(name: str) -> bytes:
    data = bytearray(_whole(name))
    data[data.rindex(b"ordinary\n")] ^= 0x20
    return bytes(data)


def _wrong_sha256(name: str) -> bytes:
    data = _whole(name)
    start, end = header_start(data), _header_end(data)
    header, payload = data[start:end], data[end:]
    return data[:96] + signature(header, payload, sha256="0" * 64) + header + payload


def _source(name: str) -> bytes:
    parts = without_tags(draft(good(name)), Tag.SOURCERPM)
    return seal(with_tags(parts, int32(1106, 1)))  # RPMTAG_SOURCEPACKAGE


def _delta(name: str) -> bytes:
    return seal(with_tags(draft(good(name)), text(Tag.PAYLOADFORMAT, "drpm")))


def _junk(name: str, codec: str) -> bytes:
    """Nothing vouches for the payload, and something follows it."""
    parts = draft(good(name))
    parts = Draft(parts.lead, parts.fields, parts.archive, codec)
    payload = COMPRESSORS[codec](parts.archive)
    return seal(parts, payload=payload + b"junk" * 64, has_payload_digest=False)


TABLE = (
    HostilePackage("empty-file", "nothing at all", NO_RPM, lambda: b""),
    HostilePackage(
        "html", "a captive portal answers", NO_RPM, lambda: b"<html>Please log in</html>\n" * 40
    ),
    HostilePackage("gzip-file", "another format", NO_RPM, lambda: gzip.compress(os.urandom(999))),
    _cut("cut-lead", "a part of the lead", CUT, lambda _: 50),
    _cut("cut-magic", "a part of the magic number", NO_RPM, lambda _: 3),
    _cut("cut-signature", "a part of the signature header", CUT, lambda _: 96 + 40),
    _cut("cut-intro", "a part of the header's intro", CUT, lambda data: header_start(data) + 9),
    _cut("cut-header", "a part of the header", CUT, lambda data: _header_end(data) - 9),
    _cut("cut-payload", "a part of the payload", DIGEST, lambda data: len(data) - 60),
    _cut("no-payload", "the header alone", DIGEST, _header_end),
    HostilePackage(
        "junk-behind",
        "the payload's digest covers the file to its end",
        DIGEST,
        lambda: _whole("junk-behind") + b"junk",
    ),
    *(
        HostilePackage(
            f"junk-behind-{codec}",
            "without a digest, only the reader of the archive sees what follows it",
            DAMAGED,
            lambda codec=codec: _junk(f"junk-behind-{codec}", codec),  # type: ignore[misc]
        )
        for codec in ("ufdio", "zstd")
    ),
    HostilePackage(
        "header-digest", "a letter of the summary", CUT, lambda: _flipped_header("header-digest")
    ),
    HostilePackage(
        "signed-digest", "another digest is promised", CUT, lambda: _wrong_sha256("signed-digest")
    ),
    HostilePackage(
        "payload-digest", "a letter of a file", DIGEST, lambda: _flipped_payload("payload-digest")
    ),
    HostilePackage(
        "source-package",
        "no binary package",
        "is a source package",
        lambda: _source("source-package"),
    ),
    HostilePackage(
        "delta-package",
        "a delta says so in its payload format",
        "payload format '?drpm'? is unknown",
        lambda: _delta("delta-package"),
    ),
    HostilePackage(
        "delta-file",
        "a delta without the old package begins with its own magic",
        NO_RPM,
        lambda: b"drpm" + b"DLT3" + bytes(500),
    ),
    _poked("many-tags", "4 billion tags", CUT, lambda data: header_start(data) + 8, 0xFFFFFFFF),
    _poked("long-data", "4 GB of data", CUT, lambda data: header_start(data) + 12, 0xFFFFFFF0),
    _poked("most-data", "256 MB of data", CUT, lambda data: header_start(data) + 12, 0x0FFFFFFF),
    _poked("many-signatures", "4 billion signature tags", CUT, lambda _: 96 + 8, 0xFFFFFFFF),
    _poked("long-signatures", "4 GB of signatures", CUT, lambda _: 96 + 12, 0xFFFFFFF0),
    _poked("no-tags", "a header without tags", CUT, lambda data: header_start(data) + 8, 0),
    _edited("offset-beyond", "data behind the end", CUT, Tag.BASENAMES, 8, 0x00FFFFFF),
    _edited("offset-negative", "data before the start", CUT, Tag.BASENAMES, 8, 0xFFFFFF00),
    _edited("count-beyond", "more items than there are", CUT, Tag.BASENAMES, 12, 0x00FFFFFF),
    _edited("type-unknown", "a type that rpm has not", CUT, Tag.BASENAMES, 4, 42),
)

# Packages of before 2017 have no digest of their payload. What stands behind the end of a
# stream is then read by nobody, neither here nor by rpm; the whole file's checksum covers it.
ACCEPTED = tuple(
    HostilePackage(
        f"junk-behind-{codec}",
        "no decompressor looks behind the end of its stream",
        "",
        lambda codec=codec: _junk(f"junk-behind-{codec}", codec),  # type: ignore[misc]
    )
    for codec in COMPRESSORS
    if codec not in ("ufdio", "zstd")
)
