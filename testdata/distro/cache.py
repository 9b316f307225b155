"""The directory outside the checkout where the sets are built once and kept."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import zstandard

from testdata.distro.configuration import HERE

# Sources here that no byte of a repository comes from.
NOT_INPUTS = ("boot.py", "demo.py", "forge.py", "hostile*.py", "large.py", "tiny.py", "__pycache__")


def default_cache() -> Path:
    """Return $LAYER_TESTDATA_CACHE, or /var/cache/layer-testdata."""
    return Path(os.environ.get("LAYER_TESTDATA_CACHE", "/var/cache/layer-testdata"))


@contextmanager
def locked(cache: Path, name: str = "lock") -> Iterator[None]:
    """Keep other builders out of the cache, other processes included."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sources_key(*without: str) -> str:
    """Return a digest of this directory's files but those called `without`, and of the codec.

    The names are patterns of fnmatch, of files or of directories.
    """
    digest = sha256(repr(zstandard.ZSTD_VERSION).encode())
    for path in sorted(HERE.rglob("*")):
        names = path.relative_to(HERE).parts
        if path.is_file() and not any(fnmatch(n, pattern) for n in names for pattern in without):
            content = path.read_bytes()
            is_program = bool(path.stat().st_mode & 0o100)
            record = ("/".join(names), is_program, len(content))
            digest.update(repr(record).encode() + content)
    return digest.hexdigest()[:16]


def point_at(link: Path, target: Path) -> None:
    """Make `link` a symlink to its sibling `target`, in one step."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name)
    temporary.replace(link)


def remove_old_builds(newest: Path, pattern: str, kept: int) -> None:
    """Remove what matches `pattern` beside `newest`, but the `kept` newest."""
    builds = [path for path in newest.parent.glob(pattern) if path != newest]
    builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[kept - 1 :]:
        shutil.rmtree(path)
