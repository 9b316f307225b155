"""Prepare a change, show it, apply it: the same for every verb about content."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from layer import bootplan, pipeline
from layer.assembly import extract_database
from layer.change import Change, Leftover
from layer.errors import PackageRefused
from layer.fetch import RepositoryMetadata, fetch_headers, fetch_metadata, fetch_packages
from layer.host import Host, base_kernel_arguments, require_root
from layer.importer import find_package, import_package, read_package_blob, read_package_header
from layer.layout import place
from layer.leftovers import find_leftovers
from layer.lock import Lock
from layer.model import (
    Commit,
    Deployment,
    LockedPackage,
    NewDeployment,
    Package,
    PackageHeader,
    PackageTree,
    Request,
    Resolution,
    TreeDiff,
)
from layer.origin import Origin, format_origin
from layer.rpmfile.header import read_header
from layer.solver import BaseState, resolve
from layer.store.objects import OstreeStore
from layer.store.trees import lookup
from layer.triggers.format import Trigger
from layer.triggers.match import fires


def prepare(
    host: Host,
    after: Origin,
    base: Commit,
    *,
    lock: Lock,
    new: Sequence[Request] = (),
    allow_inactive: bool = False,
    kernel_arguments: Sequence[str] = (),
) -> Change:
    """Decides what an origin on a base means, touching the metadata cache alone.

    `lock` keeps its packages where they are as far as the requests allow. `new`
    are the requests that the user makes now: one that the base fulfils is
    refused, unless `allow_inactive`. Needs no root.
    """
    pending = host.pending()
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        scratch = Path(folder)
        resolution, offered = _resolve(host, after, base, lock, new, allow_inactive, scratch)
        packages = [s.package for s in resolution.selections]
        to_fetch = [p for p in packages if find_package(host.store, p.checksum) is None]
        headers = _headers(host, packages, to_fetch, offered)
    previous = host.lock_of(pending) if pending else Lock()
    kept = {p.nevra.name for p in packages_of(resolution)}
    gone = [p for p in previous.packages if p.nevra.name not in kept]
    return Change(
        stateroot=host.stateroot,
        pending=pending,
        before=host.origin(pending) if pending else None,
        after=after,
        previous_base=host.base_commit(pending) if pending else None,
        base=base,
        previous=previous,
        lock=lock,
        resolution=resolution,
        headers=headers,
        to_fetch=tuple(to_fetch),
        triggers=_will_fire(host.store, base, headers, host.triggers()),
        leftovers=_leftovers(host, pending, gone),
        kernel_arguments=tuple(kernel_arguments) or _kernel_arguments(host, base),
    )


def apply(host: Host, change: Change) -> Deployment:
    """Makes the change: fetches, imports, assembles, commits, and at last deploys.

    Must be called with the host's lock held since `prepare`. Whatever happens
    before its last step leaves the machine booting as before.
    """
    require_root()
    _import(host, change)
    checksum = _commit(host, change)
    host.reporter.step("Deploying")
    deployments = host.sysroot.deployments()
    new = NewDeployment(
        stateroot=host.stateroot,
        checksum=checksum,
        origin=format_origin(change.after),
        merge=bootplan.merge_source(deployments, host.stateroot),
        kernel_arguments=change.kernel_arguments,
    )
    return host.sysroot.write(bootplan.deploy(deployments, new))[0]


def packages_of(resolution: Resolution) -> tuple[Package, ...]:
    """The packages to add over the base."""
    return tuple(s.package for s in resolution.selections)


def _resolve(
    host: Host,
    after: Origin,
    base: Commit,
    lock: Lock,
    new: Sequence[Request],
    allow_inactive: bool,
    scratch: Path,
) -> tuple[Resolution, tuple[RepositoryMetadata, ...]]:
    if not after.requests:
        return Resolution(), ()
    cached = {p.checksum: find_package(host.store, p.checksum) for p in lock.packages}
    # Without anything new to look for, what is locked is all that can be wanted:
    # taking a layer away needs no repository and no network.
    needs_repositories = bool(new) or not cached or None in cached.values()
    offered = _metadata(host) if needs_repositories else ()
    host.reporter.step("Solving")
    resolution = resolve(
        BaseState(extract_database(host.store, base.root, scratch), None),
        offered,
        after.requests,
        new=frozenset(new),
        lock=lock.packages,
        locked_headers=_locked_headers(host.store, cached, scratch),
        allow_inactive=allow_inactive,
    )
    return resolution, offered


def _metadata(host: Host) -> tuple[RepositoryMetadata, ...]:
    host.reporter.step("Reading repositories")
    return tuple(
        fetch_metadata(repository, host.cache, host.reporter) for repository in host.repositories()
    )


def _locked_headers(
    store: OstreeStore, cached: Mapping[str, PackageTree | None], scratch: Path
) -> dict[str, Path]:
    """Headers of the imported packages as files, for the solver to read."""
    found = {}
    for checksum, package in cached.items():
        if package is not None:
            found[checksum] = scratch / f"{checksum}.rpm"
            found[checksum].write_bytes(read_package_blob(store, package))
    return found


def _headers(
    host: Host,
    packages: Sequence[Package],
    to_fetch: Sequence[Package],
    offered: Sequence[RepositoryMetadata],
) -> tuple[PackageHeader, ...]:
    repositories = [o.repository for o in offered]
    fetched = fetch_headers(to_fetch, repositories, host.cache, host.reporter) if to_fetch else {}
    headers = []
    for package in packages:
        imported = find_package(host.store, package.checksum)
        if imported is not None:
            headers.append(read_package_header(host.store, imported))
        else:
            headers.append(read_header(fetched[package]))
    return tuple(headers)


def _will_fire(
    store: OstreeStore, base: Commit, headers: Sequence[PackageHeader], triggers: Sequence[Trigger]
) -> tuple[str, ...]:
    """The names of the triggers that the packages' files fire; PackageRefused for bad paths."""
    placements = [place(header) for header in headers]
    refused = sorted(line for placement in placements for line in placement.refused)
    if refused:
        raise PackageRefused(
            "these packages want what no package may have:\n  " + "\n  ".join(refused),
            "they cannot be layered as they are",
        )
    paths = sorted({file.path for placement in placements for file in placement.files})
    paths += [f"usr/lib/tmpfiles.d/{p.tmpfiles_name}" for p in placements if p.tmpfiles]
    there = {path for path in paths if lookup(store, base.root, path) is not None}
    diff = TreeDiff(
        added=tuple(p for p in paths if p not in there),
        changed=tuple(p for p in paths if p in there),
    )
    return tuple(t.name for t in triggers if fires(t, diff) is not None)


def _leftovers(
    host: Host, pending: Deployment | None, gone: Sequence[LockedPackage]
) -> tuple[Leftover, ...]:
    if pending is None:
        return ()
    return find_leftovers(host.store, pending, host.sysroot.var(host.stateroot), gone)


def _kernel_arguments(host: Host, base: Commit) -> tuple[str, ...]:
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    return merge.kernel_arguments if merge else base_kernel_arguments(host.store, base.root)


def _import(host: Host, change: Change) -> None:
    """Fetches and unpacks what is not in the store; durable on its own, so never done twice."""
    if not change.to_fetch:
        return
    downloads = host.cache / "packages"
    files = fetch_packages(change.to_fetch, host.repositories(), downloads, host.reporter)
    planned = {h.nevra: h for h in change.headers}
    host.reporter.step(f"Importing {len(files)} packages")
    with host.store.transaction():
        for package, path in sorted(files.items(), key=lambda item: item[0].nevra):
            header = read_header(path)
            if header.blob != planned[package.nevra].blob:
                raise PackageRefused(
                    f"{package.nevra} is not the package that the plan showed",
                    "its repository changed meanwhile; run the command again",
                )
            import_package(host.store, path, header, checksum=package.checksum)
    for path in files.values():
        path.unlink(missing_ok=True)


def _commit(host: Host, change: Change) -> str:
    """The commit to deploy: the base itself where nothing is layered."""
    store = host.store
    packages = [find_package(store, p.checksum) for p in packages_of(change.resolution)]
    with host.scratch() as scratch, store.transaction():
        if not packages:
            pipeline.keep(store, change.base.checksum, change.base.checksum)
            return change.base.checksum
        workshop = pipeline.Workshop(host.near(change.base), scratch, host.options.sandbox)
        assembled = pipeline.assemble(
            store,
            change.base.root,
            [p for p in packages if p is not None],
            host.triggers(),
            workshop,
            epoch=change.base.timestamp,
            previous_ids=dict(change.lock.ids),
            reporter=host.reporter,
        )
        checksum = pipeline.commit_derived(store, change.base, assembled)
    made = {"layer.made-by": f"layer {version('layer')}", "layer.made-at": int(time.time())}
    store.write_detached_metadata(checksum, made)
    return checksum
