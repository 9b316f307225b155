"""From a base tree and imported packages to a new tree, step by step.

Each step takes a tree and returns the next one; nothing is checked out, and a
directory that no package touches is not even read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layer.accounts import read_accounts, with_owner
from layer.errors import Conflict
from layer.importer import read_package_blob
from layer.model import FileAttributes, PackageTree, Tree
from layer.rpmdb import DATABASE_PATHS, database_path, extract_database
from layer.rpmfile.database import write_database
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Merged:
    """A tree with packages in it, and what a person might want to know about the merge."""

    tree: Tree
    notes: tuple[str, ...]


def merge(store: ObjectStore, base: Tree, packages: Sequence[PackageTree]) -> Merged:
    """Puts the packages' files over the base.

    The same path with the same content, mode and owner is one file; all else
    that meets is a Conflict that names every path and its owners at once,
    before anything is written. A directory of several keeps its first attributes.
    """
    work = _Merge(store, base)
    for package in sorted(packages, key=lambda p: p.nevra):
        work.add(package)
    if work.conflicts:
        raise Conflict(
            "these paths have two owners:\n  " + "\n  ".join(sorted(work.conflicts)),
            "leave out one of the packages",
        )
    return Merged(work.editor.write(), tuple(sorted(work.notes)))


class _Merge:
    """The editor, and who put what into it."""

    def __init__(self, store: ObjectStore, base: Tree) -> None:
        self.store = store
        self.editor = TreeEditor(store, base)
        self.conflicts: list[str] = []
        self.notes: list[str] = []
        self._writers: dict[str, str] = {}  # of files, and of subtrees taken whole
        self._accounts = read_accounts(store, base)

    def add(self, package: PackageTree) -> None:
        owners = {o.path: (o.user, o.group) for o in package.owners}
        self._add_directory(package, owners, "", package.root)

    def _add_directory(
        self,
        package: PackageTree,
        owners: Mapping[str, tuple[str, str]],
        prefix: str,
        tree: Tree,
    ) -> None:
        directory = self.store.read_directory(tree.contents)
        for name, checksum in directory.files.items():
            self._add_file(package, owners, prefix + name, checksum)
        for name, child in directory.directories.items():
            path = prefix + name
            attributes = self.editor.directory_attributes(path)
            if self.editor.file(path):
                self._conflict(package, path, "a directory over a file")
            elif attributes is None:
                self.editor.put_tree(path, child)
                self._writers[path] = str(package.nevra)
            else:
                if attributes != child.attributes:
                    self.notes.append(
                        f"/{path}: {self._writer(path)} and {package.nevra} give it different "
                        "attributes; the first are kept"
                    )
                self._add_directory(package, owners, path + "/", child)

    def _add_file(
        self,
        package: PackageTree,
        owners: Mapping[str, tuple[str, str]],
        path: str,
        checksum: str,
    ) -> None:
        present = self.editor.file(path)
        if self.editor.directory_attributes(path):
            self._conflict(package, path, "a file over a directory")
        elif present is None:
            self.editor.put_file(path, checksum)
            self._writers[path] = str(package.nevra)
        elif present != self._owned(checksum, owners.get(path)):
            self._conflict(package, path, "different content, mode or owner")

    def _owned(self, checksum: str, owner: tuple[str, str] | None) -> str:
        """The file as it would be with its owner, where the base knows that owner."""
        if owner is None:
            return checksum
        user, group = (self._accounts.users.get(owner[0]), self._accounts.groups.get(owner[1]))
        if user is None or group is None:
            return checksum
        return with_owner(self.store, checksum, user, group)

    def _conflict(self, package: PackageTree, path: str, what: str) -> None:
        self.conflicts.append(f"/{path}: {self._writer(path)} and {package.nevra}: {what}")

    def _writer(self, path: str) -> str:
        """Who brought a path: the package that put it or a directory above it, else the base."""
        while path:
            if path in self._writers:
                return self._writers[path]
            path = path.rpartition("/")[0]
        return "the base"


def record_packages(
    store: ObjectStore,
    tree: Tree,
    packages: Iterable[PackageTree],
    *,
    epoch: int,
    scratch: Path,
) -> tuple[Tree, tuple[str, ...]]:
    """Lists the packages in the tree's rpm database; returns the tree and the paths written.

    `epoch` (seconds) is the time of installation that rpm records.
    """
    blobs = [read_package_blob(store, p) for p in sorted(packages, key=lambda p: p.nevra)]
    if not blobs:
        return tree, ()
    folder = database_path(store, tree) or DATABASE_PATHS[0]
    written = scratch / "rpmdb-new"
    written.mkdir()
    source = extract_database(store, tree, scratch)
    write_database(source, written, blobs, timestamp=epoch)
    editor = TreeEditor(store, tree)
    paths = []
    for file in sorted(written.iterdir()):
        path = f"{folder}/{file.name}"
        editor.put_file(path, _store_file(store, file))
        paths.append(path)
    return editor.write(), tuple(paths)


def _store_file(store: ObjectStore, file: Path) -> str:
    with file.open("rb") as content:
        return store.write_file(FileAttributes(), iter(lambda: content.read(_CHUNK), b""))
