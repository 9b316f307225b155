"""From a base tree and imported packages to a new tree, step by step.

Each step takes a tree and returns the next one; nothing is checked out, and a
directory that no package touches is not even read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

from layer import spans
from layer.accounts import read_accounts
from layer.conflicts import (
    DIFFERENT,
    DIRECTORY_OVER_FILE,
    FILE_OVER_DIRECTORY,
    conflict,
    line,
    owner_in,
)
from layer.contests import Contests
from layer.copies import Copies
from layer.documentation import documentation_positions
from layer.frozen import dataclass
from layer.importer import read_package_blob
from layer.model import PackageTree, Tree
from layer.ownership import Ownership
from layer.paths import user_path
from layer.rpmdb import change_database, open_packages
from layer.rpmfile.states import FileState, FileStates
from layer.store.contract import ObjectStore
from layer.store.selinux import label_of, with_label
from layer.store.trees import TreeEditor
from layer.words import shown


@dataclass(frozen=True, slots=True)
class Merged:
    """A tree with packages in it, and what a person might want to know about the merge.

    `packages` are what was merged, less the owners of files that gave way to others; `states`
    tell such files, those of the base's packages too.
    """

    tree: Tree
    packages: tuple[PackageTree, ...]
    states: FileStates
    notes: tuple[str, ...]


def merge(
    store: ObjectStore,
    base: Tree,
    packages: Sequence[PackageTree],
    copies: Copies | None = None,
) -> Merged:
    """Puts the packages' files over the base.

    The same path with the same content, mode and owner is one file, whatever
    SELinux label the base's has; of ELF files of 32 and of 64 bits the latter
    is taken; all else that meets is a Conflict that names every path and its
    owners at once, before anything is written. A directory of several keeps
    its first attributes.
    """
    with ExitStack() as stack:

        @cache  # and only where something meets, which mostly nothing does
        def ownership() -> Ownership:
            return Ownership(stack.enter_context(open_packages(store, base)), {}, {}, frozenset())

        contests = Contests(store, ownership)
        work = _Merge(store, base, copies or Copies(store), contests)
        packages = sorted(packages, key=lambda p: p.nevra)
        for package in packages:
            work.add(package)
        if work.conflicts:
            raise conflict(
                [
                    line(path, first or owner_in(ownership(), path), second, what)
                    for path, first, second, what in work.conflicts
                ]
            )
        return Merged(
            work.editor.write(),
            tuple(contests.without_lost(package) for package in packages),
            contests.states(),
            tuple(sorted([*work.notes, *contests.notes()])),
        )


class _Merge:
    """The editor, and who put what into it."""

    def __init__(self, store: ObjectStore, base: Tree, copies: Copies, contests: Contests) -> None:
        self.store = store
        self.contests = contests
        self.copies = copies
        self.editor = TreeEditor(store, base)
        self.conflicts: list[tuple[str, str, str, str]] = []  # path, writer, package, reason
        self.notes: list[str] = []
        self._packages: dict[str, PackageTree] = {}
        self._owners: dict[str, Mapping[str, tuple[str, str]]] = {}  # by package
        self._writers: dict[str, str] = {}  # of files, and of subtrees taken whole
        self._accounts = read_accounts(store, base)

    def add(self, package: PackageTree) -> None:
        owners = {o.path: (o.user, o.group) for o in package.owners}
        self._packages[str(package.nevra)] = package
        self._owners[str(package.nevra)] = owners
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
                self._conflict(package, path, DIRECTORY_OVER_FILE)
            elif attributes is None:
                self.editor.put_tree(path, child)
                self._writers[path] = str(package.nevra)
            else:
                if attributes != child.attributes and self._differ(attributes, child.attributes):
                    self.notes.append(
                        f"{shown(user_path(path))}: {self._writer(path) or 'the base'} and "
                        f"{package.nevra} give it different attributes; the first are kept"
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
            self._conflict(package, path, FILE_OVER_DIRECTORY)
        elif present is None:
            self.editor.put_file(path, checksum)
            self._writers[path] = str(package.nevra)
        elif self._is_same(path, present, checksum, owners.get(path)):
            self.contests.share(path, package)
        else:
            self._settle(package, path, checksum)

    def _settle(self, package: PackageTree, path: str, checksum: str) -> None:
        """Lets one of two different files be the path's, where something says which."""
        verdict = self.contests.settle(path, self._packages.get(self._writer(path)), package)
        if not verdict.may_come:
            self._conflict(package, path, DIFFERENT, verdict.opponent)
        elif verdict.wins:
            self.editor.put_file(path, checksum)
            self._writers[path] = str(package.nevra)

    def _is_same(
        self, path: str, present: str, checksum: str, owner: tuple[str, str] | None
    ) -> bool:
        """Whether an imported file will be the one that is there, whatever label that has."""
        writer = self._owners.get(self._writer(path))
        if writer is not None:
            return (present, writer.get(path)) == (checksum, owner)
        users, groups = self._accounts.users, self._accounts.groups
        there = self.store.read_file_attributes(present)
        imported = self.store.read_file_attributes(checksum)
        file = with_label(imported, label_of(there))
        if owner is not None:
            uid, gid = users.get(owner[0]), groups.get(owner[1])
            if uid is None or gid is None:
                return False
            file = replace(file, uid=uid, gid=gid)
        if file != there:
            return False
        return present == (checksum if file == imported else self.copies.of(checksum, file))

    def _differ(self, present: str, other: str) -> bool:
        """Whether two directories' attributes differ in more than the label."""
        there, new = (self.store.read_directory_attributes(a) for a in (present, other))
        return with_label(there, None) != with_label(new, None)

    def _conflict(self, package: PackageTree, path: str, what: str, opponent: str = "") -> None:
        first = opponent or self._writer(path)
        self.conflicts.append((path, first, str(package.nevra), what))

    def _writer(self, path: str) -> str:
        """The package that put a path or a directory above it, "" for the base."""
        while path:
            if path in self._writers:
                return self._writers[path]
            path = path.rpartition("/")[0]
        return ""


@spans.phase("rpmdb")
def record_packages(
    store: ObjectStore,
    tree: Tree,
    packages: Iterable[PackageTree],
    *,
    epoch: int,
    scratch: Path,
    states: FileStates | None = None,
    without_documentation: bool = False,
) -> tuple[Tree, tuple[str, ...]]:
    """Lists the packages in the tree's rpm database; returns the tree and the paths written.

    `epoch` (seconds) is the time of installation that rpm records; `states` are
    those of files for which packages met.
    """
    packages = sorted(packages, key=lambda p: p.nevra)
    blobs = [read_package_blob(store, p) for p in packages]
    if not blobs:
        return tree, ()
    known = {nevra: dict(found) for nevra, found in (states or {}).items()}
    if without_documentation:
        for package in packages:
            left_out = documentation_positions(store, package)
            absent = dict.fromkeys(left_out, FileState.NOT_INSTALLED)
            known[package.nevra] = known.get(package.nevra, {}) | absent
    editor = TreeEditor(store, tree)
    path = change_database(store, editor, tree, scratch, timestamp=epoch, blobs=blobs, states=known)
    return editor.write(), (path,)
