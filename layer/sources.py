"""What packages may come from, opened for a change."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path

from layer.blockers import Blocker
from layer.errors import InvalidInput, NotFound, Unsolvable
from layer.frozen import dataclass
from layer.grouped import gathered, gathered_blockers, spread, without_groups
from layer.host import Host
from layer.importer import find_package, read_package_blob
from layer.local_files import require_kept
from layer.lock import Lock
from layer.model import (
    BaseState,
    Commit,
    LockedPackage,
    Preference,
    Repository,
    RepositoryMetadata,
    Request,
    RequestKind,
    Resolution,
)
from layer.origin import Origin
from layer.reaching import Reached, lacking, reach_repositories
from layer.rpmdb import extract_database
from layer.solver.cache import open_cache
from layer.solver.loading import Loader
from layer.solver.optional import unfitting
from layer.solver.presence import Presence, presence
from layer.solver.resolve import KEEP_INACTIVE, blockers, classify, resolve


@dataclass(frozen=True, slots=True)
class Sources:
    """What packages may come from: the base, the lock with imported headers, repositories.

    `files` are packages that came as files just now, by checksum. `is_whole`: no repository was
    left out as it cannot be had.
    """

    base: BaseState
    lock: Lock
    locked_headers: Mapping[str, Path]
    metadata: tuple[RepositoryMetadata, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    loader: Loader = field(default_factory=Loader)
    preference: Preference = field(default_factory=Preference)
    is_whole: bool = True

    @property
    def is_solved(self) -> bool:
        """Whether what an origin takes is known already: it is to be solved."""
        return False

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """The repositories that were read, with the mirrors that they were found at."""
        return tuple(offered.repository for offered in self.metadata)

    def classify(self, words: Sequence[str]) -> tuple[Request, ...]:
        """What each word of a command line asks for."""
        return classify(
            words,
            self.base,
            self.metadata,
            lock=self.lock.packages,
            locked_headers=self.locked_headers,
            loader=self.loader,
        )

    def blockers(self, origin: Origin) -> tuple[Blocker, ...]:
        """What an origin asks for and `resolve` cannot fulfil beside the rest."""
        found = blockers(
            self.base,
            self.metadata,
            spread(origin.asked, origin.overrides.removed),
            lock=self.lock.packages,
            locked_headers=self.locked_headers,
            loader=self.loader,
            preference=self.preference,
            overrides=origin.overrides,
            files=origin.files,
        )
        return gathered_blockers(found, origin.asked)

    def unfitting(self, origin: Origin, names: Iterable[str]) -> tuple[str, ...] | None:
        """Those packages that cannot be had beside what an origin asks for, None where that cannot.

        Somebody has a package of each of the names.
        """
        removed = origin.overrides.removed
        found = unfitting(
            self.base,
            self.metadata,
            spread(origin.wanted, removed),
            (Request(RequestKind.PACKAGE, name) for name in names if name not in removed),
            lock=self.lock.packages,
            locked_headers=self.locked_headers,
            preference=self.preference,
            overrides=origin.overrides,
            files=origin.files,
            loader=self.loader,
        )
        return None if found is None else tuple(request.text for request in found)

    def presence(self, names: Sequence[str], origin: Origin) -> Presence:
        """Which of the names packages have, those that came as files for the origin too."""
        return presence(
            names,
            self.base,
            self.metadata,
            lock={*self.lock.packages, *origin.files},
            locked_headers=self.locked_headers,
            loader=self.loader,
        )

    def resolve(
        self, origin: Origin, new: Sequence[Request], *, allow_inactive: bool
    ) -> Resolution:
        """The packages that an origin takes; nothing is read where it wants the base alone."""
        if not origin.is_to_solve:
            return Resolution()
        removed = origin.overrides.removed
        resolution = resolve(
            self.base,
            self.metadata,
            spread(origin.wanted, removed),
            lock=self.lock.packages,
            locked_headers=self.locked_headers,
            loader=self.loader,
            new=frozenset(without_groups(new)),
            allow_inactive=allow_inactive,
            preference=self.preference,
            overrides=origin.overrides,
            files=origin.files,
        )
        found = gathered(resolution, origin.wanted, removed)
        idle = () if allow_inactive else [r for r in found.inactive if r in new and r.members]
        if idle:
            lines = [f"{r.text} is already in the base: {', '.join(r.members)}" for r in idle]
            raise InvalidInput("\n".join(lines), KEEP_INACTIVE)
        return found


@contextmanager
def open_sources(
    host: Host,
    base: Commit,
    lock: Lock,
    *,
    needs_repositories: bool,
    kept: Sequence[LockedPackage] = (),
    files: Mapping[str, Path] | None = None,
) -> Iterator[Sources]:
    """Reads what can be layered over `base`; repositories only where they are needed.

    They are needed too where the lock names a package that is not in the store. `kept` are
    packages that came as files before, `files` such that come now, by checksum.
    """
    files = files or {}
    require_kept(host.store, [package for package in kept if package.checksum not in files])
    known = {p.checksum for p in (*lock.packages, *kept)} - files.keys()
    cached = {checksum: find_package(host.store, checksum) for checksum in sorted(known)}
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        scratch = Path(folder)
        reached = Reached()
        if needs_repositories or None in cached.values():
            host.reporter.step("Reading repositories")
            reached = reach_repositories(host, base)
        headers = dict(files)
        for checksum, imported in cached.items():
            if imported is not None:
                headers[checksum] = scratch / f"{checksum}.rpm"
                headers[checksum].write_bytes(read_package_blob(host.store, imported))
        state = BaseState(
            lambda: extract_database(host.store, base.root, scratch), checksum=base.checksum
        )
        preference = _preference(host)
        loader = Loader(open_cache(host.cache, host.reporter), preference.excludes)
        is_whole = not reached.left_out
        try:
            yield Sources(
                state, lock, headers, reached.metadata, files, loader, preference, is_whole
            )
        except (NotFound, Unsolvable) as error:
            if not reached.left_out:
                raise
            raise lacking(reached.left_out, error.message) from error
        for left_out in reached.left_out:
            host.reporter.note(f"left out: {left_out.message}")


def _preference(host: Host) -> Preference:
    recommended = host.settings().install_weak_deps
    return replace(host.options.preference, with_recommended=recommended)
