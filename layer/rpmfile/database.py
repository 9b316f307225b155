"""The rpm database: reading what it lists, and writing one that is the same bytes every time."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO
from urllib.parse import quote

import rpm

from layer.errors import LayerError, NotFound, StoreError
from layer.model import Nevra
from layer.rpmfile.header import load, read_nevra
from layer.rpmfile.states import FileStates, with_file_states

DATABASE_FILE = "rpmdb.sqlite"

_WAL = f"{DATABASE_FILE}-wal"
_ASIDE = (".rpm.lock", f"{DATABASE_FILE}-shm", _WAL)
_KEY = "gpg-pubkey"  # rpm keeps imported keys as packages
_COLORS = 3  # 32 and 64 bits, as wherever a machine can have both

# What the machine's configuration may say and must not.
_MACROS = {
    "_db_backend": "sqlite",
    "_rpmlock_path": "%{_dbpath}/.rpm.lock",
    "_transaction_color": str(_COLORS),  # else it depends on the host's architecture
    "_install_langs": "all",  # these three put states other than "normal" beside files
    "_netsharedpath": "%{nil}",
    "_excludedocs": "0",
    "_pkgverify_level": "none",
}
_FLAGS = (
    rpm.RPMTRANS_FLAG_JUSTDB
    | rpm.RPMTRANS_FLAG_NOSCRIPTS
    | rpm.RPMTRANS_FLAG_NOTRIGGERS
    | rpm.RPMTRANS_FLAG_NOPLUGINS  # systemd's inhibitor, syslog, audit
    | rpm.RPMTRANS_FLAG_NOCONTEXTS
)
# Assembly has decided about files; the tree may be another architecture's.
# Not among them: a package that is there already.
_IGNORED_PROBLEMS = (
    rpm.RPMPROB_FILTER_IGNOREOS
    | rpm.RPMPROB_FILTER_IGNOREARCH
    | rpm.RPMPROB_FILTER_REPLACENEWFILES
    | rpm.RPMPROB_FILTER_REPLACEOLDFILES
    | rpm.RPMPROB_FILTER_OLDPACKAGE
    | rpm.RPMPROB_FILTER_DISKSPACE
    | rpm.RPMPROB_FILTER_DISKNODES
)

# rpm's macros, the environment and the umask belong to the whole process.
_ALONE = threading.Lock()


def tool_versions() -> Mapping[str, str]:
    """The versions of what decides the database's bytes."""
    return {"rpm": rpm.__version__, "sqlite": sqlite3.sqlite_version}


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
            _copy(directory, scratch)
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


def write_database(
    source: Path | None,
    destination: Path,
    blobs: Sequence[bytes],
    *,
    timestamp: int,
    states: FileStates | None = None,
    erased: Collection[Nevra] = (),
) -> None:
    """Makes `rpmdb.sqlite` in the empty directory `destination`: that of `source`, and the packages
    whose headers are `blobs`, in their order, installed at `timestamp` (seconds; rpm counts one
    on for each package), without the packages `erased`. `states` are those of files that rpm
    could not know; packages of `source` may be among them.

    The same arguments give the same bytes, whatever the machine is configured to.
    """
    if source is not None:
        _copy(source, destination)
    path = destination / DATABASE_FILE
    before = _count(path)
    if blobs or erased or source is None:
        with _ALONE, _settings(destination, timestamp), _deferred_signals():
            if erased:
                _erase(destination, _numbers(path, erased))
            if blobs or not erased:
                _add(destination, blobs)
    try:
        _set_states(path, states or {})
        _settle(path)
    except sqlite3.Error as error:
        raise StoreError(f"cannot write the rpm database {path}: {error}") from error
    for name in _ASIDE:
        (destination / name).unlink(missing_ok=True)
    if _count(path) != before + len(blobs) - len(set(erased)):
        raise StoreError("the rpm database does not list what was added: a package came twice")


def _copy(source: Path, destination: Path) -> None:
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


def _count(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM Packages").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no rpm database: {error}") from error
    return int(count)


@contextmanager
def _settings(destination: Path, timestamp: int) -> Iterator[None]:
    """What rpm takes from the process: macros, and the clock (it honours SOURCE_DATE_EPOCH)."""
    macros = _MACROS | {"_dbpath": str(destination.absolute()).replace("%", "%%")}
    before = os.environ.get("SOURCE_DATE_EPOCH")
    for name, body in macros.items():
        rpm.addMacro(name, body)
    os.environ["SOURCE_DATE_EPOCH"] = str(timestamp)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
        for name in macros:
            rpm.delMacro(name)


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Keeps Python's signal handlers for later: when a callback raises, rpm ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    found = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def _set_states(path: Path, states: FileStates) -> None:
    # rpm itself does it only where it unpacks, too: with JUSTDB all counts as installed, and
    # what was there before as replaced.
    if not states:
        return
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = connection.execute("SELECT hnum, blob FROM Packages ORDER BY hnum").fetchall()
        for number, blob in rows:
            header = rpm.hdr(blob)
            found = states.get(read_nevra(header)) if is_package(header) else None
            if found:
                changed = (with_file_states(blob, found), number)
                connection.execute("UPDATE Packages SET blob = ? WHERE hnum = ?", changed)


def _numbers(path: Path, wanted: Collection[Nevra]) -> tuple[int, ...]:
    """Under which numbers a database has packages; StoreError where it lacks one."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT hnum, blob FROM Packages ORDER BY hnum").fetchall()
    present = {number: rpm.hdr(blob) for number, blob in rows}
    found = {number: read_nevra(h) for number, h in present.items() if is_package(h)}
    missing = sorted(set(wanted) - set(found.values()))
    if missing:
        raise StoreError(f"the rpm database does not list {missing[0]}")
    return tuple(number for number, nevra in found.items() if nevra in wanted)


def _erase(destination: Path, numbers: Sequence[int]) -> None:
    transaction = _transaction()
    try:
        for number in numbers:
            transaction.addErase(number)
        _run(transaction, lambda *_: None, destination)
    finally:
        transaction.closeDB()
        transaction.clean()


def _transaction() -> Any:
    """One that touches nothing but the database."""
    transaction = rpm.TransactionSet("/")
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm._RPMVSF_NODIGESTS)
    transaction.setVfyLevel(0)
    transaction.setFlags(_FLAGS)
    transaction.setProbFilter(_IGNORED_PROBLEMS)
    # One name in two architectures is two packages, in one transaction and over what is there;
    # without colours rpm takes the second for the first come twice.
    transaction.setColor(_COLORS)
    return transaction


def _add(destination: Path, blobs: Sequence[bytes]) -> None:
    transaction = _transaction()
    descriptors: list[int] = []

    def answer(reason: int, _amount: int, _total: int, position: int, _data: object) -> int | None:
        # rpm duplicates the descriptor, and reads the header from it once more.
        return descriptors[position] if reason == rpm.RPMCALLBACK_INST_OPEN_FILE else None

    try:
        for position, blob in enumerate(blobs):
            descriptors.append(_in_memory(blob))
            header = load(descriptors[position], f"package {position}")
            os.lseek(descriptors[position], 0, os.SEEK_SET)
            try:
                transaction.addInstall(header, position, "i")
            except rpm.error as error:
                raise StoreError(f"rpm does not take the header of {read_nevra(header)}") from error
        _run(transaction, answer, destination)
    finally:
        transaction.closeDB()
        transaction.clean()
        for descriptor in descriptors:
            os.close(descriptor)


def _in_memory(blob: bytes) -> int:
    descriptor = os.memfd_create("header", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(blob)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _run(transaction: Any, answer: Any, destination: Path) -> None:
    try:
        transaction.initDB()
        problems = transaction.run(answer, None)
    except rpm.error as error:
        raise StoreError(f"cannot write an rpm database in {destination}: {error}") from error
    if problems is not None:
        said = "; ".join(sorted({text for text, _ in problems})) or "rpm does not say why"
        raise StoreError(f"cannot change the rpm database: {said}")


def _settle(path: Path) -> None:
    """Makes the database one file that can be read where nothing can be written."""
    with closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != "delete":
        raise StoreError(f"{path} is in use")
    path.chmod(0o644)
    with path.open("r+b") as file:
        # https://www.sqlite.org/fileformat.html#database_header: the version of SQLite that
        # wrote last, and the change counter at that time, without which the size counts as unknown.
        file.seek(24)
        counter = file.read(4)
        file.seek(92)
        file.write(counter + (3_007_000).to_bytes(4, "big"))
