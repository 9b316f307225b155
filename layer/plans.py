"""Commits that were built for a plan and are not deployed: kept as long as they can be.

A ref `layer/plan/PENDING/COMMIT` says over what a plan was made (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from layer import bootplan
from layer.host import Host

_REFS = "layer/plan"


def remember(host: Host, pending: str, commit: str) -> None:
    """Keeps a commit for who deploys it while `pending` boots next; in a transaction."""
    host.store.set_ref(f"{_REFS}/{pending}/{commit}", commit)


def forget(host: Host) -> None:
    """Lets the next clean-up take what was planned and is not deployed."""
    with host.store.transaction():
        for ref in host.store.refs(_REFS):
            host.store.set_ref(ref, None)


def settle(host: Host, commit: str) -> None:
    """Lets go of a commit that is deployed now: the deployment keeps it."""
    with host.store.transaction():
        for ref in host.store.refs(_REFS):
            if ref.endswith(f"/{commit}"):
                host.store.set_ref(ref, None)


def find(host: Host, commit: str) -> str | None:
    """The ref that keeps a commit; None where nothing does any more."""
    refs = host.store.refs(_REFS)
    return next((ref for ref in refs if ref.endswith(f"/{commit}")), None)


def needed(host: Host) -> Iterator[tuple[str, str]]:
    """Refs with their commits that can still be deployed: what they were made over boots next."""
    present = host.sysroot.deployments()
    nexts = (bootplan.pending(present, stateroot) for stateroot in host.sysroot.stateroots())
    waiting = {deployment.checksum for deployment in nexts if deployment is not None}
    for ref, commit in host.store.refs(_REFS).items():
        if ref.split("/")[2] in waiting:
            yield ref, commit
