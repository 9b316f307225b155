"""What a plan can tell of packages from their headers, before they are fetched."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from layer import initramfs
from layer.audit.package import audit_of
from layer.audit.verdict import Audit
from layer.documentation import placed_without_documentation
from layer.errors import PackageRefused
from layer.headers import list_packages, writes_to_list
from layer.layout import Placement, place, tmpfiles_path
from layer.lock import DEFAULTS, TreeOptions
from layer.model import Commit, PackageHeader, Tree, TreeDiff
from layer.packages import PackageDiff, diff
from layer.paths import directories_above, tree_paths
from layer.rewriting import declared_files
from layer.rpmfile.version import compare_versions
from layer.store.contract import ObjectStore
from layer.store.trees import files_of, lookup, lookup_all
from layer.trigger_set import is_trigger_file
from layer.triggers.format import Trigger
from layer.triggers.match import Firing, fires, with_existing


def placements_of(
    headers: Sequence[PackageHeader], *, documentation: bool
) -> tuple[Placement, ...]:
    """Where the packages' files land; PackageRefused names all that may land nowhere."""
    placements = tuple(place(header) for header in headers)
    refused = sorted(line for placement in placements for line in placement.refused)
    if refused:
        raise PackageRefused(
            "these packages want what no package may have:\n  " + "\n  ".join(refused),
            "they cannot be layered as they are",
        )
    if documentation:
        return placements
    return tuple(
        placed_without_documentation(placement, header.files)
        for header, placement in zip(headers, placements, strict=True)
    )


def will_fire(
    store: ObjectStore,
    base: Commit,
    headers: Sequence[PackageHeader],
    placements: Sequence[Placement],
    triggers: Sequence[Trigger],
    options: TreeOptions = DEFAULTS,
    *,
    gone: Collection[str] = (),
    audits: Sequence[Audit] = (),
) -> tuple[str, ...]:
    """The names of the triggers that the packages' files fire, or that the options ask for.

    What is `gone` from the base fires them, too, and what `audits` declare for scriptlets.
    """
    found = firings(store, base, headers, placements, triggers, gone=gone, audits=audits)
    names = {trigger.name for trigger, _ in found}
    if options.regenerate_initramfs:
        names.add(initramfs.TRIGGER)
    return tuple(trigger.name for trigger in triggers if trigger.name in names)


def firings(
    store: ObjectStore,
    base: Commit,
    headers: Sequence[PackageHeader],
    placements: Sequence[Placement],
    triggers: Sequence[Trigger],
    *,
    gone: Collection[str] = (),
    audits: Sequence[Audit] = (),
) -> tuple[tuple[Trigger, Firing], ...]:
    """The triggers that the packages' files, and those that go, fire; with what matches."""
    paths = sorted({file.path for placement in placements for file in placement.files})
    paths += [
        tmpfiles_path(h.nevra.name) for h, p in zip(headers, placements, strict=True) if p.tmpfiles
    ]
    paths += [
        path
        for header, audit in zip(headers, audits, strict=False)
        for path in declared_files(header.nevra.name, audit.rewrites)
    ]
    there = lookup_all(store, base.root, paths)
    diff = TreeDiff(
        added=tuple(p for p in paths if p not in there),
        changed=tuple(p for p in paths if p in there),
        removed=tuple(sorted(set(gone) - set(paths))),
    )
    found = ((trigger, fires(trigger, diff)) for trigger in triggers)
    brought = {*paths, *directories_above(paths)}

    def is_there(path: str) -> bool:
        return path in brought or _remains(store, base, path, gone)

    due = (
        (trigger, with_existing(trigger, firing, is_there))
        for trigger, firing in found
        if firing is not None
    )
    return tuple((trigger, firing) for trigger, firing in due if firing.matches)


def _remains(store: ObjectStore, base: Commit, path: str, gone: Collection[str]) -> bool:
    """Whether the base keeps a path, a directory for what is left in it."""
    there = lookup(store, base.root, path)
    if not isinstance(there, Tree):
        return there is not None and path not in gone
    if not any(g.startswith(f"{path}/") for g in gone):
        return True
    away = set(gone)
    return any(f"{path}/{name}" not in away for name, _ in files_of(store, there))


def bringing(headers: Sequence[PackageHeader], placements: Sequence[Placement]) -> tuple[str, ...]:
    """The names of the packages that have trigger files of their own."""
    return tuple(
        header.nevra.name
        for header, placement in zip(headers, placements, strict=True)
        if any(is_trigger_file(file.path) for file in placement.files)
    )


def audits_of(headers: Sequence[PackageHeader], triggers: Sequence[Trigger]) -> tuple[Audit, ...]:
    """What becomes of each package's scriptlets where these triggers run."""
    return tuple(audit_of(header, triggers) for header in headers)


def unmade_links(
    store: ObjectStore,
    base: Commit,
    audits: Sequence[Audit],
    placements: Sequence[Placement],
    *,
    gone: Collection[str] = (),
) -> tuple[str, ...]:
    """The links of scriptlets that give way to what the base or a package has at their paths."""
    brought = {file.path for placement in placements for file in placement.files}
    found = set()
    for path, target in {link for audit in audits for link in audit.rewrites.links}:
        for where in tree_paths(path)[-1:]:
            there = None if where in gone else lookup(store, base.root, where)
            is_same = isinstance(there, str) and store.read_file_attributes(there).target == target
            if (there is not None and not is_same) or where in brought:
                found.add(f"{path} -> {target}: the path is taken")
    return tuple(sorted(found))


def base_packages(store: ObjectStore, old: Commit | None, new: Commit) -> PackageDiff | None:
    """What differs between two bases; None for one base, or where to list one would write."""
    if old is None or old == new or any(writes_to_list(store, c) for c in (old, new)):
        return None
    return diff(list_packages(store, old), list_packages(store, new), compare_versions)
