"""Packages whose payload is not what their header says, although its digest is right."""

from __future__ import annotations

import hashlib
import lzma
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import zstandard

from testdata.distro.cpio import Member, pack_cpio
from testdata.distro.forge import COMPRESSORS, Draft, draft, int16, int32, seal, strings, with_tags
from testdata.distro.hostile import ORDINARY, HostilePackage, good, of_draft
from testdata.distro.rpmheader import Tag
from testdata.distro.rpmspec import FileSpec

DAMAGED = "its payload is damaged: "
REGULAR = stat.S_IFREG | 0o644
NAME = b"./usr/share/hostile/ordinary"
ENTRY = Member(NAME, REGULAR, ORDINARY.content)
_BOMB = 200 << 20  # bytes
_NAME_SIZE = 6 + 8 * 11  # in a cpio entry's header: eight digits
_FILE_SIZE = 6 + 8 * 6
_TRAILER = 4 * 31  # bytes: the trailer's entry


def _of_archive(name: str, why: str, expected: str, archive: bytes) -> HostilePackage:
    return of_draft(name, why, expected, lambda parts: replace(parts, archive=archive))


def _of_members(name: str, why: str, expected: str, *members: Member) -> HostilePackage:
    return _of_archive(name, why, expected, pack_cpio(list(members)))


def _poked(position: int, digits: bytes) -> bytes:
    archive = bytearray(pack_cpio([ENTRY]))
    archive[position : position + len(digits)] = digits
    return bytes(archive)


def _bomb(codec: str, place: str) -> HostilePackage:
    """Zeros that the header does not speak of: behind the archive, or in the entry of a file."""
    name = f"bomb-{place}-{codec}"

    @cache
    def make() -> bytes:
        if place == "behind":
            archive = pack_cpio([ENTRY])
        else:
            archive = _poked(_FILE_SIZE, b"%08x" % _BOMB)[:-_TRAILER]
        parts = draft(good(name))
        return seal(Draft(parts.lead, parts.fields, archive + bytes(_BOMB), codec))

    expected = (
        f"{DAMAGED}something follows its end" if place == "behind" else "disagree on its size"
    )
    return HostilePackage(name, "200 MB of zeros in a few kB", expected, make)


def _hungry(name: str, codec: str, payload: bytes, expected: str) -> HostilePackage:
    """A decompressor may be asked for more memory than there is."""
    parts = draft(good(name))
    parts = Draft(parts.lead, parts.fields, b"", codec)
    return HostilePackage(
        name, "a dictionary of gigabytes", expected, lambda: seal(parts, payload=payload)
    )


def _wide_zstd() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return data.compress(pack_cpio([ENTRY])) + data.flush()


def _wide_lzma() -> bytes:
    """The header of an .lzma file that wants 4 GB: properties, dictionary size, unknown length."""
    return struct.pack("<BIQ", 0x5D, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) + bytes(200)


def _wide_xz() -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]
    data = bytearray(lzma.compress(pack_cpio([ENTRY]), filters=filters))
    # The block header after the 12 bytes of the stream's: size, flags, filter, its one property.
    assert data[14:16] == b"\x21\x01"
    data[16] = 40  # 4 GiB - 1
    size = 4 * (data[12] + 1)
    struct.pack_into("<I", data, 12 + size - 4, zlib.crc32(bytes(data[12 : 12 + size - 4])))
    return bytes(data)


def _linked(
    name: str, why: str, expected: str, members: Sequence[Member], modes: Sequence[int]
) -> HostilePackage:
    files = (FileSpec("/usr/a", b"x"), FileSpec.hardlink("/usr/b", "/usr/a"))

    def spoil(parts: Draft) -> Draft:
        changed = with_tags(parts, int16(Tag.FILEMODES, *modes))
        return replace(changed, archive=pack_cpio(list(members))) if members else changed

    return of_draft(name, why, expected, spoil, *files)


_MD5 = hashlib.md5(ORDINARY.content, usedforsecurity=False).hexdigest()

TABLE = (
    _of_members(
        "other-name",
        "not what the header lists",
        "./usr/bin/sh: the payload holds it, the header does not",
        replace(ENTRY, name=b"./usr/bin/sh"),
    ),
    _of_members(
        "dots-name",
        "climbs out",
        "the payload holds it, the header does not",
        replace(ENTRY, name=b"./usr/share/hostile/../hostile/ordinary"),
    ),
    _of_members(
        "escape-name",
        "speaks to the terminal",
        r"\\x1b\[2J: the payload holds it, the header does not",
        replace(ENTRY, name=b"\x1b[2J"),
    ),
    _of_members(
        "long-name",
        "60,000 bytes",
        "^.{,700}the payload holds it, the header does not",
        replace(ENTRY, name=b"x" * 60_000),
    ),
    _of_members(
        "one-too-many",
        "more than the header lists",
        "/usr/bin/sh: the payload holds it",
        ENTRY,
        replace(ENTRY, name=b"./usr/bin/sh"),
    ),
    _of_members("the-same-twice", "one entry, twice", "the payload holds it twice", ENTRY, ENTRY),
    _of_members(
        "entry-missing", "less than the header lists", "the header lists it, the payload lacks it"
    ),
    _of_members("too-short", "another size", "disagree on its size", replace(ENTRY, data=b"short")),
    _of_members(
        "too-long",
        "another size",
        "disagree on its size",
        replace(ENTRY, data=b"much longer than it is"),
    ),
    _of_members(
        "other-content",
        "another content",
        "the digest of its content is wrong",
        replace(ENTRY, data=b"ORDINARY\n"),
    ),
    _of_members(
        "other-type", "a link", "disagree on its type", replace(ENTRY, mode=stat.S_IFLNK | 0o777)
    ),
    _of_members(
        "a-device", "a device", "disagree on its type", replace(ENTRY, mode=stat.S_IFCHR | 0o644)
    ),
    _of_archive(
        "name-of-0", "no name", DAMAGED + "a name of 0 bytes", _poked(_NAME_SIZE, b"00000000")
    ),
    _of_archive(
        "name-of-4g",
        "a name of 4 GB",
        DAMAGED + "a name of 4294967295 bytes",
        _poked(_NAME_SIZE, b"ffffffff"),
    ),
    _of_archive(
        "file-of-4g", "a file of 4 GB", "disagree on its size", _poked(_FILE_SIZE, b"ffffffff")
    ),
    _of_archive(
        "signed-size", "no number", DAMAGED + ".* is not a number", _poked(_FILE_SIZE, b"-0000001")
    ),
    _of_archive(
        "magic-midway",
        "another entry's beginning",
        DAMAGED + ".* is not the beginning",
        pack_cpio([ENTRY])[:-_TRAILER] + b"070707" + pack_cpio([])[6:],
    ),
    _of_archive(
        "no-trailer",
        "nothing says that this is all",
        DAMAGED + "it ends too early",
        pack_cpio([ENTRY])[:-_TRAILER],
    ),
    _of_archive(
        "half-trailer", "cut short", DAMAGED + "it ends too early", pack_cpio([ENTRY])[:-20]
    ),
    _of_archive(
        "after-trailer",
        "an archive behind the archive",
        DAMAGED + "something follows its end",
        pack_cpio([ENTRY]) + pack_cpio([replace(ENTRY, name=b"./etc/passwd")]),
    ),
    _of_archive("empty-archive", "nothing", DAMAGED + "it ends too early", b""),
    _of_archive(
        "index-beyond-list",
        "a nameless entry of no file",
        "holds file number 7,",
        b"07070X00000007\0\0" + pack_cpio([]),
    ),
    _of_archive(
        "index-twice",
        "a nameless entry, twice",
        "the payload holds it twice",
        (b"07070X00000000\0\0" + ORDINARY.content + bytes(3)) * 2 + pack_cpio([]),
    ),
    *(
        _bomb(codec, place)
        for codec in COMPRESSORS
        for place in ("behind", "inside")
        if codec != "ufdio"
    ),
    *(
        HostilePackage(
            f"not-{codec}",
            "not compressed at all",
            DAMAGED,
            lambda codec=codec: seal(
                replace(draft(good(f"not-{codec}")), codec=codec), payload=pack_cpio([ENTRY])
            ),  # type: ignore[misc]
        )
        for codec in COMPRESSORS
        if codec not in ("ufdio", "gzip")
    ),
    *(
        HostilePackage(
            f"half-{codec}",
            "cut in the middle, by the packager",
            DAMAGED,
            lambda codec=codec: _half(f"half-{codec}", codec),  # type: ignore[misc]
        )
        for codec in COMPRESSORS
        if codec != "ufdio"
    ),
    _hungry("hungry-zstd", "zstd", _wide_zstd(), DAMAGED),
    _hungry("hungry-lzma", "lzma", _wide_lzma(), DAMAGED),
    _hungry("hungry-xz", "xz", _wide_xz(), DAMAGED),
    _linked(
        "link-modes",
        "one file, two modes",
        "/usr/b: differs from its hardlink /usr/a",
        (),
        (0o100644, 0o104755),
    ),
    _linked(
        "link-empty",
        "a name without content",
        "the payload lacks it",
        [Member(b"./usr/a", REGULAR, b"", 1, 2), Member(b"./usr/b", REGULAR, b"", 1, 2)],
        (0o100644, 0o100644),
    ),
    _linked(
        "link-twice",
        "two contents",
        "holds its content twice",
        [Member(b"./usr/a", REGULAR, b"x", 1, 2), Member(b"./usr/b", REGULAR, b"x", 1, 2)],
        (0o100644, 0o100644),
    ),
    _linked(
        "link-missing",
        "a name that does not come",
        "the payload lacks it",
        [Member(b"./usr/b", REGULAR, b"x", 1, 2)],
        (0o100644, 0o100644),
    ),
    of_draft(
        "folder-content",
        "a directory with content",
        "a directory has content",
        lambda parts: replace(
            parts, archive=pack_cpio([Member(b"./usr/share/d", stat.S_IFDIR | 0o755, b"x")])
        ),
        FileSpec.directory("/usr/share/d"),
    ),
    of_draft(
        "target-other",
        "another target than the header's",
        "disagree on its target",
        lambda parts: replace(
            parts, archive=pack_cpio([Member(b"./usr/share/l", stat.S_IFLNK | 0o777, b"/etc")])
        ),
        FileSpec.symlink("/usr/share/l", "/usr"),
    ),
    of_draft(
        "ghost-content",
        "a ghost with content",
        "the header says that it does not",
        lambda parts: replace(parts, archive=pack_cpio([Member(b"./usr/share/g", REGULAR, b"")])),
        FileSpec("/usr/share/g", ghost=True),
    ),
)


ACCEPTED = (
    of_draft(
        "md5",
        "as packages of 2008 have them",
        "",
        lambda parts: with_tags(
            parts, int32(Tag.FILEDIGESTALGO, 1), strings(Tag.FILEDIGESTS, _MD5)
        ),
    ),
    *(
        of_draft(
            f"plain-{codec}",
            "every way to compress",
            "",
            lambda parts, codec=codec: replace(parts, codec=codec),
        )  # type: ignore[misc]
        for codec in COMPRESSORS
    ),
)


def _half(name: str, codec: str) -> bytes:
    parts = draft(good(name, ORDINARY, FileSpec("/usr/share/y", bytes(range(256)) * 999)))
    whole = COMPRESSORS[codec](parts.archive)
    return seal(replace(parts, codec=codec), payload=whole[: len(whole) // 2])
