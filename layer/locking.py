"""Locks that leave the machine, and locks that come: without a solver, and with the same commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from layer.change import Change
from layer.errors import InvalidInput, NotFound
from layer.fetch.packages import keep_header
from layer.frozen import dataclass
from layer.host import Host
from layer.importer import find_package, read_package_source
from layer.local_files import read_local_file
from layer.lock import Lock
from layer.lock_file import LockFile, parse_lock
from layer.model import Package, Repository, Request, Resolution
from layer.origin import Origin
from layer.outputs import named, read_input
from layer.preparation import prepare
from layer.rpmfile.writing import tool_versions
from layer.signing import fetch_checked


@dataclass(frozen=True, slots=True)
class LockedSupply:
    """Where the packages of a lock come from; what an origin takes was solved elsewhere."""

    lock: Lock
    resolution: Resolution
    repositories: tuple[Repository, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    is_solved: bool = True

    def resolve(
        self, origin: Origin, new: Sequence[Request], *, allow_inactive: bool
    ) -> Resolution:
        """The packages of the lock."""
        del origin, new, allow_inactive
        return self.resolution


def export(host: Host) -> LockFile:
    """The lock of what boots next."""
    pending = host.require_pending()
    commit, base, lock = (
        host.store.read_commit(pending.checksum),
        host.base_commit(pending),
        host.lock_of(pending),
    )
    if commit != base and "layer.schema" not in commit.metadata:
        raise InvalidInput(
            f"{commit.checksum} was layered by another program, and has no lock",
            "layer upgrade makes it anew",
        )
    packages = []
    for package in lock.packages:
        imported = find_package(host.store, package.checksum)
        bare = Package(package.nevra, package.checksum, 0, 0, "", "")
        packages.append(read_package_source(host.store, imported) if imported else bare)
    origin = replace(host.origin(pending), foreign=())
    version = str(base.metadata.get("version", ""))
    return LockFile(commit.checksum, base.checksum, version, origin, lock, tuple(packages))


def import_lock(host: Host, path: Path, files: Sequence[Path] = ()) -> Change:
    """What makes the commit of a lock here; NotFound names every package that cannot be had.

    Packages come from `files`, the store, the cache, and the repositories of this machine that
    have the ids of the lock's.
    """
    found = read_lock_file(path)
    pending = host.require_pending()
    base = host.base_commit(pending)
    if base.checksum != found.base:
        version = f", version {found.version}" if found.version else ""
        raise InvalidInput(
            f"{named(path)} is a lock for base {found.base[:12]}{version}, "
            f"and {base.checksum[:12]} is here",
            f"take that base first: layer deploy {found.base}",
        )
    _check_tools(found, path)
    return _prepared(host, found, {f.package.checksum: f.path for f in map(read_local_file, files)})


def again(host: Host, found: LockFile) -> Change:
    """What makes the pending commit, whose lock this is, anew; packages come as they came."""
    return _prepared(host, found, {})


def _prepared(host: Host, found: LockFile, given: Mapping[str, Path]) -> Change:
    pending = host.require_pending()
    base, mine = host.base_commit(pending), host.origin(pending)
    missing = [
        p
        for p in found.packages
        if find_package(host.store, p.checksum) is None and p.checksum not in given
    ]
    for package in missing:
        keep_header(package, host.cache)
    supply = LockedSupply(
        lock=Lock(ids=found.lock.ids),
        resolution=found.resolution,
        repositories=_repositories(host, missing),
        files={c: p for c, p in given.items() if c in {p.checksum for p in found.packages}},
    )
    after = replace(found.origin, base=mine.base, foreign=mine.foreign)
    change = prepare(host, after, base, supply)
    return replace(change, expected=found.commit)


def read_lock_file(path: Path) -> LockFile:
    """The lock in a file; InvalidInput where it is none."""
    return parse_lock(read_input(path), named(path))


def _check_tools(found: LockFile, path: Path) -> None:
    ours = tool_versions()
    others = [
        f"{name} {version}, here {ours.get(name, 'none')}"
        for name, version in found.lock.tools
        if ours.get(name) != version
    ]
    if others:
        raise InvalidInput(
            f"{named(path)} was made with {'; '.join(others)}: the commit would be another",
            "import it where the versions are the same, or ask for the packages by name",
        )


def _repositories(host: Host, missing: Sequence[Package]) -> tuple[Repository, ...]:
    """The machine's repositories that the lock's packages come from, with their mirrors."""
    wanted = {package.repository for package in missing}
    ours = [r for r in host.repositories() if r.id in wanted]
    lacking = [p for p in missing if p.repository not in {r.id for r in ours} or not p.location]
    if lacking:
        lines = [f"{p.nevra} (SHA-256 {p.checksum}){_whence(p)}" for p in lacking]
        raise NotFound(
            "these packages of the lock are not here, and no repository says where they are:\n  "
            + "\n  ".join(lines),
            "name their files behind the lock's, enable their repositories, or copy the refs "
            "layer/pkg/* of the other machine's repository: ostree pull-local",
        )
    return tuple(fetch_checked(r, host.fetching).repository for r in ours)


def _whence(package: Package) -> str:
    return f" of repository {package.repository}" if package.repository else ""
