"""What packages leave behind in /etc and /var when they go."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from layer.change import Leftover
from layer.importer import find_package
from layer.model import Deployment, LockedPackage, PackageTree, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import files_of, lookup

_KINDS_WITH_PATH = "dDvqQCLfFpw"


def find_leftovers(
    store: ObjectStore,
    deployment: Deployment,
    var: Path,
    gone: Sequence[LockedPackage],
    staying: Sequence[Tree],
) -> tuple[Leftover, ...]:
    """What the packages `gone` leave in a deployment's /etc and in its stateroot's /var, sorted.

    What one of the trees `staying` has as its own, too, is not left by anybody.
    """
    found: set[Leftover] = set()
    for package in gone:
        imported = find_package(store, package.checksum)
        if imported is not None:
            found.update(_in_etc(store, imported, deployment.path / "etc"))
            found.update(_in_var(store, imported, var))
    if not found:
        return ()
    declared = {path for tree in staying for path in _declared(store, tree)}
    return tuple(
        sorted(
            leftover
            for leftover in found
            if leftover.path not in declared
            and not any(lookup(store, tree, f"usr{leftover.path}") for tree in staying)
        )
    )


def purge(leftovers: Iterable[Leftover]) -> tuple[str, ...]:
    """Removes those that nobody edited, deepest first; returns the paths that went.

    A directory goes only if it is empty by then.
    """
    gone = []
    for leftover in sorted(leftovers, reverse=True):
        if leftover.is_edited:
            continue
        with suppress(OSError):  # not empty, gone by itself, or behind a link
            _remove(leftover.file)
            gone.append(leftover.path)
    return tuple(sorted(gone))


def _remove(file: Path) -> None:
    """Removes a file or an empty directory; OSError where the way there has a link in it.

    A daemon owns its directory in /var, and may put a link there at any moment.
    """
    with _parent(file) as folder:
        status = os.stat(file.name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(file.name, dir_fd=folder)
        else:
            os.unlink(file.name, dir_fd=folder)


@contextmanager
def _parent(file: Path) -> Iterator[int]:
    """The directory of a file, opened step by step without following a link."""
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        for name in file.parent.parts[1:]:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
            inner = os.open(name, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _is_there(file: Path) -> bool:
    """Whether a path exists and no link leads to it."""
    try:
        with _parent(file) as folder:
            os.stat(file.name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


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
    for path, kind in sorted(_declared(store, package.root).items()):
        file = var / path.removeprefix("/var/")
        if not _is_there(file):
            continue
        is_edited = False
        if kind in "CfF" and file.is_file() and not file.is_symlink():
            factory = lookup(store, package.root, f"usr/share/factory{path}")
            is_edited = not isinstance(factory, str) or not _is_same(store, factory, file)
        yield Leftover(path, str(package.nevra), file, is_edited)
        if file.is_dir() and not file.is_symlink():
            yield from _inside(package, path, file, set(_declared(store, package.root)))


def _inside(
    package: PackageTree, path: str, folder: Path, declared: set[str]
) -> Iterable[Leftover]:
    """What others put into a directory of the package: kept, and told."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        inner = f"{path}/{entry.name}"
        if inner not in declared:
            yield Leftover(inner, str(package.nevra), Path(entry.path), is_edited=True)


def _declared(store: ObjectStore, tree: Tree) -> dict[str, str]:
    """Paths below /var that a tree's tmpfiles.d files make, and the kind of each line."""
    folder = lookup(store, tree, "usr/lib/tmpfiles.d")
    found: dict[str, str] = {}
    if isinstance(folder, Tree):
        for name, _ in files_of(store, folder):
            text = read_text(store, tree, f"usr/lib/tmpfiles.d/{name}")
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
