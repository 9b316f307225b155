"""Packages as the rpm database keeps them: their headers, and which of them claims a path."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any, BinaryIO

import rpm

from layer.model import Nevra, PackageFile, PackageHeader, Scriptlet
from layer.rpmfile.database import connect, connect_file, intact, is_package
from layer.rpmfile.header import parse_header, read_nevra, read_scriptlets
from layer.rpmfile.states import FileState

# rpm/lib/rpmlead.c: magic, format 3.0, a binary package, architecture, name, system, header-style
# signature. rpm reads the magic alone.
_LEAD = struct.Struct(">4sBBhh66shh16x")
_MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"  # of a header; rpm/lib/header.c
_ENTRY = struct.Struct(">IIiI")  # tag, type, offset, count
_STRING, _BIN = 6, 7
_FILESTATES = 1029  # RPMTAG_FILESTATES, one for each file, in the order of the header
_SIGNATURES = 62  # RPMTAG_HEADERSIGNATURES, the region tag of a signature header
_IMMUTABLE = 63  # RPMTAG_HEADERIMMUTABLE: the header as the package had it
# What vouches for the header alone: RPMSIGTAG_DSA, _RSA, _SHA1, _SHA256. The rest is about a
# payload, which is not there.
_KEYS = "SELECT DISTINCT key, hnum"
_VOUCHERS = ((267, _BIN), (268, _BIN), (269, _STRING), (273, _STRING))


class StoredPackages:
    """The packages of an open database; imported keys are none."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory
        self._read: dict[int, tuple[PackageHeader, dict[str, PackageFile]] | None] = {}
        self._absent: dict[Nevra, frozenset[str]] = {}

    def headers(self) -> Iterator[tuple[Nevra, bytes]]:
        """Each package as a file that ends with its header, which rpm can read.

        The header is the package's own, byte for byte; of the signature is kept what
        vouches for it; the lead is new.
        """
        with intact(self._directory):
            for (blob,) in self._connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
                header = rpm.hdr(blob)
                if is_package(header):
                    yield read_nevra(header), _as_file(header)

    def claims(self, paths: Iterable[str]) -> tuple[tuple[PackageHeader, PackageFile], ...]:
        """The packages that list one of these absolute paths, and what they say of it."""
        found = []
        with intact(self._directory):
            for path in dict.fromkeys(paths):
                for number in self._listing(path.rpartition("/")[2]):
                    package = self._package(number)
                    if package is not None and path in package[1]:
                        found.append((package[0], package[1][path]))
        return tuple(found)

    def holders(self, paths: Iterable[str]) -> tuple[PackageHeader, ...]:
        """The packages for whose sake rpm keeps a file at one of these absolute paths.

        One that only claims the name (%ghost) is one, too; one is not whose file rpm left out,
        for its colour or as documentation.
        """
        return tuple(
            header
            for header, file in self.claims(paths)
            if file.path not in self._absent[header.nevra]
        )

    def providing(self, name: str) -> tuple[PackageHeader, ...]:
        """The packages that provide something of this name, as each does its own."""
        query = "SELECT DISTINCT hnum FROM Providename WHERE key = ? ORDER BY hnum"
        with intact(self._directory):
            numbers = [number for (number,) in self._connection.execute(query, (name,))]
            found = [self._package(number) for number in numbers]
        return tuple(package[0] for package in found if package is not None)

    def named(self, name: str, nevra: Nevra) -> tuple[PackageHeader, ...]:
        """The package of that name and NEVRA: none, or one."""
        with intact(self._directory):
            query = "SELECT DISTINCT hnum FROM Name WHERE key = ? ORDER BY hnum"
            rows = self._connection.execute(query, (name,)).fetchall()
            found = [self._package(number) for (number,) in rows]
        return tuple(one[0] for one in found if one is not None and one[0].nevra == nevra)

    def waiting(
        self, names: Collection[str], paths: Iterable[str]
    ) -> tuple[tuple[Nevra, tuple[Scriptlet, ...]], ...]:
        """The packages with triggers for packages of these names, or for one of these paths; with
        all their scriptlets.

        As rpm has it, a trigger is for every path that begins as it says. What this costs follows
        from how many triggers there are.
        """
        ordered = sorted(paths)
        found: set[int] = set()
        with intact(self._directory):
            for key, number in self._connection.execute(f"{_KEYS} FROM Triggername"):
                if key in names:
                    found.add(number)
            for table in ("Filetriggername", "Transfiletriggername"):
                for key, number in self._connection.execute(f"{_KEYS} FROM {table}"):
                    place = bisect_left(ordered, key)
                    if place < len(ordered) and ordered[place].startswith(key):
                        found.add(number)
            return tuple(self._with_scriptlets(number) for number in sorted(found))

    def _with_scriptlets(self, number: int) -> tuple[Nevra, tuple[Scriptlet, ...]]:
        query = self._connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,))
        header = rpm.hdr(query.fetchone()[0])
        return read_nevra(header), tuple(read_scriptlets(header))

    def _listing(self, basename: str) -> list[int]:
        query = "SELECT DISTINCT hnum FROM Basenames WHERE key = ? ORDER BY hnum"
        return [number for (number,) in self._connection.execute(query, (basename,))]

    def _package(self, number: int) -> tuple[PackageHeader, dict[str, PackageFile]] | None:
        if number not in self._read:
            query = self._connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,))
            header = rpm.hdr(query.fetchone()[0])
            self._read[number] = None
            if is_package(header):
                parsed = parse_header(_as_file(header), str(read_nevra(header)))
                self._read[number] = (parsed, {file.path: file for file in parsed.files})
                states = zip(parsed.files, header[_FILESTATES], strict=False)
                absent = (file.path for file, state in states if state != FileState.NORMAL)
                self._absent[parsed.nevra] = frozenset(absent)
        return self._read[number]


@contextmanager
def open_stored_file(file: BinaryIO, directory: Path) -> Iterator[StoredPackages]:
    """The same of an open database file; `directory` stands for its place in errors."""
    with connect_file(file, directory) as connection:
        yield StoredPackages(connection, directory)


@contextmanager
def open_stored(directory: Path) -> Iterator[StoredPackages]:
    """The packages of the database in a directory; reading them is a StoreError if it is broken."""
    with connect(directory) as connection:
        yield StoredPackages(connection, directory)


def _as_file(header: Any) -> bytes:
    signature = _signature(header)
    name = str(header["nvr"]).encode()[:65]
    lead = _LEAD.pack(b"\xed\xab\xee\xdb", 3, 0, 0, 1, name, 1, 5)
    padding = b"\0" * (-len(signature) % 8)
    return lead + signature + padding + _MAGIC + bytes(header[_IMMUTABLE])


def _signature(header: Any) -> bytes:
    index, store = b"", b""
    for tag, kind in _VOUCHERS:
        value = header[tag]
        if value:
            data = value.encode() + b"\0" if kind == _STRING else bytes(value)
            index += _ENTRY.pack(tag, kind, len(store), 1 if kind == _STRING else len(data))
            store += data
    count = len(index) // _ENTRY.size + 1
    region = _ENTRY.pack(_SIGNATURES, _BIN, len(store), _ENTRY.size)
    store += _ENTRY.pack(_SIGNATURES, _BIN, -count * _ENTRY.size, _ENTRY.size)
    return _MAGIC + struct.pack(">II", count, len(store)) + region + index + store
