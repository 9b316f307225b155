"""Write RPM v4 binary packages: same spec, same bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import stat
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import zstandard

from testdata.distro.cpio import Member, pack_cpio
from testdata.distro.relations import relation_tags
from testdata.distro.rpmheader import Region, Tag, Value, encode_header
from testdata.distro.rpmspec import FileSpec, RpmSpec, Scriptlet

Compression = Literal["zstd", "gzip", "none"]

_SHA256 = 8  # of RFC 4880's hash algorithms
_SLOTS = {
    "pre": (Tag.PREIN, Tag.PREINPROG),
    "post": (Tag.POSTIN, Tag.POSTINPROG),
    "preun": (Tag.PREUN, Tag.PREUNPROG),
    "postun": (Tag.POSTUN, Tag.POSTUNPROG),
    "pretrans": (Tag.PRETRANS, Tag.PRETRANSPROG),
    "posttrans": (Tag.POSTTRANS, Tag.POSTTRANSPROG),
    "verify": (Tag.VERIFYSCRIPT, Tag.VERIFYSCRIPTPROG),
}
_FLAG_CONFIG_NOREPLACE = 1 | 16
_FLAG_DOC = 2
_FLAG_GHOST = 64


def write_rpm(spec: RpmSpec, directory: Path, *, compression: Compression = "zstd") -> Path:
    """Write the package into `directory` under rpm's usual file name and return its path."""
    path = directory / spec.filename
    path.write_bytes(encode_rpm(spec, compression=compression))
    # createrepo_c copies the file's mtime into the metadata.
    os.utime(path, (spec.build_time, spec.build_time))
    return path


def encode_rpm(spec: RpmSpec, *, compression: Compression = "zstd") -> bytes:
    """Return the bytes of the package."""
    files = resolve_hardlinks(spec.files)
    archive = pack_cpio(_members(files))
    payload = _compress(archive, compression)
    header = encode_header(
        _general_tags(spec)
        | relation_tags(spec, compression)
        | _scriptlet_tags(spec.scriptlets)
        | _trigger_tags(spec)
        | _file_tags(files)
        | _payload_tags(archive, payload, compression),
        Region.IMMUTABLE,
    )
    return _lead(spec) + _signature(header, payload, len(archive)) + header + payload


def resolve_hardlinks(files: Sequence[FileSpec]) -> list[FileSpec]:
    """Return the files by path, each further name with the attributes of the file it names."""
    by_path = {file.path: file for file in files}
    resolved = []
    for file in sorted(files, key=lambda file: _encode(file.path)):
        target = file
        while target.hardlink_to:
            target = by_path[target.hardlink_to]
        if target is not file:
            target = _renamed(target, file.path)
        resolved.append(target)
    return resolved


def _renamed(file: FileSpec, path: str) -> FileSpec:
    return FileSpec(
        path,
        content=file.content,
        mode=file.mode,
        user=file.user,
        group=file.group,
        config=file.config,
        doc=file.doc,
        capabilities=file.capabilities,
        mtime=file.mtime,
        # Kept, so that both names are known to share an inode.
        hardlink_to=file.path,
    )


def _inodes(files: Sequence[FileSpec]) -> list[int]:
    """Return an inode number for each file; names of one file share theirs."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(file.hardlink_to or file.path, len(numbers) + 1) for file in files]


def _members(files: Sequence[FileSpec]) -> list[Member]:
    """Return the payload's entries in rpm's order.

    All names of a hardlinked file stand together where its last one belongs, and the
    last holds the content: rpm links a name to whatever file it has begun.
    """
    inodes = _inodes(files)
    last = {inode: position for position, inode in enumerate(inodes)}
    order = sorted(range(len(files)), key=lambda position: (last[inodes[position]], position))
    links = Counter(inodes)
    return [
        Member(
            b"." + _encode(files[position].path),
            files[position].kind | files[position].mode,
            _payload_data(files[position]) if last[inodes[position]] == position else b"",
            inodes[position],
            links[inodes[position]],
            files[position].mtime,
        )
        for position in order
        if files[position].in_payload and not files[position].ghost
    ]


def _payload_data(file: FileSpec) -> bytes:
    if file.kind == stat.S_IFLNK:
        return _encode(file.target)
    return file.content if file.is_regular else b""


def _compress(archive: bytes, compression: Compression) -> bytes:
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(archive)
    if compression == "gzip":
        return gzip.compress(archive, 6, mtime=0)
    return archive


def _general_tags(spec: RpmSpec) -> dict[Tag, Value]:
    summary = spec.summary or f"The package {spec.name}"
    tags: dict[Tag, Value] = {
        Tag.HEADERI18NTABLE: ["C"],
        Tag.NAME: spec.name,
        Tag.VERSION: spec.version,
        Tag.RELEASE: spec.release,
        Tag.SUMMARY: summary,
        Tag.DESCRIPTION: spec.description or summary,
        Tag.BUILDTIME: spec.build_time,
        Tag.BUILDHOST: "localhost",
        Tag.LICENSE: spec.license,
        Tag.GROUP: spec.section,
        Tag.OS: "linux",
        Tag.ARCH: spec.arch,
        Tag.SOURCERPM: f"{spec.source or spec.name}-{spec.version}-{spec.release}.src.rpm",
        Tag.RPMVERSION: "4.18.0",
        Tag.ENCODING: "utf-8",
    }
    if spec.epoch is not None:
        tags[Tag.EPOCH] = spec.epoch
    if spec.url:
        tags[Tag.URL] = spec.url
    return tags


def _scriptlet_tags(scriptlets: Sequence[Scriptlet]) -> dict[Tag, Value]:
    tags: dict[Tag, Value] = {}
    for scriptlet in scriptlets:
        body, interpreter = _SLOTS[scriptlet.slot]
        tags[body] = scriptlet.body
        tags[interpreter] = _interpreter(scriptlet.interpreter)
    return tags


def _interpreter(command: str) -> Value:
    words = command.split()
    return words[0] if len(words) == 1 else words


def _trigger_tags(spec: RpmSpec) -> dict[Tag, Value]:
    triggers = spec.file_triggers
    if not triggers:
        return {}
    prefixes = [
        (index, prefix) for index, trigger in enumerate(triggers) for prefix in trigger.prefixes
    ]
    return {
        Tag.TRANSFILETRIGGERSCRIPTS: [trigger.body for trigger in triggers],
        Tag.TRANSFILETRIGGERSCRIPTPROG: [trigger.interpreter for trigger in triggers],
        Tag.TRANSFILETRIGGERSCRIPTFLAGS: [0] * len(triggers),
        Tag.TRANSFILETRIGGERNAME: [prefix for _, prefix in prefixes],
        Tag.TRANSFILETRIGGERINDEX: [index for index, _ in prefixes],
        Tag.TRANSFILETRIGGERVERSION: [""] * len(prefixes),
        Tag.TRANSFILETRIGGERFLAGS: [1 << 16] * len(prefixes),  # RPMSENSE_TRIGGERIN
        Tag.TRANSFILETRIGGERPRIORITIES: [1_000_000] * len(triggers),
    }


def _file_tags(all_files: Sequence[FileSpec]) -> dict[Tag, Value]:
    inodes = [
        inode for file, inode in zip(all_files, _inodes(all_files), strict=True) if file.in_header
    ]
    files = [file for file in all_files if file.in_header]
    sizes = {inode: len(_payload_data(file)) for file, inode in zip(files, inodes, strict=True)}
    tags: dict[Tag, Value] = {Tag.SIZE: sum(sizes.values())}
    if not files:
        return tags
    tags |= _path_tags(files)
    tags |= {
        Tag.FILESIZES: [sizes[inode] for inode in inodes],
        Tag.FILEMODES: [file.kind | file.mode for file in files],
        Tag.FILERDEVS: [0] * len(files),
        Tag.FILEMTIMES: [file.mtime for file in files],
        Tag.FILEDIGESTS: [_digest(file) for file in files],
        Tag.FILELINKTOS: [file.target for file in files],
        Tag.FILEFLAGS: [_flags(file) for file in files],
        Tag.FILEUSERNAME: [file.user for file in files],
        Tag.FILEGROUPNAME: [file.group for file in files],
        Tag.FILEVERIFYFLAGS: [0xFFFFFFFF] * len(files),
        Tag.FILEDEVICES: [1] * len(files),
        Tag.FILEINODES: inodes,
        Tag.FILELANGS: [""] * len(files),
        Tag.FILECOLORS: [_color(file) for file in files],
        Tag.FILEDIGESTALGO: _SHA256,
    }
    if any(file.capabilities for file in files):
        tags[Tag.FILECAPS] = [file.capabilities for file in files]
    return tags


def _path_tags(files: Sequence[FileSpec]) -> dict[Tag, Value]:
    """Return the paths as rpm stores them: directory names once, and an index into them."""
    parents = [posixpath.dirname(file.path).rstrip("/") + "/" for file in files]
    names = list(dict.fromkeys(parents))
    positions = {name: position for position, name in enumerate(names)}
    return {
        Tag.DIRINDEXES: [positions[parent] for parent in parents],
        Tag.BASENAMES: [posixpath.basename(file.path) for file in files],
        Tag.DIRNAMES: names,
    }


def _digest(file: FileSpec) -> str:
    if file.digest is not None:
        return file.digest
    if not file.is_regular or file.ghost:
        return ""
    return hashlib.sha256(file.content).hexdigest()


def _flags(file: FileSpec) -> int:
    return _FLAG_CONFIG_NOREPLACE * file.config + _FLAG_DOC * file.doc + _FLAG_GHOST * file.ghost


def _color(file: FileSpec) -> int:
    """Return rpm's file colour: 1 for 32-bit ELF, 2 for 64-bit, 0 for the rest."""
    return file.content[4] if file.is_elf else 0


def _payload_tags(archive: bytes, payload: bytes, compression: Compression) -> dict[Tag, Value]:
    tags: dict[Tag, Value] = {
        Tag.PAYLOADFORMAT: "cpio",
        # rpm looks its I/O layer up by this word, and "ufdio" is its name for plain.
        Tag.PAYLOADCOMPRESSOR: "ufdio" if compression == "none" else compression,
        Tag.PAYLOADFLAGS: {"zstd": "3", "gzip": "6", "none": ""}[compression],
        Tag.PAYLOADDIGEST: [hashlib.sha256(payload).hexdigest()],
        Tag.PAYLOADDIGESTALGO: _SHA256,
        Tag.PAYLOADDIGESTALT: [hashlib.sha256(archive).hexdigest()],
    }
    return tags


def _lead(spec: RpmSpec) -> bytes:
    """Return the obsolete first 96 bytes; file(1) still reads the name out of them."""
    name = _encode(f"{spec.name}-{spec.version}-{spec.release}")[:65]
    return struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, name, 1, 5, b"")


def _signature(header: bytes, payload: bytes, archive_size: int) -> bytes:
    # MD5 and SHA-1 prove nothing; rpm 4.18 says "DIGESTS NOT OK" without them.
    md5 = hashlib.md5(header + payload, usedforsecurity=False).digest()
    sha1 = hashlib.sha1(header, usedforsecurity=False).hexdigest()
    signature = encode_header(
        {
            Tag.SIG_SHA1: sha1,
            Tag.SIG_SHA256: hashlib.sha256(header).hexdigest(),
            Tag.SIG_SIZE: len(header) + len(payload),
            Tag.SIG_MD5: md5,
            Tag.SIG_PAYLOADSIZE: archive_size,
        },
        Region.SIGNATURES,
    )
    return signature + bytes(-len(signature) % 8)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
