"""Whose a path of a commit is: a package's, a trigger's or layer's own."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from layer.ids import SYSUSERS
from layer.layout import HEADERS, tmpfiles_path
from layer.lock import LAYER, read_record
from layer.model import Commit, Nevra, PackageFile, PackageHeader
from layer.multilib import gives_way
from layer.owners import Owned, OwnerKind
from layer.paths import header_paths, user_path
from layer.rpmdb import open_packages
from layer.rpmfile.stored import StoredPackages
from layer.store.contract import ObjectStore
from layer.takeover import below, layered_in


class Ownership:
    """The records of one commit: who wrote what, and what its packages list."""

    def __init__(
        self,
        stored: StoredPackages | None,
        written: Mapping[str, str],
        base_written: Mapping[str, str],
        layered: frozenset[Nevra],
    ) -> None:
        self._stored = stored
        self._written = written
        self._base_written = base_written
        self._layered = layered

    def owner_of(self, tree_path: str) -> Owned | None:
        """Whose a file or symlink of the tree is: whoever brought or wrote what is there now.

        None only in trees that others made.
        """
        if tree_path in self._written:
            return _writer(tree_path, self._written[tree_path])
        if tree_path in self._base_written:
            return _writer(tree_path, self._base_written[tree_path])
        claims = [c for c in self.claims(tree_path) if not stat.S_ISDIR(c[1].mode)]
        if claims:
            return _claimed(claims[0])
        return _writer(tree_path, LAYER) if _is_made_by_import(tree_path) else None

    def is_of_package(self, tree_path: str) -> bool:
        """Whether what is there is as a package brought it."""
        owner = self.owner_of(tree_path)
        return owner is not None and owner.kind is OwnerKind.PACKAGE

    def owners_of_directory(self, tree_path: str) -> tuple[Owned, ...]:
        """The packages that list a directory of the tree: any number."""
        return tuple(_claimed(c) for c in self.claims(tree_path) if stat.S_ISDIR(c[1].mode))

    def claims(self, tree_path: str) -> tuple[tuple[PackageHeader, PackageFile], ...]:
        """The packages that list a path, in the order in which they came: the base's first.

        One whose ELF file gives way to another's comes after those, and one that only claims
        the name (%ghost) last.
        """
        if self._stored is None:
            return ()
        found = self._stored.claims(header_paths(tree_path))

        def place_of(claim: tuple[PackageHeader, PackageFile]) -> tuple[bool, bool, bool, Nevra]:
            header, file = claim
            is_beaten = any(gives_way(file.color, other.color) for _, other in found)
            return file.is_ghost, is_beaten, header.nevra in self._layered, header.nevra

        return tuple(sorted(found, key=place_of))


def owner_of(store: ObjectStore, commit: Commit, tree_path: str) -> Owned | None:
    """Whose a path of a commit is, without a checkout; see `Ownership.owner_of`."""
    with open_ownership(store, commit) as ownership:
        return ownership.owner_of(tree_path)


@contextmanager
def open_ownership(store: ObjectStore, commit: Commit) -> Iterator[Ownership]:
    """All that a commit says of owners, for many paths."""
    base = below(store, commit)
    base_written = _written(base) if base else {}
    with open_packages(store, commit.root) as stored:
        yield Ownership(stored, _written(commit), base_written, layered_in(store, commit))


def _written(commit: Commit) -> Mapping[str, str]:
    return dict(read_record(commit).written) if "layer.schema" in commit.metadata else {}


def _writer(tree_path: str, name: str) -> Owned:
    kind = OwnerKind.LAYER if name == LAYER else OwnerKind.TRIGGER
    return Owned(kind, name, user_path(tree_path))


def _claimed(claim: tuple[PackageHeader, PackageFile]) -> Owned:
    header, file = claim
    return Owned(OwnerKind.PACKAGE, str(header.nevra), file.path)


def _is_made_by_import(tree_path: str) -> bool:
    """Whether layer put it there while a package was imported, on the package's behalf."""
    folder, _, name = tree_path.rpartition("/")
    generated = tmpfiles_path("")
    return folder == HEADERS or (
        folder in (SYSUSERS, generated.rpartition("/")[0])
        and name.startswith(generated.rpartition("/")[2].removesuffix(".conf"))
    )
