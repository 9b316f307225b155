"""Removing what nothing needs any more: never on the way to a deployment, always afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from layer import booting, bootplan, downloads, live_record, plans, spans
from layer.copies import REFS as COPIES
from layer.errors import InvalidInput
from layer.headers import headers_ref
from layer.host import Host
from layer.lock import base_of, read_lock, read_record
from layer.model import Deployment, LockedPackage, Repository

_ASIDE = ".aside-"  # a repository's id begins with no dot


def forget_metadata(host: Host) -> None:
    """Removes cached repository metadata and packages that were fetched and not imported."""
    shutil.rmtree(host.cache, ignore_errors=True)


@contextmanager
def fetching_anew(host: Host, repository: Repository) -> Iterator[None]:
    """Sets what is cached of a repository aside; it comes back where the fetching fails."""
    there, aside = host.cache / repository.id, host.cache / f"{_ASIDE}{repository.id}"
    if aside.is_dir() and not there.is_dir():
        aside.rename(there)  # a process was killed
    shutil.rmtree(aside, ignore_errors=True)
    if there.is_dir():
        there.rename(aside)
    try:
        yield
    except BaseException:
        if aside.is_dir():
            shutil.rmtree(there, ignore_errors=True)
            aside.rename(there)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def forget_downloads(host: Host) -> None:
    """Lets the next clean-up take what was downloaded or planned and is not deployed."""
    downloads.forget(host)
    plans.forget(host)


def trim(host: Host) -> None:
    """Removes the deployments beyond the number that the admin wants kept, if they say one."""
    keep = host.settings().keep
    present = host.sysroot.deployments()
    if keep == 0:
        return
    plan = bootplan.trimmed(present, host.stateroot, keep)
    if plan.deployments != present:
        booting.write(host, plan)


@spans.phase("cleanup")
def clean_up(host: Host, *, may_check_out: bool = False) -> int:
    """Removes refs, then checkouts, boot files and objects, that no deployment needs.

    Returns how many refs went. Bases, derived commits, packages and trigger
    outputs of every deployment stay, what was downloaded for the next one, and the commits of
    plans that can still be applied, and what is live. A checkout stays, or is made where that
    `may_check_out` one, from which the next deployment's is made.
    """
    var = host.sysroot.var(host.stateroot)
    needed = {*_needed_refs(host), *downloads.needed_refs(host), *live_record.refs(var)}
    stale = [ref for ref in host.store.refs("layer") if ref not in needed]
    with host.store.transaction():
        for ref in stale:
            host.store.set_ref(ref, None)
    host.sysroot.clean_up(booting.recycling_of(host), may_check_out=may_check_out)
    return len(stale)


def _needed_refs(host: Host) -> Iterator[str]:
    deployments = host.sysroot.deployments()
    planned = dict(plans.needed(host))
    yield from planned
    for deployment in deployments:
        for package in _files(host, deployment):
            yield f"layer/pkg/{package.checksum}"
    for checksum in sorted({*planned.values(), *(d.checksum for d in deployments)}):
        commit = host.store.read_commit(checksum)
        base = base_of(commit) or commit.checksum
        yield f"layer/base/{base}"
        yield headers_ref(base)
        if base_of(commit) is None:
            continue
        yield f"layer/derived/{commit.checksum}"
        yield f"{COPIES}/{commit.checksum}"
        for package in read_lock(commit).packages:
            yield f"layer/pkg/{package.checksum}"
        for run in read_record(commit).runs:
            yield f"layer/trigger/{run.name}/{run.key}"


def _files(host: Host, deployment: Deployment) -> tuple[LockedPackage, ...]:
    """Packages that came as files, those that do nothing on this base too; nobody else has them."""
    try:
        return host.origin(deployment).files
    except InvalidInput:
        return ()  # another program's; its status says so
