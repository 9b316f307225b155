"""What a check has found to be newer, base or layers, and what an upgrade would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any

from layer.change import Change
from layer.frozen import dataclass
from layer.model import Nevra
from layer.status import Signature

# rpm-ostree's numbers for where a package is from (RpmOstreePkgTypes).
_BASE, _LAYER = range(2)

_Moved = tuple[int, str, tuple[str, str], tuple[str, str]]
_Single = tuple[int, str, str, str]


@dataclass(frozen=True, slots=True)
class UpdateDiff:
    """Packages that an upgrade changes, each with rpm-ostree's fields, sorted.

    Type (0: of the base, 1: layered), name, and then version and architecture: where a package
    moves two such pairs, the old one and the new one.
    """

    upgraded: tuple[_Moved, ...] = ()
    downgraded: tuple[_Moved, ...] = ()
    removed: tuple[_Single, ...] = ()
    added: tuple[_Single, ...] = ()


@dataclass(frozen=True, slots=True)
class CachedUpdate:
    """A base that a check has found with newer packages; its time in seconds since 1970.

    `signatures` are None where its remote is not verified. Without `has_new_base` it is the one
    that is deployed, and layers alone are newer.
    """

    stateroot: str
    origin: str
    checksum: str
    version: str
    timestamp: int
    diff: UpdateDiff = UpdateDiff()
    signatures: tuple[Signature, ...] | None = None
    has_new_base: bool = True

    @property
    def layers(self) -> tuple[str, ...]:
        """What an upgrade does to layers, a line for each package."""
        moved = sorted((*self.diff.upgraded, *self.diff.downgraded))
        return (
            *(f"{name} {old} -> {new}" for kind, name, (old, _), (new, _) in moved if kind),
            *(f"{name} {evr} (new)" for kind, name, evr, _ in self.diff.added if kind),
            *(f"{name} {evr} (goes)" for kind, name, evr, _ in self.diff.removed if kind),
        )


def diff_of(change: Change, compare: Callable[[Nevra, Nevra], int]) -> UpdateDiff:
    """What a change does to packages of base and layers; `compare` gives -1, 0 or 1."""
    found = list(_steps(change))
    moved = sorted(_moved(kind, a, b) for kind, a, b in found if a and b and compare(a, b) < 0)
    back = sorted(_moved(kind, a, b) for kind, a, b in found if a and b and compare(a, b) > 0)
    return UpdateDiff(
        upgraded=tuple(moved),
        downgraded=tuple(back),
        removed=tuple(sorted(_single(kind, old) for kind, old, new in found if old and not new)),
        added=tuple(sorted(_single(kind, new) for kind, old, new in found if new and not old)),
    )


def as_json(update: CachedUpdate) -> dict[str, Any]:
    """The value of `cached-update` in `status --json`, with rpm-ostree's keys."""
    entry = {
        "osname": update.stateroot,
        "origin": update.origin,
        "checksum": update.checksum,
        "version": update.version,
        "timestamp": update.timestamp,
        "ref-has-new-commit": update.has_new_base,
        "rpm-diff": {name: getattr(update.diff, name) for name in UpdateDiff.__slots__},
        "gpg-enabled": update.signatures is not None,
    }
    if update.signatures is not None:
        entry["signatures"] = [astuple(signature) for signature in update.signatures]
    return entry


def parse(entry: dict[str, Any]) -> CachedUpdate:
    """An update from what `as_json` gave; KeyError, TypeError or ValueError where that is none."""
    diff = {name: _tuples(entry["rpm-diff"][name]) for name in UpdateDiff.__slots__}
    is_verified = entry["gpg-enabled"]
    return CachedUpdate(
        stateroot=str(entry["osname"]),
        origin=str(entry["origin"]),
        checksum=str(entry["checksum"]),
        version=str(entry["version"]),
        timestamp=int(entry["timestamp"]),
        diff=UpdateDiff(**diff),
        signatures=tuple(Signature(*s) for s in entry["signatures"]) if is_verified else None,
        has_new_base=bool(entry["ref-has-new-commit"]),
    )


def _steps(change: Change) -> Iterator[tuple[int, Nevra | None, Nevra | None]]:
    """Each package that changes, before and after."""
    base = change.base_packages
    for kind in (base.upgraded, base.downgraded, base.removed, base.added) if base else ():
        for item in kind:
            old, new = (p.nevra if p else None for p in (item.old, item.new))
            yield _BASE, old, new
    yield from ((_LAYER, old, new) for old, new in change.moved)
    yield from ((_LAYER, nevra, None) for nevra in change.removed)
    yield from ((_LAYER, None, nevra) for nevra in change.added)


def _moved(kind: int, old: Nevra, new: Nevra) -> _Moved:
    return kind, new.name, (old.evr, old.arch), (new.evr, new.arch)


def _single(kind: int, nevra: Nevra) -> _Single:
    return kind, nevra.name, nevra.evr, nevra.arch


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
