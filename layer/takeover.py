"""Commits that rpm-ostree layered: their true base, and what is in them beyond it.

rpm-ostree marks them with `rpmostree.clientlayer`, and their parent is the base
(rpmostree-util: rpmostree_deployment_get_layered_info). Which packages came is in the rpm database
alone, without the checksums of their files.
"""

from __future__ import annotations

from layer.errors import NotFound, StoreError
from layer.lock import Lock, base_of, read_lock
from layer.model import Commit, LockedPackage, Nevra, PackageHeader
from layer.rpmdb import open_packages
from layer.store.contract import ObjectStore

_MARK = "rpmostree.clientlayer"


def is_foreign(commit: Commit) -> bool:
    """Whether rpm-ostree layered the commit."""
    return commit.metadata.get(_MARK) is True and bool(commit.parent) and base_of(commit) is None


def read_base(store: ObjectStore, commit: Commit) -> Commit:
    """The base of a commit, which is itself where nothing is layered.

    NotFound where rpm-ostree layered it and its base is not here.
    """
    if not is_foreign(commit):
        base = base_of(commit)
        return store.read_commit(base) if base else commit
    assert commit.parent is not None
    try:
        return store.read_commit(commit.parent)
    except StoreError as error:
        raise NotFound(
            f"commit {commit.checksum} was layered by rpm-ostree, and its base "
            f"{commit.parent} is not in the repository",
            "`layer upgrade` pulls the newest base, and makes the tree anew from it",
        ) from error


def below(store: ObjectStore, commit: Commit) -> Commit | None:
    """The base that a commit was layered over, None where nothing is or where it is not here."""
    if base_of(commit) is None and not is_foreign(commit):
        return None
    try:
        return read_base(store, commit)
    except NotFound:
        return None


def layered_in(store: ObjectStore, commit: Commit) -> frozenset[Nevra]:
    """The packages of a commit that are layered, by whichever of the two programs."""
    return frozenset(package.nevra for package in read_any_lock(store, commit).packages)


def read_any_lock(store: ObjectStore, commit: Commit) -> Lock:
    """The lock of what is layered, empty where nothing is.

    Of what rpm-ostree layered it is what differs from the base in the rpm database; the checksums
    of its files are not known and "". It is empty where that base is not here.
    """
    if not is_foreign(commit):
        return read_lock(commit) if base_of(commit) else Lock()
    try:
        before, after = _nevras(store, read_base(store, commit)), _nevras(store, commit)
    except NotFound:
        return Lock()
    return Lock(
        packages=tuple(LockedPackage(nevra, "") for nevra in sorted(after - before)),
        gone=tuple(sorted(before - after)),
    )


def read_headers(store: ObjectStore, commit: Commit, lock: Lock) -> tuple[PackageHeader, ...]:
    """The headers of what is layered; from the tree's rpm database where rpm-ostree did it."""
    if not is_foreign(commit):
        from layer.importer import find_package, read_package_header

        imported = [find_package(store, p.checksum) for p in lock.packages]
        return tuple(read_package_header(store, p) for p in imported if p is not None)
    with open_packages(store, commit.root) as stored:
        found = [stored.named(p.nevra.name, p.nevra) for p in lock.packages] if stored else []
    return tuple(header for headers in found for header in headers)


def _nevras(store: ObjectStore, commit: Commit) -> set[Nevra]:
    with open_packages(store, commit.root) as stored:
        return {nevra for nevra, _ in stored.headers()} if stored else set()
