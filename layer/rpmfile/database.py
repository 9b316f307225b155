"""The rpm database: reading what it lists."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import rpm

from layer.errors import LayerError, NotFound, StoreError
from layer.model import Nevra
from layer.rpmfile.header import read_nevra

DATABASE_FILE = "rpmdb.sqlite"

_WAL = f"{DATABASE_FILE}-wal"
_KEY = "gpg-pubkey"  # rpm keeps imported keys as packages


def read_database(directory: Path) -> tuple[Nevra, ...]:
    """The packages that the database lists, sorted, without imported keys; writes nothing there."""
    with connect(directory) as connection, intact(directory):
        return tuple(sorted(_read(connection)))


@contextmanager
def connect(directory: Path) -> Iterator[sqlite3.Connection]:
    """The database in a directory, for this room alone; writes nothing there.

    Reading from it belongs into `intact`.
    """
    path = directory / DATABASE_FILE
    if not path.is_file():
        raise NotFound(f"{directory} holds no {DATABASE_FILE}")
    # rpm's own way would lock, and make files beside a database in WAL mode. Immutable
    # means to SQLite: neither; but then it does not look into the log either.
    mode = "ro&immutable=1"
    with ExitStack() as stack:
        opened = path
        if _is_waiting(directory):
            # Opening it would write beside it.
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="layer-rpmdb-")))
            copy_database(directory, scratch)
            opened, mode = scratch / DATABASE_FILE, "ro"
        with intact(directory):
            url = f"file:{quote(str(opened))}?mode={mode}"
            connection = stack.enter_context(closing(sqlite3.connect(url, uri=True)))
        yield connection


@contextmanager
def connect_file(file: BinaryIO, directory: Path) -> Iterator[sqlite3.Connection]:
    """The same of an open file without a log; `directory` stands for its place in errors."""
    with intact(directory):
        url = f"file:/proc/self/fd/{file.fileno()}?mode=ro&immutable=1"
        connection = sqlite3.connect(url, uri=True)
    with closing(connection):
        yield connection


@contextmanager
def intact(directory: Path) -> Iterator[None]:
    """StoreError where reading shows that the database in a directory is not intact."""
    try:
        yield
    except (sqlite3.Error, rpm.error, TypeError, LayerError) as error:
        path = directory / DATABASE_FILE
        raise StoreError(f"{path} is no intact rpm database: {error}") from error


def is_package(header: Any) -> bool:
    """Whether one of rpm's header objects in a database is a package: imported keys are not."""
    return bool(header["name"] != _KEY)


def copy_database(source: Path, destination: Path) -> None:
    """Copies the database in one directory into another, and what still waits in its log."""
    if not (source / DATABASE_FILE).is_file():
        raise NotFound(f"{source} holds no {DATABASE_FILE}")
    shutil.copyfile(source / DATABASE_FILE, destination / DATABASE_FILE)
    if _is_waiting(source):
        shutil.copyfile(source / _WAL, destination / _WAL)


def _is_waiting(directory: Path) -> bool:
    """Whether some of the content still lies in SQLite's write-ahead log."""
    log = directory / _WAL
    return log.is_file() and log.stat().st_size > 0


def _read(connection: sqlite3.Connection) -> Iterator[Nevra]:
    for (blob,) in connection.execute("SELECT blob FROM Packages"):
        header = rpm.hdr(blob)
        if is_package(header):
            yield read_nevra(header)
