"""Overrides, and packages that came as files, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from layer.change import Change
from layer.status import DeploymentState, removals, replacements
from layer.words import count


def plan(item: Change) -> list[list[str]]:
    """What a change does to packages of the base, a block of lines for each kind."""
    fresh = set(item.resolution.gone) - set(item.previous.gone)
    brought = {*item.added, *(new for _, new in item.moved)}
    blocks = []
    removed = [f"  {nevra}" for nevra in item.resolution.removed if nevra in fresh]
    if removed:
        blocks.append([f"Removing {count(len(removed), 'package')} of the base:", *removed])
    replaced = [
        f"  {old} -> {new.evr if (old.name, old.arch) == (new.name, new.arch) else new}"
        f"{' (downgrade)' if new in item.resolution.downgraded else ''}"
        for old, new in item.resolution.replaced
        if old in fresh or new in brought
    ]
    if replaced:
        blocks.append([f"Replacing {count(len(replaced), 'package')} of the base:", *replaced])
    if item.restored:
        instead = {nevra.name: f" instead of {nevra.evr}" for nevra in item.removed}
        names = [f"  {nevra}{instead.get(nevra.name, '')}" for nevra in item.restored]
        blocks.append([f"Having {count(len(names), 'package')} of the base again:", *names])
    if item.resolution.inactive_overrides:
        lines = [f"  {line}" for line in item.resolution.inactive_overrides]
        blocks.append(["Overrides that are kept, and do nothing on this base:", *lines])
    return blocks


def rows(state: DeploymentState) -> Iterator[tuple[str, str]]:
    """The lines of `layer status`, with rpm-ostree's own keys."""
    if state.origin is None:
        return
    present = {*state.lock.packages, *(p.checksum for p in state.lock.packages)}
    local = [
        p.nevra
        for p in state.origin.local
        if p.checksum in present or replace(p, checksum="") in present
    ]
    sleeping = [p.nevra for p in state.origin.local if p.nevra not in local]
    away, replaced = removals(state), replacements(state)
    overrides = state.origin.overrides
    idle = sorted({*overrides.removed} - {n.name for n in away})
    active = {new.name for new, _ in replaced}
    names = [str(p.nevra) for p in overrides.files if p.nevra.name not in active]
    names += [o.name for o in overrides.offered if o.name not in active]
    yield from (
        (key, " ".join(map(str, values)))
        for key, values in (
            ("LocalPackages", local),
            ("InactiveLocalPackages", sleeping),
            ("RemovedBasePackages", away),
            ("ReplacedBasePackages", [f"{old} -> {new.evr}" for new, old in replaced]),
            ("InactiveBaseRemovals", idle),
            ("InactiveBaseReplacements", names),
        )
        if values
    )
