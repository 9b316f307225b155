"""Reading an RPM's payload, believing nothing that the header has not said."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from layer.errors import NotFound, PackageRefused
from layer.frozen import dataclass
from layer.model import PackageFile, PackageHeader
from layer.rpmfile.cpio import Entry, Reader
from layer.rpmfile.stream import CODECS, decompressed
from layer.words import shown

_CHUNK = 1 << 18  # bytes


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """All names of one file of the payload, and its content: to be read before the next file's.

    A symlink or a directory has no content.
    """

    files: tuple[PackageFile, ...]
    chunks: Iterator[bytes]


def read_payload(
    path: Path, header: PackageHeader, checksum: str | None = None
) -> Iterator[PayloadFile]:
    """Each file of the package once, checked against the header; chunks are at most 1 MiB.

    PackageRefused, in the middle where need be, if payload and header differ in anything, and at
    the beginning if the SHA-256 of the whole file is not `checksum`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    with open(descriptor, "rb", buffering=0) as file:
        _check_digests(file, path, header, checksum)
        file.seek(len(header.blob))
        yield from _read_archive(file, header)


def _check_digests(file: Any, path: Path, header: PackageHeader, checksum: str | None) -> None:
    """Before anything is decompressed: a decompressor sees only what the packager wrote."""
    start = file.read(len(header.blob))
    whole = hashlib.sha256(start)
    payload = {name: hashlib.new(name) for name, _ in header.payload_digests}
    while chunk := file.read(_CHUNK):
        for digest in payload.values():
            digest.update(chunk)
        if checksum is not None:
            whole.update(chunk)
    if checksum is not None and whole.hexdigest() != checksum:
        raise PackageRefused(
            f"{header.nevra}: {path.name} is not the file that was asked for: its SHA-256 is "
            f"{whole.hexdigest()}, not {checksum}"
        )
    if start != header.blob:
        raise PackageRefused(f"{path} does not begin with the header of {header.nevra}")
    for name, digest in payload.items():
        if (name, digest.hexdigest()) not in header.payload_digests:
            raise PackageRefused(f"{header.nevra}: the digest of its payload is wrong: {name}")


def _read_archive(file: Any, header: PackageHeader) -> Iterator[PayloadFile]:
    if header.payload_codec not in CODECS:
        name = shown(header.payload_codec)
        raise PackageRefused(f"{header.nevra}: payload compression {name} is unknown")
    with decompressed(file.fileno(), header.payload_codec) as read:
        yield from _Unpacking(header, Reader(str(header.nevra), read, _CHUNK)).run()


class _Unpacking:
    """One walk through the archive, and what of the header it has met."""

    def __init__(self, header: PackageHeader, reader: Reader) -> None:
        self._header = header
        self._reader = reader
        self._positions = {file.path: n for n, file in enumerate(header.files)}
        if len(self._positions) != len(header.files):
            seen: set[str] = set()
            for file in header.files:
                if file.path in seen:
                    raise self._refused(file.path, "the header lists it twice")
                seen.add(file.path)
        linked = sorted((f.link_group, n) for n, f in enumerate(header.files) if f.link_group)
        self._groups = {
            group: tuple(n for _, n in members)
            for group, members in groupby(linked, key=lambda item: item[0])
        }
        self._met: set[int] = set()
        self._delivered: set[int] = set()  # link groups whose content has come

    def run(self) -> Iterator[PayloadFile]:
        while (entry := self._reader.next_entry()) is not None:
            position = self._position(entry)
            file = self._header.files[position]
            self._meet(position, file)
            size = self._size(entry, position, file)
            if stat.S_ISREG(file.mode):
                yield from self._regular(file, size)
            elif stat.S_ISLNK(file.mode):
                self._check_target(file, size)
                yield PayloadFile((file,), iter(()))
            elif stat.S_ISDIR(file.mode):
                if size:
                    raise self._refused(file.path, "a directory has content")
                yield PayloadFile((file,), iter(()))
            else:
                raise self._refused(file.path, "is a device, FIFO or socket")
        self._reader.check_end()
        self._check_complete()

    def _position(self, entry: Entry) -> int:
        if entry.name is None:
            if entry.index >= len(self._header.files):
                raise PackageRefused(
                    f"{self._header.nevra}: the payload holds file number {entry.index}, "
                    "which the header does not list"
                )
            return entry.index
        # As rpm's bindings do it, whatever the locale.
        name = entry.name.decode("utf-8", "surrogateescape")
        path = name[1:] if name.startswith("./") else name
        position = self._positions.get(path if path.startswith("/") else f"/{path}")
        if position is None:
            raise self._refused(name, "the payload holds it, the header does not list it")
        return position

    def _meet(self, position: int, file: PackageFile) -> None:
        if position in self._met:
            raise self._refused(file.path, "the payload holds it twice")
        if file.is_ghost:
            raise self._refused(file.path, "the payload holds it, the header says that it does not")
        self._met.add(position)

    def _size(self, entry: Entry, position: int, file: PackageFile) -> int:
        """How many bytes of the archive belong to the entry; it follows from the header alone."""
        if entry.name is None:
            # A stripped archive says neither type nor size (rpm's rpmfi.c, iterReadArchiveNext).
            group = self._groups.get(file.link_group, (position,))
            has_content = position == group[-1] and not stat.S_ISDIR(file.mode)
            return file.size if has_content else 0
        if stat.S_IFMT(entry.mode) != stat.S_IFMT(file.mode):
            raise self._refused(file.path, "payload and header disagree on its type")
        is_mere_name = bool(file.link_group) and not entry.size
        if stat.S_ISREG(file.mode) and entry.size != file.size and not is_mere_name:
            raise self._refused(file.path, "payload and header disagree on its size")
        return entry.size

    def _regular(self, file: PackageFile, size: int) -> Iterator[PayloadFile]:
        group = file.link_group
        if not group:
            yield from self._deliver((file,), size)
        elif group not in self._delivered:
            # rpm puts the content with one of the names, and nothing with the others.
            if size == file.size:
                self._delivered.add(group)
                yield from self._deliver(
                    tuple(self._header.files[n] for n in self._groups[group]), size
                )
        elif size:
            raise self._refused(file.path, "the payload holds its content twice")

    def _deliver(self, names: tuple[PackageFile, ...], size: int) -> Iterator[PayloadFile]:
        for other in names[1:]:
            if _inode(other) != _inode(names[0]):
                raise self._refused(other.path, f"differs from its hardlink {names[0].path}")
        chunks = self._content(names[0], size)
        yield PayloadFile(names, chunks)
        # Whatever the reader of the file left unread is still to be checked.
        for _ in chunks:
            pass

    def _content(self, file: PackageFile, size: int) -> Iterator[bytes]:
        if not file.digest:
            # rpm takes an empty digest for "do not check"; nothing else vouches for the content.
            raise self._refused(file.path, "the header has no digest of it")
        digest = hashlib.new(self._header.digest_algorithm, usedforsecurity=False)
        for chunk in self._reader.content(size):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != file.digest:
            raise self._refused(file.path, "the digest of its content is wrong")

    def _check_target(self, file: PackageFile, size: int) -> None:
        target = file.link_to.encode("utf-8", "surrogateescape")
        if size != len(target) or b"".join(self._reader.content(size)) != target:
            raise self._refused(file.path, "payload and header disagree on its target")

    def _check_complete(self) -> None:
        missing = [
            file.path
            for n, file in enumerate(self._header.files)
            if n not in self._met and not file.is_ghost
        ]
        for group, members in self._groups.items():
            if group not in self._delivered:
                missing.append(self._header.files[members[-1]].path)
        if missing:
            raise self._refused(missing[0], "the header lists it, the payload lacks it")

    def _refused(self, path: str, fact: str) -> PackageRefused:
        return PackageRefused(f"{self._header.nevra}: {shown(path)}: {fact}")


def _inode(file: PackageFile) -> tuple[int, str, str, int, str, str]:
    return (file.mode, file.user, file.group, file.size, file.digest, file.capabilities)
