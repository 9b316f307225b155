"""What becomes of the triggers that packages of a base have for the packages that are layered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from layer.audit.verdict import Audit
from layer.foresight import audits_of
from layer.model import Nevra, PackageHeader, Scriptlet, Tree
from layer.rpmdb import open_packages
from layer.store.contract import ObjectStore
from layer.triggers.format import Trigger

_Triggers = Callable[[], Sequence[Trigger]]


def audits_of_base(
    store: ObjectStore,
    tree: Tree,
    headers: Sequence[PackageHeader],
    triggers: _Triggers,
    *,
    without: Collection[Nevra] = (),
) -> tuple[Audit, ...]:
    """The triggers, sorted by their packages, that rpm would run of those in the tree.

    The tree is a base, or one with the layers in it; `without` are packages that it loses.
    `triggers` are layer's, read where there is something to judge.
    """
    waiting = _waiting(store, tree, headers, without)
    if not waiting:
        return ()
    # Loaded here as it takes long, and few bases have any that run.
    from layer.audit.base_triggers import audit_in_base, either, runs_for
    from layer.audit.judge import Coverage, coverage

    in_force = triggers()
    covers: dict[Nevra, tuple[Coverage, ...]] = {}
    audits = []
    for nevra, scriptlets in waiting:
        about = [h for h in headers if any(runs_for(one, h) for one in scriptlets)]
        for header in about:
            if header.nevra not in covers:
                covers[header.nevra] = coverage(header, in_force)
        covered = either(*(covers[header.nevra] for header in about))
        names = {header.nevra.name for header in about}
        audits.append(audit_in_base(nevra, scriptlets, covered, names))
    return tuple(audits)


def lines_not_run(
    store: ObjectStore, tree: Tree, headers: Sequence[PackageHeader], triggers: _Triggers
) -> int:
    """How many lines nothing stands in for, in a tree with these packages layered."""
    found = audits_of_base(store, tree, headers, triggers)
    if any(header.scriptlets for header in headers):
        found += audits_of(headers, triggers())
    return sum(len(audit.unknown) for audit in found)


def _waiting(
    store: ObjectStore, tree: Tree, headers: Sequence[PackageHeader], without: Collection[Nevra]
) -> list[tuple[Nevra, list[Scriptlet]]]:
    """The packages that are no layers with what would run of them, sorted."""
    if not headers:
        return []
    names = {header.nevra.name for header in headers}
    layered = {header.nevra for header in headers}
    with open_packages(store, tree) as stored:
        paths = (file.path for header in headers for file in header.files)
        found = stored.waiting(names, paths) if stored else ()
    if not found:
        return []
    from layer.audit.base_triggers import runs_for

    return [
        (nevra, due)
        for nevra, scriptlets in sorted(found, key=lambda pair: pair[0])
        if nevra not in layered
        and nevra not in without
        and (due := [one for one in scriptlets if any(runs_for(one, h) for h in headers)])
    ]
