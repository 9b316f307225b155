"""Taking away what a process that was killed has left, when the next one has the sysroot's lock."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from layer import live_record, scratch, staged
from layer.fetch.transfer import SCRATCH as FETCHING
from layer.model import Deployment
from layer.store.objects import OstreeStore
from layer.store.remains import sweep_sysroot


def sweep(sysroot: Path, store: OstreeStore, cache: Path) -> None:
    """Removes what nobody needs or works on; what cannot be removed stays."""
    sweep_sysroot(sysroot)
    scratch.sweep(store.path / "tmp", scratch.PREFIX)
    for folder in (cache, *cache.glob("[!.]*/")):
        scratch.sweep(folder, FETCHING)
    scratch.sweep(cache / scratch.SOLV_CACHE, scratch.NEW_SOLV_CACHE)
    for path in (cache / "packages").glob("*.rpm"):
        if store.find_commit(f"layer/pkg/{path.stem}") is not None:
            with suppress(OSError):  # it was imported, and nobody came to remove it
                path.unlink()


def settle(var: Path, deployments: Sequence[Deployment]) -> None:
    """Forgets what was staged and has been finalized.

    InvalidInput where what a stateroot remembers of itself was written by a newer version, or
    cannot be read and must be: before anything is changed on such a machine.
    """
    staged.require_known(var)
    live_record.read(var)
    if staged.is_settled(var, deployments):
        staged.forget(var)
