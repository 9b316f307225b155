"""Reads the base, repositories and the lock into a pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import solv

from layer.errors import StoreError
from layer.model import BaseState, LockedPackage, RepositoryMetadata
from layer.solver.base import base_arch, load_base
from layer.solver.cache import SolvCache
from layer.solver.excluding import exclude
from layer.solver.pool import Offer, broken

_MAGIC = {
    ".gz": b"\x1f\x8b",
    ".xz": b"\xfd7zXZ\x00",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".bz2": b"BZh",
    ".xml": b"<?xml",
}
_EXTEND = solv.Repo.REPO_EXTEND_SOLVABLES | solv.Repo.REPO_LOCALPOOL


class Loader:
    """Reads pools, from files of `cache` where these know better, and keeps the last one.

    What is asked about the same packages is answered by the same pool. `excludes` are globs:
    what they name in repositories is not there.
    """

    def __init__(self, cache: SolvCache | None = None, excludes: Sequence[str] = ()) -> None:
        self.cache = cache
        self.excludes = tuple(excludes)
        self._key: tuple[object, ...] = ()
        self._offer: Offer | None = None

    def load(
        self,
        base: BaseState,
        metadata: Sequence[RepositoryMetadata],
        lock: Iterable[LockedPackage],
        locked_headers: Mapping[str, Path],
        *,
        with_filelists: bool,
    ) -> Offer:
        """All in one pool, read in an order that does not depend on the arguments' order."""
        ordered = tuple(sorted(metadata, key=lambda each: each.repository.id))
        locked = tuple(sorted(lock))
        key = (base, ordered, locked, dict(locked_headers), with_filelists)
        if self._offer is not None and key == self._key:
            self._offer.start_again()
            return self._offer
        self._offer = None  # the first pool is gone before the second is read
        offer = self._read(base, ordered, with_filelists=with_filelists)
        _load_locked(offer, locked, locked_headers)
        required_files = offer.pool.addfileprovides_queue()
        offer.pool.createwhatprovides()
        exclude(offer, self.excludes)
        if offer.lacks_filelists:
            _stand_in_for_filelists(offer, required_files)
        self._key, self._offer = key, offer
        return offer

    def _read(
        self, base: BaseState, metadata: Sequence[RepositoryMetadata], *, with_filelists: bool
    ) -> Offer:
        pool = solv.Pool()
        # Debian's build thinks in .deb; noarch packages are then not installable.
        pool.setdisttype(solv.Pool.DISTTYPE_RPM)
        # As rpm does: foo.i686 neither replaces nor obsoletes foo.x86_64.
        pool.set_flag(solv.Pool.POOL_FLAG_IMPLICITOBSOLETEUSESCOLORS, 1)
        pool.set_flag(solv.Pool.POOL_FLAG_OBSOLETEUSESCOLORS, 1)
        if base.database is not None:
            load_base(pool, base, self.cache)
        lacks_filelists = not with_filelists and any(each.filelists for each in metadata)
        offer = Offer(pool, base.arch or base_arch(pool), {}, {}, lacks_filelists)
        offer.accept_own_arch()
        for each in metadata:
            repo = _load_repository(pool, each, self.cache)
            if with_filelists:
                _load_filelists(repo, each, self.cache)
            offer.repositories[repo.id] = each.repository
        return offer


def _load_repository(
    pool: solv.Pool, metadata: RepositoryMetadata, cache: SolvCache | None
) -> solv.Repo:
    repository, key = metadata.repository, metadata.repomd_checksum
    repo = pool.add_repo(repository.id)
    repo.priority = -repository.priority  # for libsolv more is better
    repo.subpriority = -repository.cost
    if cache and key and cache.read(repository.id, key, lambda file: _take(repo, file)):
        return repo
    _read(repo, metadata, metadata.primary, None, 0)
    # A page that is not metadata at all reads as a repository without packages.
    if repo.isempty() and not _looks_like_metadata(metadata.primary):
        raise broken(repository, "its package list is no metadata")
    if cache and key:
        cache.write(repository.id, key, repo.write)
    return repo


def _take(repo: solv.Repo, file: object) -> bool:
    if repo.add_solv(file, 0):
        return True
    repo.empty()
    return False


def _load_filelists(repo: solv.Repo, metadata: RepositoryMetadata, cache: SolvCache | None) -> None:
    if metadata.filelists is None:
        return
    name, key = f"{metadata.repository.id}+filelists", metadata.repomd_checksum
    if cache and key and cache.read(name, key, lambda file: bool(repo.add_solv(file, _EXTEND))):
        return
    extension = repo.add_repodata(solv.Repo.REPO_LOCALPOOL)
    _read(repo, metadata, metadata.filelists, "FL", _EXTEND | solv.Repo.REPO_REUSE_REPODATA)
    if cache and key:
        cache.write(name, key, extension.write)


def _read(
    repo: solv.Repo, metadata: RepositoryMetadata, path: Path, language: str | None, flags: int
) -> None:
    file = solv.xfopen(str(path))
    if file is None:
        raise broken(metadata.repository, f"{path} cannot be read")
    try:
        # False for truncated XML; the packages before the break are in the pool then.
        is_read = repo.add_rpmmd(file, language, flags)
    finally:
        file.close()
    if not is_read:
        raise broken(metadata.repository, f"{path.name} is damaged")


def _looks_like_metadata(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(_MAGIC.get(path.suffix, b"\0"))


def _load_locked(
    offer: Offer, lock: Iterable[LockedPackage], locked_headers: Mapping[str, Path]
) -> None:
    repo = offer.pool.add_repo("@lock")  # priority 0: no repository comes before it
    for locked in lock:
        path = locked_headers.get(locked.checksum)
        if path is None:
            continue
        solvable = repo.add_rpm(str(path))
        if solvable is None:
            raise StoreError(f"the header of {locked.nevra} in {path} cannot be read")
        offer.locked[solvable.id] = locked.checksum


def _stand_in_for_filelists(offer: Offer, required_files: Iterable[int]) -> None:
    """Let every required file that nobody has be had, so that a solution shows if it matters.

    Reading the filelists of 60,000 packages takes seconds; leaving packages out
    because of them would choose others silently.
    """
    pool = offer.pool
    unknown = [each for each in required_files if not pool.whatprovides(each)]
    if not unknown:
        return
    offer.missing_files = offer.pretend(unknown)
