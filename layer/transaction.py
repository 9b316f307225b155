"""Prepare a change, show it, apply it: the same for every verb about content."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from layer import booting, bootplan, downloads, pipeline
from layer.accounts import read_numbers
from layer.audit.verdict import Audit
from layer.change import Change, Leftover
from layer.consent import agree
from layer.errors import PackageRefused
from layer.feasibility import check_change, check_room_to_boot, tracked_files
from layer.fetch.packages import fetch_headers, fetch_packages
from layer.foresight import (
    audits_of,
    base_packages,
    bringing,
    placements_of,
    unmade_links,
    will_fire,
)
from layer.host import Host, base_kernel_arguments, require_root
from layer.importer import find_package, import_packages, read_package_header
from layer.layout import Placement
from layer.leftovers import find_leftovers
from layer.local_files import import_files
from layer.lock import Lock
from layer.model import (
    Commit,
    Deployment,
    LockedPackage,
    NewDeployment,
    Package,
    PackageHeader,
    Request,
    Resolution,
    SigningKey,
)
from layer.origin import Origin, format_origin, with_accepted
from layer.recording import record_change
from layer.rpmfile.header import read_header
from layer.signing import check_packages, trust, untrusted
from layer.sources import Sources
from layer.store.remote import set_remote_ref
from layer.trimming import what_goes, without
from layer.words import count


def prepare(
    host: Host,
    after: Origin,
    base: Commit,
    sources: Sources,
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
    if after.is_to_solve:
        host.reporter.step("Solving")
    resolution = sources.resolve(after, new, allow_inactive=allow_inactive)
    packages = packages_of(resolution)
    missing = [p for p in packages if find_package(host.store, p.checksum) is None]
    to_fetch = [p for p in missing if p.checksum not in sources.files]
    headers, keys = _headers(host, packages, to_fetch, sources)
    placements = placements_of(headers, documentation=after.options.documentation)
    vacated = _vacated(host, base, resolution, headers, placements, after, to_fetch)
    triggers = host.triggers(base.root)
    audits = audits_of(headers, triggers)
    agreed = _agreed(host, after, headers, audits)
    pending = host.pending()
    old = host.find_base(pending) if pending else None
    previous = host.lock_of(pending) if pending else Lock()
    kept = {p.nevra.name for p in packages}
    gone = [p for p in previous.packages if p.nevra.name not in kept]
    return Change(
        stateroot=host.stateroot,
        pending=pending,
        before=host.origin(pending) if pending else None,
        after=with_accepted(after, agreed),
        previous_base=old,
        base=base,
        base_packages=base_packages(host.store, old, base),
        previous=previous,
        lock=sources.lock,
        resolution=resolution,
        headers=headers,
        audits=audits,
        unmade=unmade_links(host.store, base, audits, placements, gone=vacated),
        to_fetch=tuple(to_fetch),
        triggers=will_fire(
            host.store, base, headers, placements, triggers, after.options, gone=vacated
        ),
        bringing=bringing(headers, placements),
        leftovers=_leftovers(host, gone, base, packages),
        overlay=tracked_files(host, after),
        kernel_arguments=_kernel_arguments(host, base, kernel_arguments),
        files=tuple(sorted(sources.files.items())),
        keys=keys,
        repositories=tuple(offered.repository for offered in sources.metadata),
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
        base_packages=None,
        previous=lock,
        lock=lock,
        resolution=Resolution(),
        headers=(),
        audits=(),
        unmade=(),
        to_fetch=(),
        triggers=(),
        bringing=(),
        leftovers=(),
        overlay=overlay,
        kernel_arguments=(
            pending.kernel_arguments if kernel_arguments is None else tuple(kernel_arguments)
        ),
        again=commit.checksum,
    )


def apply(host: Host, change: Change) -> Deployment:
    """Makes the change: fetches, imports, assembles, commits, and at last deploys.

    Must be called with the host's lock held since `prepare`. Whatever happens
    before its last step leaves refs and deployments as they were, and the
    machine booting as before.
    """
    require_root()
    with _refs_kept_on_failure(host):
        files = _import(host, change)
        checksum = _commit(host, change)
        check_room_to_boot(host, host.store.read_commit(checksum).root, change.overlay)
        host.reporter.step("Deploying")
        deployments = host.sysroot.deployments()
        new = NewDeployment(
            stateroot=host.stateroot,
            checksum=checksum,
            origin=format_origin(change.after),
            merge=bootplan.merge_source(deployments, host.stateroot),
            kernel_arguments=change.kernel_arguments,
            overlay=change.overlay,
        )
        plan = bootplan.deploy(deployments, new, host.settings().keep)
        deployed = booting.write(host, plan)[0]
    if change.base != change.previous_base and change.after.base.remote:
        set_remote_ref(host.store, str(change.after.base), change.base.checksum)
    for path in files:
        path.unlink(missing_ok=True)
    downloads.settle(host, change)
    trust(host.sysroot.var(host.stateroot), change.keys)
    record_change(host, change, deployed)
    return deployed


def download(host: Host, change: Change) -> None:
    """Fetches and imports all that the change takes, so that it can be made without a network.

    As `apply`, with the lock held since `prepare`; what boots stays as it is. No clean-up takes
    it until it is deployed, or something else downloaded.
    """
    require_root()
    with _refs_kept_on_failure(host):
        files = _import(host, change)
        with host.store.transaction():
            host.store.set_ref(f"layer/base/{change.base.checksum}", change.base.checksum)
            downloads.remember(host, change)
    if not change.after.override_commit and change.after.base.remote:
        set_remote_ref(host.store, str(change.after.base), change.base.checksum)
    for path in files:
        path.unlink(missing_ok=True)


def _vacated(
    host: Host,
    base: Commit,
    resolution: Resolution,
    headers: Sequence[PackageHeader],
    placements: Sequence[Placement],
    after: Origin,
    to_fetch: Sequence[Package],
) -> frozenset[str]:
    """The paths of the base that overrides take away; LayerError where the change cannot be."""
    vacated = what_goes(host.store, base, resolution.gone, headers)
    check_change(
        host,
        base,
        after.options,
        list(zip(headers, placements, strict=True)),
        to_fetch,
        gone=vacated,
        without=frozenset(resolution.gone),
    )
    return vacated


def _agreed(
    host: Host, after: Origin, headers: Sequence[PackageHeader], audits: Sequence[Audit]
) -> tuple[tuple[str, str], ...]:
    pairs = [(h.nevra, audit) for h, audit in zip(headers, audits, strict=True)]
    policy = host.options.scriptlets or host.settings().scriptlets
    return agree(pairs, after.accepted, host.options.accept_unscripted, policy)


def packages_of(resolution: Resolution) -> tuple[Package, ...]:
    """The packages to add over the base."""
    return tuple(s.package for s in resolution.selections)


def _headers(
    host: Host,
    packages: Sequence[Package],
    to_fetch: Sequence[Package],
    sources: Sources,
) -> tuple[tuple[PackageHeader, ...], tuple[SigningKey, ...]]:
    """The headers, signed as their repositories want it, and the keys that are new."""
    repositories = [o.repository for o in sources.metadata]
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


def _previous_ids(host: Host, change: Change) -> dict[str, int]:
    """The numbers that layered accounts have now; they keep them whatever comes."""
    present: dict[str, int] = {}
    if change.pending is not None:
        present = read_numbers(host.store, host.store.read_commit(change.pending.checksum).root)
    return {**present, **dict(change.lock.ids)}


def _leftovers(
    host: Host, gone: Sequence[LockedPackage], base: Commit, packages: Sequence[Package]
) -> tuple[Leftover, ...]:
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    if merge is None or not gone:
        return ()
    imported = (find_package(host.store, package.checksum) for package in packages)
    staying = [base.root, *(package.root for package in imported if package is not None)]
    return find_leftovers(host.store, merge, host.sysroot.var(host.stateroot), gone, staying)


def _kernel_arguments(host: Host, base: Commit, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is not None:
        return tuple(wanted)
    pending = host.pending()
    return pending.kernel_arguments if pending else base_kernel_arguments(host.store, base.root)


@contextmanager
def _refs_kept_on_failure(host: Host) -> Iterator[None]:
    """Takes away the refs that came since, unless the boot entries came to need them.

    Downloads stay in the cache, so that trying again fetches nothing twice.
    """
    before = host.store.refs("layer")
    try:
        yield
    except BaseException:
        if not host.sysroot.has_written:
            with host.store.transaction():
                for ref in sorted(set(host.store.refs("layer")) - set(before)):
                    host.store.set_ref(ref, None)
        raise


def _import(host: Host, change: Change) -> tuple[Path, ...]:
    """Fetches and unpacks what is not in the store; returns the downloads."""
    import_files(host.store, change.files)
    if not change.to_fetch:
        return ()
    downloads = host.cache / "packages"
    files = fetch_packages(
        change.to_fetch,
        change.repositories,
        downloads,
        host.reporter,
        cache_only=host.options.cache_only,
    )
    host.reporter.step(f"Importing {count(len(files), 'package')}")
    try:
        with host.store.transaction():
            import_packages(host.store, _as_planned(change, files))
    except PackageRefused as error:
        # What is refused is refused for good; the others need not be fetched again.
        for package, path in files.items():
            if str(package.nevra) in error.message:
                path.unlink(missing_ok=True)
        raise
    return tuple(files.values())


def _as_planned(
    change: Change, files: Mapping[Package, Path]
) -> Iterator[tuple[Path, PackageHeader, str]]:
    """What `import_packages` takes; PackageRefused for a header that the plan did not show."""
    planned = {h.nevra: h for h in change.headers}
    for package, path in sorted(files.items(), key=lambda item: item[0].nevra):
        header = read_header(path)
        if header.blob != planned[package.nevra].blob:
            raise PackageRefused(
                f"{package.nevra} is not the package that the plan showed",
                "its repository changed meanwhile; run the command again",
            )
        yield path, header, package.checksum


def _commit(host: Host, change: Change) -> str:
    """The commit to deploy: the base itself where nothing is layered."""
    store = host.store
    if change.again:
        with store.transaction():
            pipeline.keep(store, change.again, change.base.checksum)
        return change.again
    packages = [find_package(store, p.checksum) for p in packages_of(change.resolution)]
    with host.scratch() as scratch, store.transaction():
        gone = change.resolution.gone
        if not (packages or gone or change.after.options.regenerate_initramfs):
            pipeline.keep(store, change.base.checksum, change.base.checksum)
            return change.base.checksum
        workshop = pipeline.Workshop(host.near(change.base), scratch, host.options.sandbox)
        assembled = pipeline.assemble(
            store,
            change.base.root,
            [p for p in packages if p is not None],
            host.triggers,
            workshop,
            epoch=change.base.timestamp,
            previous_ids=_previous_ids(host, change),
            reporter=host.reporter,
            tree_options=change.after.options,
            without=without(change.base, gone),
        )
        checksum = pipeline.commit_derived(store, change.base, assembled)
    for note in assembled.notes:
        host.reporter.note(note)
    made = {
        "layer.made-by": f"layer {version('layer')}",
        "layer.made-at": str(int(time.time())),
    }
    store.write_detached_metadata(checksum, made)
    return checksum
