"""A package with one file of any size, written without holding it in memory."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

import zstandard

from testdata.distro.cpio import Member, pack_cpio
from testdata.distro.rpmheader import Region, Tag, Value, encode_header
from testdata.distro.rpmspec import BUILD_TIME

LARGE_FILE = "/usr/share/large/data"
_PIECE = 1 << 16  # so that a compressor sees it again
_SIZE_FIELD = slice(54, 62)  # of a newc header: the seventh number of eight digits
_SHA256 = 8


def write_large_rpm(directory: Path, size: int) -> Path:
    """Write the package `large`, whose file has `size` bytes, below 4 GB; they compress well."""
    mode = stat.S_IFREG | 0o644
    archive = pack_cpio([Member(b"." + LARGE_FILE.encode(), mode, inode=1, mtime=BUILD_TIME)])
    trailer = archive.index(b"070701", 6)
    start = bytearray(archive[:trailer])
    start[_SIZE_FIELD] = b"%08x" % size
    content = hashlib.sha256()
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    payload = bytearray(compressor.compress(bytes(start)))
    for piece in _pieces(size):
        content.update(piece)
        payload += compressor.compress(piece)
    payload += compressor.compress(bytes(-size % 4) + archive[trailer:])
    payload += compressor.flush()
    header = encode_header(_tags(size, mode, content.hexdigest(), payload), Region.IMMUTABLE)
    path = directory / "large-1-1.noarch.rpm"
    path.write_bytes(_lead() + _signature(header, payload) + header + payload)
    return path


def _pieces(size: int) -> Iterator[bytes]:
    """Noise that comes again and again."""
    piece = Random(1).randbytes(_PIECE)
    while size:
        yield piece[:size]
        size -= min(size, _PIECE)


def _tags(size: int, mode: int, digest: str, payload: bytearray) -> dict[Tag, Value]:
    folder, _, name = LARGE_FILE.rpartition("/")
    return {
        Tag.HEADERI18NTABLE: ["C"],
        Tag.NAME: "large",
        Tag.VERSION: "1",
        Tag.RELEASE: "1",
        Tag.SUMMARY: "One large file",
        Tag.BUILDTIME: BUILD_TIME,
        Tag.SIZE: size,
        Tag.LICENSE: "MIT",
        Tag.OS: "linux",
        Tag.ARCH: "noarch",
        Tag.SOURCERPM: "large-1-1.src.rpm",
        Tag.FILESIZES: [size],
        Tag.FILEMODES: [mode],
        Tag.FILERDEVS: [0],
        Tag.FILEMTIMES: [BUILD_TIME],
        Tag.FILEDIGESTS: [digest],
        Tag.FILELINKTOS: [""],
        Tag.FILEFLAGS: [0],
        Tag.FILEUSERNAME: ["root"],
        Tag.FILEGROUPNAME: ["root"],
        Tag.FILEVERIFYFLAGS: [0xFFFFFFFF],
        Tag.FILEDEVICES: [1],
        Tag.FILEINODES: [1],
        Tag.FILELANGS: [""],
        Tag.FILEDIGESTALGO: _SHA256,
        Tag.PROVIDENAME: ["large"],
        Tag.PROVIDEFLAGS: [8],
        Tag.PROVIDEVERSION: ["1-1"],
        Tag.DIRINDEXES: [0],
        Tag.BASENAMES: [name],
        Tag.DIRNAMES: [f"{folder}/"],
        Tag.PAYLOADFORMAT: "cpio",
        Tag.PAYLOADCOMPRESSOR: "zstd",
        Tag.PAYLOADFLAGS: "1",
        Tag.PAYLOADDIGEST: [hashlib.sha256(payload).hexdigest()],
        Tag.PAYLOADDIGESTALGO: _SHA256,
    }


def _lead() -> bytes:
    return struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"large-1-1", 1, 5, b"")


def _signature(header: bytes, payload: bytearray) -> bytes:
    signature = encode_header(
        {
            Tag.SIG_SHA1: hashlib.sha1(header, usedforsecurity=False).hexdigest(),
            Tag.SIG_SHA256: hashlib.sha256(header).hexdigest(),
            Tag.SIG_SIZE: len(header) + len(payload),
            Tag.SIG_MD5: hashlib.md5(header + payload, usedforsecurity=False).digest(),
        },
        Region.SIGNATURES,
    )
    return signature + bytes(-len(signature) % 8)
