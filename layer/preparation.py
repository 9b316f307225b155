"""What a change means, decided before anything is fetched but metadata and headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from layer import bootplan
from layer.accounts import read_numbers
from layer.audit.verdict import Audit
from layer.base_triggers import audits_of_base
from layer.booting import recycling_of
from layer.change import Change, Leftover
from layer.consent import agree
from layer.effects import Disk, Effects
from layer.errors import PackageRefused
from layer.feasibility import check_change, check_room_to_boot, tracked_files
from layer.fetch.packages import fetch_headers
from layer.footprint import Places, checkout_size, foresee_disk
from layer.foresight import (
    audits_of,
    base_packages,
    bringing,
    placements_of,
    unmade_links,
    will_fire,
)
from layer.host import Host, base_kernel_arguments
from layer.impact import Coming, coming, effects_of
from layer.importer import find_package, read_package_header
from layer.layout import Placement, tmpfiles_path
from layer.leftovers import base_bequests, find_leftovers, layered_bequests
from layer.lock import Lock
from layer.model import (
    Commit,
    Nevra,
    Package,
    PackageHeader,
    Repository,
    Request,
    Resolution,
    SigningKey,
)
from layer.origin import Origin, with_accepted
from layer.rpmfile.header import read_header
from layer.signing import check_packages, untrusted
from layer.triggers.format import Trigger
from layer.trimming import Going, what_goes


class Supply(Protocol):
    """What packages come from, and which of them an origin takes."""

    @property
    def lock(self) -> Lock:
        """What keeps packages and ids where they are."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Packages that came as files just now, by checksum."""

    @property
    def repositories(self) -> Sequence[Repository]:
        """Those that were read, with the mirrors that they were found at."""

    @property
    def is_solved(self) -> bool:
        """Whether what an origin takes is known already."""

    def resolve(
        self, origin: Origin, new: Sequence[Request], *, allow_inactive: bool
    ) -> Resolution:
        """The packages that an origin takes over the base."""


def prepare(
    host: Host,
    after: Origin,
    base: Commit,
    sources: Supply,
    *,
    new: Sequence[Request] = (),
    allow_inactive: bool = False,
    kernel_arguments: Sequence[str] | None = None,
) -> Change:
    """Decides what an origin on a base means, touching the metadata cache alone.

    The lock of `sources` keeps its packages where they are as far as the
    requests allow. `new` are the requests that the user makes now: one that the
    base fulfils is refused, unless `allow_inactive`. Needs no root.
    """
    resolution = _resolve(host, sources, after, new, allow_inactive=allow_inactive)
    packages = resolution.packages
    to_fetch = _to_fetch(host, packages, sources)
    headers, keys = _headers(host, packages, to_fetch, sources)
    placements = placements_of(headers, documentation=after.options.documentation)
    going = _going(host, base, resolution, headers, placements, after, to_fetch)
    triggers = host.triggers(base.root)
    audits, of_base = _audits(host, base, headers, triggers, resolution)
    after = _agreed(host, after, headers, (*audits, *of_base))
    pending = host.pending()
    previous = host.lock_of(pending) if pending else Lock()
    old = host.find_base(pending) if pending else None
    files = going.files
    options = after.options
    fired = will_fire(
        host.store, base, headers, placements, triggers, options, gone=files, audits=audits
    )
    came = coming(host.store, packages, previous, headers, placements, audits)
    return Change(
        stateroot=host.stateroot,
        pending=pending,
        before=host.origin(pending) if pending else None,
        after=after,
        previous_base=old,
        base=base,
        base_packages=base_packages(host.store, old, base),
        previous=previous,
        lock=sources.lock,
        resolution=resolution,
        headers=headers,
        audits=audits,
        unmade=unmade_links(host.store, base, audits, placements, gone=files),
        to_fetch=tuple(to_fetch),
        triggers=fired,
        bringing=bringing(headers, placements),
        leftovers=_leftovers(host, previous, base, (packages, headers), going),
        overlay=tracked_files(host, after),
        kernel_arguments=_kernel_arguments(host, base, kernel_arguments),
        files=tuple(sorted(sources.files.items())),
        keys=keys,
        repositories=tuple(sources.repositories),
        effects=_effects(host, base, sources.lock, came, fired),
        base_audits=of_base,
    )


def prepare_again(
    host: Host, after: Origin, *, kernel_arguments: Sequence[str] | None = None
) -> Change:
    """Decides to deploy the pending commit once more, with what stands beside it changed.

    No package is needed for that, and no repository: the tree is here.
    """
    pending = host.require_pending()
    commit = host.store.read_commit(pending.checksum)
    base = host.find_base(pending) or commit
    lock, overlay = host.lock_of(pending), tracked_files(host, after)
    check_room_to_boot(host, commit.root, overlay)
    return Change(
        stateroot=host.stateroot,
        pending=pending,
        before=host.origin(pending),
        after=after,
        previous_base=base,
        base=base,
        previous=lock,
        lock=lock,
        overlay=overlay,
        kernel_arguments=(
            pending.kernel_arguments if kernel_arguments is None else tuple(kernel_arguments)
        ),
        again=commit.checksum,
        effects=Effects(disk=Disk(checkout=checkout_size(host.store, places(host), commit.root))),
    )


def _resolve(
    host: Host, sources: Supply, after: Origin, new: Sequence[Request], *, allow_inactive: bool
) -> Resolution:
    if after.is_to_solve and not sources.is_solved:
        host.reporter.step("Solving")
    return sources.resolve(after, new, allow_inactive=allow_inactive)


def _to_fetch(host: Host, packages: Sequence[Package], sources: Supply) -> list[Package]:
    missing = [p for p in packages if find_package(host.store, p.checksum) is None]
    return [p for p in missing if p.checksum not in sources.files]


def previous_ids(host: Host, lock: Lock) -> dict[str, int]:
    """The numbers that layered accounts have now; they keep them whatever comes."""
    pending = host.pending()
    present: dict[str, int] = {}
    if pending is not None:
        root = host.store.read_commit(pending.checksum).root
        present = read_numbers(host.store, root)
    return {**present, **dict(lock.ids)}


def places(host: Host) -> Places:
    """Where on this machine a change takes room."""
    pending = host.pending()
    return Places(
        repository=host.sysroot.store.path,
        deployment=pending.path if pending else None,
        boot=host.sysroot.path / "boot",
        entries=len(host.sysroot.deployments()),
        known=host.cache / "checkout.json",
        is_recycled=host.sysroot.will_recycle(recycling_of(host)),
    )


def _effects(
    host: Host, base: Commit, lock: Lock, packages: Sequence[Coming], triggers: Sequence[str]
) -> Effects:
    pending = host.pending()
    before = host.store.read_commit(pending.checksum) if pending else base
    found = effects_of(host.store, base, before, packages, previous_ids(host, lock), triggers)
    disk = foresee_disk(host.store, places(host), base, before, packages, triggers)
    return replace(found, disk=disk)


def _going(
    host: Host,
    base: Commit,
    resolution: Resolution,
    headers: Sequence[PackageHeader],
    placements: Sequence[Placement],
    after: Origin,
    to_fetch: Sequence[Package],
) -> Going:
    """What overrides take away from the base; LayerError where the change cannot be."""
    going = what_goes(host.store, base, resolution.gone, headers)
    check_change(
        host,
        base,
        after.options,
        list(zip(headers, placements, strict=True)),
        to_fetch,
        gone=going.files,
        without=frozenset(resolution.gone),
    )
    return going


def _audits(
    host: Host,
    base: Commit,
    headers: Sequence[PackageHeader],
    triggers: Sequence[Trigger],
    resolution: Resolution,
) -> tuple[tuple[Audit, ...], tuple[Audit, ...]]:
    """What becomes of the packages' scriptlets, and of triggers in the base that run for them."""
    of_base = audits_of_base(
        host.store, base.root, headers, lambda: triggers, without=resolution.gone
    )
    return audits_of(headers, triggers), of_base


def _agreed(
    host: Host, after: Origin, headers: Sequence[PackageHeader], audits: Sequence[Audit]
) -> Origin:
    """The origin with what is agreed to from now on."""
    nevras = [header.nevra for header in headers]
    nevras += [Nevra.parse(audit.nevra) for audit in audits[len(headers) :]]
    pairs = list(zip(nevras, audits, strict=True))
    given = host.options
    policy = given.scriptlets or host.settings().scriptlets or given.usual_scriptlets
    agreed = agree(pairs, after.accepted, host.options.accept_unscripted, policy)
    return with_accepted(after, agreed)


def _headers(
    host: Host,
    packages: Sequence[Package],
    to_fetch: Sequence[Package],
    sources: Supply,
) -> tuple[tuple[PackageHeader, ...], tuple[SigningKey, ...]]:
    """The headers, signed as their repositories want it, and the keys that are new."""
    repositories = sources.repositories
    fetched = fetch_headers(
        to_fetch, repositories, host.cache, host.reporter, cache_only=host.options.cache_only
    )
    headers = []
    for package in packages:
        imported = find_package(host.store, package.checksum)
        if imported is not None:
            headers.append(read_package_header(host.store, imported))
        elif package.checksum in sources.files:
            headers.append(read_header(sources.files[package.checksum]))
        else:
            headers.append(_read_fetched(package, fetched[package]))
    kept = {p.checksum for p in sources.lock.packages}  # what is layered was accepted once
    new = [p for p in packages if p.checksum not in kept and p.checksum not in sources.files]
    keys = check_packages(host.store, new, fetched, repositories, host.fetching)
    return tuple(headers), untrusted(host.sysroot.var(host.stateroot), keys)


def _read_fetched(package: Package, path: Path) -> PackageHeader:
    try:
        header = read_header(path)
        if header.nevra != package.nevra:
            raise PackageRefused(f"the package says that it is {header.nevra}")
        return header
    except PackageRefused as error:
        path.unlink(missing_ok=True)  # else it would be taken from the cache again
        raise PackageRefused(
            f"{package.nevra} of repository {package.repository}: {error.message}",
            "try again later: the repository may be in the middle of an update",
        ) from error


def _leftovers(
    host: Host,
    previous: Lock,
    base: Commit,
    new: tuple[Sequence[Package], Sequence[PackageHeader]],
    going: Going,
) -> tuple[Leftover, ...]:
    """What packages leave that are no longer layered, or taken away from the base only now."""
    store = host.store
    kept = {p.nevra.name for p in new[0]}
    away = {*kept, *(nevra.name for nevra in previous.gone)}
    headers = [header for header in going.headers if header.nevra.name not in away]
    vacated = {*going.files, *(tmpfiles_path(header.nevra.name) for header in headers)}
    gone = [
        *layered_bequests(store, [p for p in previous.packages if p.nevra.name not in kept]),
        *base_bequests(store, base.root, headers, vacated),
    ]
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    if merge is None or not gone:
        return ()
    pairs = zip(*new, strict=True)
    imported = [(find_package(store, package.checksum), header) for package, header in pairs]
    staying = [package.root for package, _ in imported if package is not None]
    coming = [header for package, header in imported if package is None]
    var = host.sysroot.var(host.stateroot)
    return find_leftovers(store, merge, var, gone, base.root, staying, vacated, coming)


def _kernel_arguments(host: Host, base: Commit, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is not None:
        return tuple(wanted)
    pending = host.pending()
    return pending.kernel_arguments if pending else base_kernel_arguments(host.store, base.root)
