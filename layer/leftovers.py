"""What packages leave behind in /etc and /var when they go."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from layer.change import Leftover
from layer.importer import find_package
from layer.model import Deployment, LockedPackage, PackageTree, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import files_of, lookup

_KINDS_WITH_PATH = "dDvqQCLfFpw"


def find_leftovers(
    store: ObjectStore, deployment: Deployment, var: Path, gone: Sequence[LockedPackage]
) -> tuple[Leftover, ...]:
    """What the packages `gone` leave in a deployment's /etc and in its stateroot's /var, sorted."""
    found: set[Leftover] = set()
    for package in gone:
        imported = find_package(store, package.checksum)
        if imported is not None:
            found.update(_in_etc(store, imported, deployment.path / "etc"))
            found.update(_in_var(store, imported, var))
    return tuple(sorted(found))


def purge(leftovers: Iterable[Leftover]) -> tuple[str, ...]:
    """Removes those that nobody edited, deepest first; returns the paths that went.

    A directory goes only if it is empty by then.
    """
    gone = []
    for leftover in sorted(leftovers, reverse=True):
        if leftover.is_edited:
            continue
        try:
            if stat.S_ISDIR(leftover.file.lstat().st_mode):
                leftover.file.rmdir()
            else:
                leftover.file.unlink()
        except OSError:
            continue  # not empty, or gone by itself
        gone.append(leftover.path)
    return tuple(sorted(gone))


def _in_etc(store: ObjectStore, package: PackageTree, etc: Path) -> Iterable[Leftover]:
    """Files of the package that differ from what it shipped: the /etc merge carries them on."""
    folder = lookup(store, package.root, "usr/etc")
    if not isinstance(folder, Tree):
        return
    for name, checksum in files_of(store, folder):
        file = etc / name
        if os.path.lexists(file) and not _is_same(store, checksum, file):
            yield Leftover(f"/etc/{name}", str(package.nevra), file, is_edited=True)


def _in_var(store: ObjectStore, package: PackageTree, var: Path) -> Iterable[Leftover]:
    """What the package's tmpfiles.d lines made below /var."""
    for path, kind in sorted(_declared(store, package).items()):
        file = var / path.removeprefix("/var/")
        if not os.path.lexists(file):
            continue
        is_edited = False
        if kind in "CfF" and file.is_file() and not file.is_symlink():
            factory = lookup(store, package.root, f"usr/share/factory{path}")
            is_edited = not isinstance(factory, str) or not _is_same(store, factory, file)
        yield Leftover(path, str(package.nevra), file, is_edited)
        if file.is_dir() and not file.is_symlink():
            yield from _inside(package, path, file, set(_declared(store, package)))


def _inside(
    package: PackageTree, path: str, folder: Path, declared: set[str]
) -> Iterable[Leftover]:
    """What others put into a directory of the package: kept, and told."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        inner = f"{path}/{entry.name}"
        if inner not in declared:
            yield Leftover(inner, str(package.nevra), Path(entry.path), is_edited=True)


def _declared(store: ObjectStore, package: PackageTree) -> dict[str, str]:
    """Paths below /var that the package's tmpfiles.d files make, and the kind of each line."""
    folder = lookup(store, package.root, "usr/lib/tmpfiles.d")
    found: dict[str, str] = {}
    if isinstance(folder, Tree):
        for name, _ in files_of(store, folder):
            text = read_text(store, package.root, f"usr/lib/tmpfiles.d/{name}")
            for line in text.splitlines():
                words = _words(line)
                if len(words) > 1 and words[1].startswith("/var/"):
                    found.setdefault(words[1].rstrip("/"), words[0][0])
    return {p: k for p, k in found.items() if k in _KINDS_WITH_PATH and "%" not in p}


def _words(line: str) -> list[str]:
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _is_same(store: ObjectStore, checksum: str, file: Path) -> bool:
    """Whether a file on disk still has the content that the package shipped."""
    attributes = store.read_file_attributes(checksum)
    if stat.S_ISLNK(attributes.mode):
        return file.is_symlink() and str(file.readlink()) == attributes.target
    if file.is_symlink() or not file.is_file():
        return False
    with store.open_file(checksum) as shipped:
        return shipped.read() == file.read_bytes()
