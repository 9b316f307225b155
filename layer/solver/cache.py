"""What libsolv has read once, kept in its own form, which it reads 20 times as fast.

libsolv trusts such a file: whoever can write one decides what is installed, and a damaged one
may end the process. So a file counts only where nobody else could have written it, and whole.
docs/formats.md has the format.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import solv

from layer.frozen import dataclass
from layer.report import Reporter
from layer.scratch import NEW_SOLV_CACHE, SOLV_CACHE

_FORMAT = 1
_DIGEST = "sha256"
_DIGEST_SIZE = 32
_STALE = 3600  # seconds after which nobody writes at a new file any more
_NO_XML = "cache.solv"  # libsolv takes the end of a name for the compression


@dataclass(frozen=True, slots=True)
class SolvCache:
    """A directory of such files, that nobody else can write."""

    folder: Path
    reporter: Reporter

    def read(self, name: str, key: str, take: Callable[[object], bool]) -> bool:
        """Gives the file to `take`, open; False where there is none that can be trusted.

        Where `take` cannot use it, it is as if it were not there.
        """
        path = self._path(name, key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            problem = _distrusted(os.fstat(descriptor)) or _damaged(descriptor, path.name)
            if not problem:
                os.lseek(descriptor, 0, os.SEEK_SET)
                with closing(solv.xfopen_fd(_NO_XML, descriptor)) as file:
                    if take(file):
                        return True
                problem = "libsolv cannot read it"
        finally:
            os.close(descriptor)
        self.reporter.note(f"{path} is made anew: {problem}")
        with suppress(OSError):
            path.unlink()
        return False

    def write(self, name: str, key: str, give: Callable[[object], bool], *, kept: int = 1) -> None:
        """Keeps what `give` writes, whole or not at all, and of this name the `kept` newest.

        Where it cannot be written, a note says so: nothing depends on it.
        """
        path = self._path(name, key)
        with suppress(OSError):
            self._tidy(path, name, kept)
        new = None
        try:
            descriptor, new = tempfile.mkstemp(prefix=NEW_SOLV_CACHE, dir=self.folder)  # mode 0600
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # so that nobody sweeps it away
                _fill(descriptor, path.name, give)
            finally:
                os.close(descriptor)
            Path(new).replace(path)
        except OSError as error:
            if new is not None:
                Path(new).unlink(missing_ok=True)
            self.reporter.note(f"{path} cannot be written: {error.strerror or error}")

    def _path(self, name: str, key: str) -> Path:
        return self.folder / f"{name}={key}.{_FORMAT}-{library_version()}.solv"

    def _tidy(self, path: Path, name: str, kept: int) -> None:
        """Removes what is superseded, and what a killed process left."""
        now = time.time()
        siblings: list[tuple[float, Path]] = []
        for other in self.folder.iterdir():
            changed = other.lstat().st_mtime
            if other.name.startswith(NEW_SOLV_CACHE) and now - changed > _STALE:
                other.unlink()
            elif other.name.startswith(f"{name}=") and other != path:
                siblings.append((changed, other))
        for _, other in sorted(siblings, reverse=True)[kept - 1 :]:
            other.unlink()


def open_cache(directory: Path, reporter: Reporter) -> SolvCache | None:
    """The files below the cache `directory`; None, with a note, where others can write there."""
    folder = directory.absolute() / SOLV_CACHE
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for parent in _way_to(folder.parent):
            problem = _distrusted(parent.lstat())
            if problem:
                reporter.note(f"packages are read without {folder}: {parent} {problem}")
                return None
        _make(folder, reporter)
    except OSError as error:
        reporter.note(f"packages are read without {folder}: {error.strerror}")
        return None
    return SolvCache(folder, reporter)


def _make(folder: Path, reporter: Reporter) -> None:
    with suppress(FileNotFoundError):
        found = folder.lstat()
        problem = "is no directory" if not stat.S_ISDIR(found.st_mode) else _distrusted(found)
        if not problem:
            return
        reporter.note(f"{folder} is made anew: it {problem}")
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(folder)
        else:
            folder.unlink()
    with suppress(FileExistsError):  # another process was faster
        folder.mkdir(mode=0o700)


def _way_to(directory: Path) -> Iterator[Path]:
    """Every directory in which somebody could put another in this one's place."""
    real = directory.resolve()
    yield real
    yield from real.parents


def _distrusted(found: os.stat_result) -> str:
    """Why what is there may be somebody else's, "" where it is not."""
    if found.st_uid not in {0, os.geteuid()}:
        return f"belongs to user {found.st_uid}"
    # In a sticky directory, as /tmp is, nobody can put anything in the place of what is ours.
    is_sticky_directory = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & 0o022 and not is_sticky_directory:
        return "can be written by others"
    return ""


def _damaged(descriptor: int, name: str) -> str:
    """Why the file is not what was written under this name, "" where it is."""
    size = os.fstat(descriptor).st_size - _DIGEST_SIZE
    if size < 0 or os.pread(descriptor, _DIGEST_SIZE, size) != _digest(descriptor, name, size):
        return "it is damaged"
    return ""


def _digest(descriptor: int, name: str, size: int) -> bytes:
    digest = hashlib.new(_DIGEST, name.encode())
    for start in range(0, size, 1 << 18):
        digest.update(os.pread(descriptor, min(1 << 18, size - start), start))
    return digest.digest()


def _fill(descriptor: int, name: str, give: Callable[[object], bool]) -> None:
    """Writes the file and behind it the digest that says that it is whole."""
    file = solv.xfopen_fd(_NO_XML, descriptor, "w")
    is_written = give(file)
    # The last of it is written by close, which alone can say that the disk was full.
    if not (file.close() and is_written):
        raise OSError("libsolv could not write it")
    size = os.fstat(descriptor).st_size
    os.pwrite(descriptor, _digest(descriptor, name, size), size)


@cache
def library_version() -> str:
    """libsolv's own version, which its Python module does not tell."""
    library = ctypes.CDLL("libsolv.so.1")
    return (ctypes.c_char * 16).in_dll(library, "solv_version").value.decode()
