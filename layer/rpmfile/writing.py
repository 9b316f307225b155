"""The rpm database: writing one that is the same bytes every time."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import rpm

from layer.errors import StoreError
from layer.frozen import dataclass
from layer.model import Nevra
from layer.rpmfile.apart import own_root
from layer.rpmfile.database import DATABASE_FILE, copy_database, is_package
from layer.rpmfile.header import load, read_nevra
from layer.rpmfile.states import FileStates, with_file_states

_ASIDE = (".rpm.lock", f"{DATABASE_FILE}-shm", f"{DATABASE_FILE}-wal")
_FOLDER = ".database"
_HEADERS = 1 << 20  # bytes in a database for one package, at most, but for a few
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

# rpm's macros and the environment belong to the whole process.
_ALONE = threading.Lock()


def tool_versions() -> Mapping[str, str]:
    """The versions of what decides the database's bytes."""
    return {"rpm": rpm.__version__, "sqlite": sqlite3.sqlite_version}


@contextmanager
def new_database(
    source: Path | None,
    blobs: Sequence[bytes],
    scratch: Path,
    *,
    timestamp: int,
    states: FileStates | None = None,
    erased: Collection[Nevra] = (),
    links: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """An `rpmdb.sqlite`, there as long as this lasts: that of the directory `source`, and the
    packages whose headers are `blobs`, in their order, installed at `timestamp` (seconds; rpm
    counts one on for each package), without the packages `erased`. `states` are those of files
    that rpm could not know; packages of `source` may be among them. `links` are the tree's links
    to directories, by path, which rpm follows to see that two paths are one file.

    The same arguments give the same bytes, whatever the machine is configured to and has in its
    directories. `scratch` is a directory for what does not fit into memory.
    """
    room = 3 * ((source / DATABASE_FILE).stat().st_size if source else 0) + _HEADERS * len(blobs)
    with own_root(scratch, room) as root:
        inside = Path("/", _FOLDER)
        outside = root.path / _FOLDER
        outside.mkdir()
        if source is not None:
            copy_database(source, outside)
        change = _Change(source is None, blobs, states or {}, erased, links or {})
        with _ALONE, _settings(inside, timestamp), _deferred_signals():
            root.run(lambda: change.apply(inside))
        yield outside / DATABASE_FILE


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to a database, by a thread that sees nothing else of this machine."""

    is_new: bool
    blobs: Sequence[bytes]
    states: FileStates
    erased: Collection[Nevra]
    links: Mapping[str, str]

    def apply(self, folder: Path) -> None:
        _lay_out(self.links)
        path = folder / DATABASE_FILE
        before = _count(path)
        if self.erased:
            _erase(_numbers(path, self.erased))
        if self.blobs or (self.is_new and not self.erased):
            _add(self.blobs)
        try:
            _set_states(path, self.states)
            _settle(path)
        except sqlite3.Error as error:
            raise StoreError(f"cannot write the rpm database: {error}") from error
        for name in _ASIDE:
            (folder / name).unlink(missing_ok=True)
        if _count(path) != before + len(self.blobs) - len(set(self.erased)):
            raise StoreError("the rpm database does not list what was added: a package came twice")


def _lay_out(links: Mapping[str, str]) -> None:
    """Makes links to directories in our root. rpm tells directories apart by their inodes."""
    for path, target in links.items():
        Path("/", path).parent.mkdir(parents=True, exist_ok=True)
        Path("/", path).symlink_to(target)
    for path in links:
        with suppress(OSError, RuntimeError):  # a link to a file, or to itself
            Path("/", path).resolve().mkdir(parents=True, exist_ok=True)


def _count(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM Packages").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"this is no rpm database: {error}") from error
    return int(count)


@contextmanager
def _settings(folder: Path, timestamp: int) -> Iterator[None]:
    """What rpm takes from the process: macros, and the clock (it honours SOURCE_DATE_EPOCH)."""
    macros = _MACROS | {"_dbpath": str(folder)}
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


def _erase(numbers: Sequence[int]) -> None:
    transaction = _transaction()
    try:
        for number in numbers:
            transaction.addErase(number)
        _run(transaction, lambda *_: None)
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


def _add(blobs: Sequence[bytes]) -> None:
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
        _run(transaction, answer)
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


def _run(transaction: Any, answer: Any) -> None:
    try:
        transaction.initDB()
        problems = transaction.run(answer, None)
    except rpm.error as error:
        raise StoreError(f"cannot write the rpm database: {error}") from error
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
