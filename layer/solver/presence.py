"""Which names packages have, in the base and anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from layer.frozen import dataclass
from layer.model import BaseState, LockedPackage, RepositoryMetadata, Request, RequestKind
from layer.solver.loading import Loader
from layer.solver.requests import candidates


@dataclass(frozen=True, slots=True)
class Presence:
    """Of some names those that packages have: in the base, and there or on offer."""

    in_base: frozenset[str]
    known: frozenset[str]


def presence(
    names: Iterable[str],
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    *,
    lock: Iterable[LockedPackage],
    locked_headers: Mapping[str, Path],
    loader: Loader,
) -> Presence:
    """Which of the names are those of packages of the base's own architecture."""
    offer = loader.load(base, metadata, lock, locked_headers, with_filelists=False)
    found = [
        each
        for name in sorted(set(names))
        for each in candidates(offer, Request(RequestKind.PACKAGE, name))
        if each.name == name
    ]
    return Presence(
        in_base=frozenset(each.name for each in found if each.isinstalled()),
        known=frozenset(each.name for each in found),
    )
