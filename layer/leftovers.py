"""What packages leave behind in /etc and /var when they go."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from layer.change import Leftover
from layer.frozen import dataclass
from layer.importer import find_package
from layer.layout import declared_paths, place, tmpfiles_path
from layer.model import Deployment, LockedPackage, Nevra, PackageHeader, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import files_of, lookup

_KINDS_WITH_PATH = "dDvqQCLfFpw"
_ETC = "usr/etc/"
_TMPFILES = "usr/lib/tmpfiles.d/"


@dataclass(frozen=True, slots=True)
class Bequest:
    """What a package that goes has in a tree, by which what it leaves is known.

    `etc` are its files below /etc with their checksums, `declared` the paths below /var that
    its tmpfiles.d lines make, with the kind of each line; what these copy is in `tree`.
    """

    nevra: Nevra
    tree: Tree
    etc: Mapping[str, str]
    declared: Mapping[str, str]


def layered_bequests(store: ObjectStore, packages: Iterable[LockedPackage]) -> tuple[Bequest, ...]:
    """Those of layered packages, as far as these are still in the store."""
    found = []
    for package in packages:
        imported = find_package(store, package.checksum)
        if imported is not None:
            folder = lookup(store, imported.root, _ETC[:-1])
            etc = dict(files_of(store, folder)) if isinstance(folder, Tree) else {}
            declared = _declared(store, imported.root)
            found.append(Bequest(imported.nevra, imported.root, etc, declared))
    return tuple(found)


def base_bequests(
    store: ObjectStore, base: Tree, headers: Iterable[PackageHeader], vacated: Collection[str]
) -> tuple[Bequest, ...]:
    """Those of packages of a base, whose files at the paths `vacated` go with them."""
    found = []
    for header in headers:
        paths = {placed.path for placed in place(header).files} & set(vacated)
        etc = {path.removeprefix(_ETC): path for path in paths if path.startswith(_ETC)}
        shipped = {name: lookup(store, base, path) for name, path in etc.items()}
        lines = {path for path in paths if path.startswith(_TMPFILES)}
        lines.add(tmpfiles_path(header.nevra.name))
        found.append(
            Bequest(
                header.nevra,
                base,
                {name: one for name, one in shipped.items() if isinstance(one, str)},
                _declared(store, base, only=lines),
            )
        )
    return tuple(found)


def find_leftovers(
    store: ObjectStore,
    deployment: Deployment,
    var: Path,
    gone: Sequence[Bequest],
    base: Tree,
    staying: Sequence[Tree],
    vacated: Collection[str] = (),
    coming: Iterable[PackageHeader] = (),
) -> tuple[Leftover, ...]:
    """What packages that go leave in a deployment's /etc and in its stateroot's /var, sorted.

    What one of the trees `staying`, one of the packages `coming`, which have no tree yet, or the
    base has as its own, too, is not left by anybody; the base no longer has the paths `vacated`.
    """
    found: set[Leftover] = set()
    for bequest in gone:
        found.update(_in_etc(store, bequest, deployment.path / "etc"))
        found.update(_in_var(store, bequest, var))
    if not found:
        return ()
    declared = {path for tree in staying for path in _declared(store, tree)}
    declared.update(_declared(store, base, vacated))
    placements = [place(header) for header in coming]
    declared.update(path for one in placements for path in declared_paths(one.tmpfiles))
    brought = {placed.path for one in placements for placed in one.files}

    def is_owned(path: str) -> bool:
        trees = staying if path in vacated else [*staying, base]
        return path in brought or any(lookup(store, tree, path) for tree in trees)

    return tuple(
        sorted(
            leftover
            for leftover in found
            if leftover.path not in declared and not is_owned(f"usr{leftover.path}")
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


def _in_etc(store: ObjectStore, bequest: Bequest, etc: Path) -> Iterable[Leftover]:
    """Files of the package that differ from what it shipped: the /etc merge carries them on."""
    for name, checksum in bequest.etc.items():
        file = etc / name
        if os.path.lexists(file) and not _is_same(store, checksum, file):
            yield Leftover(f"/etc/{name}", str(bequest.nevra), file, is_edited=True)


def _in_var(store: ObjectStore, bequest: Bequest, var: Path) -> Iterable[Leftover]:
    """What the package's tmpfiles.d lines made below /var."""
    for path, kind in sorted(bequest.declared.items()):
        file = var / path.removeprefix("/var/")
        if not _is_there(file):
            continue
        is_edited = False
        if kind in "CfF" and file.is_file() and not file.is_symlink():
            factory = lookup(store, bequest.tree, f"usr/share/factory{path}")
            is_edited = not isinstance(factory, str) or not _is_same(store, factory, file)
        yield Leftover(path, str(bequest.nevra), file, is_edited)
        if file.is_dir() and not file.is_symlink():
            yield from _inside(bequest, path, file)


def _inside(bequest: Bequest, path: str, folder: Path) -> Iterable[Leftover]:
    """What others put into a directory of the package: kept, and told."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        inner = f"{path}/{entry.name}"
        if inner not in bequest.declared:
            yield Leftover(inner, str(bequest.nevra), Path(entry.path), is_edited=True)


def _declared(
    store: ObjectStore,
    tree: Tree,
    away: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
) -> dict[str, str]:
    """Paths below /var that a tree's tmpfiles.d files make, and the kind of each line.

    Not by those files that are `away`; None for `only` is all the others.
    """
    folder = lookup(store, tree, _TMPFILES[:-1])
    found: dict[str, str] = {}
    if isinstance(folder, Tree):
        files = [f"{_TMPFILES}{name}" for name, _ in files_of(store, folder)]
        for file in files:
            if file in away or (only is not None and file not in only):
                continue
            text = read_text(store, tree, file)
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
