"""A base without some of its packages, as if it had been made without them.

Accounts stay: a number that was given once is never given again, since files in /var may bear
it. What triggers and scriptlets made of the packages is taken away once it is known what takes
their places.
"""

from __future__ import annotations

import posixpath
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from layer import ids
from layer.audit.package import audit_of
from layer.audit.verdict import Alternative
from layer.frozen import dataclass
from layer.layout import HEADERS, place, tmpfiles_path
from layer.lock import LAYER, read_record
from layer.model import Commit, Nevra, PackageHeader, Tree
from layer.paths import header_paths
from layer.rewriting import generated_paths
from layer.rpmdb import change_database, extract_database
from layer.rpmfile.database import read_database
from layer.rpmfile.stored import StoredPackages, open_stored
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, files_of, lookup

# Where others' scriptlets, of which there is no record, put links to what packages bring.
_LINK_FOLDERS = (
    ("usr/etc/systemd", "systemctl enable"),
    ("usr/etc/alternatives", "update-alternatives"),
)
_ALTERNATIVES = "usr/etc/alternatives"
_PROGRAM_FOLDERS = ("usr/bin", "usr/sbin")
_BYTECODE = "__pycache__"
_TOP_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


@dataclass(frozen=True, slots=True)
class Without:
    """Packages of a base that are to go, and who wrote which file of the base without a package."""

    packages: tuple[Nevra, ...] = ()
    written: Mapping[str, str] = field(default_factory=dict)


NOTHING = Without()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A base without packages: the paths of files that went, and what these packages offered.

    `folders` are the directories in which something went.
    """

    tree: Tree
    files: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    offers: tuple[Alternative, ...] = ()
    written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Going:
    """Packages of a base that go, and the paths of the files that go with them."""

    headers: tuple[PackageHeader, ...] = ()
    files: frozenset[str] = frozenset()


def without(commit: Commit, packages: Sequence[Nevra]) -> Without:
    """What it takes to know to make a base without packages."""
    has_record = "layer.schema" in commit.metadata
    return Without(tuple(packages), dict(read_record(commit).written) if has_record else {})


def what_goes(
    store: ObjectStore, base: Commit, packages: Sequence[Nevra], coming: Sequence[PackageHeader]
) -> Going:
    """Packages with the paths of a base's files that go with them: what no other of it has.

    PackageRefused where the machine could not boot, or come back, without them; `coming` are
    the packages that are to be added.
    """
    if not packages:
        return Going()
    from layer.essentials import refuse_essential  # which few changes need

    with _open(store, base.root) as stored:
        headers = [h for nevra in packages for h in stored.named(nevra.name, nevra)]
        refuse_essential(headers, coming)
        files = _own_files(store, base.root, stored, headers)
        return Going(tuple(headers), frozenset(files))


def trim(store: ObjectStore, base: Tree, packages: Sequence[Nevra], scratch: Path) -> Trimmed:
    """The base without these packages: their files, their rows in the rpm database, their headers.

    A directory goes when it is empty and no other package has it. To be called in a
    transaction; `scratch` is an empty directory.
    """
    editor = TreeEditor(store, base)
    with _open(store, base) as stored:
        headers = [h for nevra in packages for h in stored.named(nevra.name, nevra)]
        files = _own_files(store, base, stored, headers)
        for path in [*files, *_generated(store, base, packages)]:
            editor.remove(path)
        listed = {p.path for h in headers for p in place(h).files if stat.S_ISDIR(p.source.mode)}
        folders = {*(p for f in files for p in _parents(f)), *listed}
        _remove_empty(store, editor, stored, folders, frozenset(packages))
    offers = [o for h in headers for o in audit_of(h).rewrites.alternatives]
    written = change_database(store, editor, base, scratch, timestamp=0, erased=packages)
    left = editor.write()
    return Trimmed(left, frozenset(files), tuple(sorted(folders)), tuple(offers), (written,))


def tidy(store: ObjectStore, tree: Tree, trimmed: Trimmed, written: Mapping[str, str]) -> Tree:
    """Takes away what was made of files that are gone and that nothing has replaced.

    Links that lead to them, compiled Python modules of theirs, and what triggers wrote into
    directories where nothing else is left.
    """
    editor = TreeEditor(store, tree)
    lost = frozenset(path for path in trimmed.files if lookup(store, tree, path) is None)
    by_triggers = {path for path, writer in written.items() if writer != LAYER}
    stale = {path for path in by_triggers if _is_bytecode_of(path, lost)}
    stale |= set(_dangling(store, tree, lost, written))
    stale = {path for path in stale if isinstance(lookup(store, tree, path), str)}
    with _open(store, tree) as stored:
        for path in sorted(stale):
            if not stored.claims(header_paths(path)):
                editor.remove(path)
        folders = {*trimmed.folders, *(p for path in stale for p in _parents(path))}
        for folder in sorted(folders, reverse=True):
            found = editor.lookup(folder)
            if isinstance(found, Tree) and not _is_claimed(stored, folder, frozenset()):
                left = [path for path, _ in files_of(store, found, f"{folder}/")]
                if all(path in by_triggers for path in left) and _may_go(folder):
                    editor.remove(folder)
    return editor.write()


@contextmanager
def _open(store: ObjectStore, tree: Tree) -> Iterator[StoredPackages]:
    with tempfile.TemporaryDirectory(prefix="layer-") as scratch:
        database = extract_database(store, tree, Path(scratch))
        assert database is not None, "the solver found packages in it"
        with open_stored(database) as stored:
            yield stored


def _own_files(
    store: ObjectStore, base: Tree, stored: StoredPackages, headers: Sequence[PackageHeader]
) -> list[str]:
    """Files and links of the base that are these packages' and nobody else's, as rpm decides it.

    A package whose file gave way to the one that goes does not get its own back: the base has not
    got it.
    """
    going = {header.nevra for header in headers}
    found = set()
    for header in headers:
        for placed in place(header).files:
            if stat.S_ISDIR(placed.source.mode) or not isinstance(
                lookup(store, base, placed.path), str
            ):
                continue
            holders = stored.holders(header_paths(placed.path))
            if all(holder.nevra in going for holder in holders):
                found.add(placed.path)
    return sorted(found)


def _generated(store: ObjectStore, base: Tree, packages: Sequence[Nevra]) -> Iterator[str]:
    """What layer itself put into the base for these packages, but for another of the same name."""
    with tempfile.TemporaryDirectory(prefix="layer-") as scratch:
        database = extract_database(store, base, Path(scratch))
        kept = {n.name for n in read_database(database) if n not in packages} if database else set()
    for nevra in packages:
        paths = [f"{HEADERS}/{nevra}.rpm"]
        if nevra.name not in kept:
            paths += [tmpfiles_path(nevra.name), f"{ids.SYSUSERS}/zz-layer-{nevra.name}.conf"]
            paths += generated_paths(nevra.name)
        yield from (path for path in paths if isinstance(lookup(store, base, path), str))


def _remove_empty(
    store: ObjectStore,
    editor: TreeEditor,
    stored: StoredPackages,
    folders: Iterable[str],
    going: frozenset[Nevra],
) -> None:
    for folder in sorted(folders, reverse=True):  # what is inside before what it is in
        found = editor.lookup(folder)
        if not isinstance(found, Tree) or not _may_go(folder):
            continue
        directory = store.read_directory(found.contents)
        is_empty = not directory.files and not directory.directories
        if is_empty and not _is_claimed(stored, folder, going):
            editor.remove(folder)


def _is_claimed(stored: StoredPackages, folder: str, going: frozenset[Nevra]) -> bool:
    return any(header.nevra not in going for header, _ in stored.claims(header_paths(folder)))


def _may_go(folder: str) -> bool:
    """Whether a directory is deeper than those that every tree has."""
    return folder.count("/") > 1 or folder.startswith("usr/etc/")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_bytecode_of(path: str, lost: frozenset[str]) -> bool:
    folder, _, name = path.rpartition("/")
    if posixpath.basename(folder) != _BYTECODE:
        return False
    return f"{posixpath.dirname(folder)}/{name.partition('.')[0]}.py" in lost


def _dangling(
    store: ObjectStore, tree: Tree, lost: frozenset[str], written: Mapping[str, str]
) -> Iterator[str]:
    """Links that led to what is lost, by the record and in the places that scriptlets know."""
    candidates = set(written)
    for folder, _reason in _LINK_FOLDERS:
        found = lookup(store, tree, folder)
        if isinstance(found, Tree):
            candidates |= {path for path, _ in files_of(store, found, f"{folder}/")}
    names = set()
    for path in sorted(candidates):
        if _target(store, tree, path) in lost:
            names.add(path)
            yield path
    for path in names:
        if path.startswith(f"{_ALTERNATIVES}/"):
            name = posixpath.basename(path)
            links = (f"{folder}/{name}" for folder in _PROGRAM_FOLDERS)
            yield from (link for link in links if _target(store, tree, link) == path)


def _target(store: ObjectStore, tree: Tree, path: str) -> str:
    """Where a link leads, as a path of the tree; "" for what is no link."""
    found = lookup(store, tree, path)
    target = store.read_file_attributes(found).target if isinstance(found, str) else ""
    if not target:
        return ""
    shown = path.removeprefix("usr/") if path.startswith("usr/etc/") else path
    where = posixpath.normpath(posixpath.join(f"/{posixpath.dirname(shown)}", target))[1:]
    top, _, rest = where.partition("/")
    if top == "etc":
        return f"usr/{where}"
    return f"{_TOP_LINKS[top]}/{rest}" if top in _TOP_LINKS else where
