"""From a base and a set of imported packages to a commit; the same for layering and composing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from layer import accounts, assembly, ids, kernels, spans
from layer.audit.verdict import Rewrites
from layer.bootunits import add_boot_units
from layer.copies import REFS as COPIES
from layer.copies import Copies
from layer.crossings import add_crossings
from layer.documentation import without_documentation
from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.labelling import label
from layer.lock import DEFAULTS, LAYER, Lock, Record, TreeOptions, format_metadata
from layer.model import Commit, LockedPackage, NearTree, PackageTree, Tree
from layer.report import Reporter
from layer.rewriting import link, read_rewrites, rewritten
from layer.rpmfile.states import FileStates
from layer.rpmfile.writing import tool_versions
from layer.running import SandboxOptions, TriggerOutcome, run_triggers
from layer.scratch import leave, scratch_directory
from layer.store.contract import ObjectStore
from layer.triggers.format import Trigger
from layer.triggers.order import digest, split_at_owners
from layer.trimming import NOTHING, Trimmed, Without, tidy, trim

# What triggers take for the time. The same for every base, so that an output is found
# again whatever base it was made on: 2020-01-01T00:00:00Z.
TRIGGER_EPOCH = 1_577_836_800
# Takes the merged tree; gives its triggers in their order.
TriggersOf = Callable[[Tree], Sequence[Trigger]]
# Takes a tree; gives the next one, and the paths that layer wrote in it.
Finish = Callable[[Tree], tuple[Tree, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where the work is done: a clean checkout near to the tree, and a scratch directory.

    `scratch` is empty, on the store's filesystem, and whoever made it removes it.
    """

    near: NearTree
    scratch: Path
    options: SandboxOptions | None = None


@dataclass(frozen=True, slots=True)
class Assembled:
    """A tree that is complete but for its commit, with the lock it follows from.

    `copies` is a commit that spares work next time, to be kept beside the tree's.
    """

    tree: Tree
    lock: Lock
    record: Record
    notes: tuple[str, ...]
    copies: str | None = None


@dataclass(frozen=True, slots=True)
class _Grown:
    """The tree before any trigger: its packages as they are in it, and what layer wrote."""

    tree: Tree
    packages: Sequence[PackageTree]
    states: FileStates
    exceptions: Mapping[str, int]
    written: tuple[str, ...]
    notes: tuple[str, ...]


@contextmanager
def scratch_in(directory: Path) -> Iterator[Path]:
    """An empty directory, removed at the end.

    After a TriggerFailed it stays, for the command line that replays the failure.
    """
    with scratch_directory(directory) as folder:
        try:
            yield folder
        except TriggerFailed:
            leave(folder)
            raise


def assemble(
    store: ObjectStore,
    base: Tree,
    packages: Sequence[PackageTree],
    triggers_of: TriggersOf,
    workshop: Workshop,
    *,
    epoch: int,
    previous_ids: Mapping[str, int],
    reporter: Reporter,
    before: Tree | None = None,
    finish: Finish | None = None,
    tree_options: TreeOptions = DEFAULTS,
    without: Without = NOTHING,
) -> Assembled:
    """Base, packages, triggers, rpm database and labels to one tree.

    Triggers fire on what differs from `before`, which is the base if not said, and that
    is labelled. `without` is left out of the base. `epoch` (seconds) is the time of installation
    in the rpm database. `finish` writes more into the tree. Needs a transaction."""
    reporter.step("Merging")
    copies = Copies.open(store)
    trimmed = _trimmed(store, base, without, workshop.scratch)
    grown = _grow(store, trimmed, packages, copies, previous_ids, tree_options, without)
    triggers = spans.phase("triggers")(triggers_of)(grown.tree)
    demand = kernels.demand_of(store, grown.tree, tree_options, triggers)
    fire = partial(
        run_triggers,
        store,
        workshop.near,
        before=before or base,
        epoch=TRIGGER_EPOCH,
        reporter=reporter,
        options=workshop.options,
        demand=demand,
    )
    before_owners, after_owners = split_at_owners(triggers)
    early, late = (_folder(workshop.scratch, name) for name in ("early", "late"))
    first = fire(tree=grown.tree, triggers=before_owners, scratch=early)
    tree, shared = accounts.share_accounts(store, base, first.tree)
    owned = accounts.resolve_owners(store, tree, grown.packages, copies)
    second = fire(tree=owned, triggers=after_owners, scratch=late)
    kernels.check_made(demand, (first, second))
    # No /etc is older than the base's own: only layers need the units.
    tree, units = (second.tree, ()) if before else _boot_units(store, base, first, second)
    reporter.step("Writing the rpm database")
    tree, database = assembly.record_packages(
        store,
        tree,
        grown.packages,
        epoch=epoch,
        scratch=workshop.scratch,
        states=grown.states,
        without_documentation=not tree_options.documentation,
    )
    tree, more = finish(tree) if finish else (tree, ())
    record = _record((first, second), [*grown.written, *shared, *units, *database, *more])
    tree = label(store, before or base, tree, copies, _folder(workshop.scratch, "labels"))
    lock = _lock(grown, triggers, tree_options, without)
    return Assembled(tree, lock, record, grown.notes, copies.write())


def _boot_units(
    store: ObjectStore, base: Tree, first: TriggerOutcome, second: TriggerOutcome
) -> tuple[Tree, tuple[str, ...]]:
    """The tree of the second outcome with the units for its boot."""
    left = (*first.left_to_boot, *second.left_to_boot)
    return add_boot_units(store, base, second.tree, left)


def commit_derived(store: ObjectStore, base: Commit, assembled: Assembled) -> str:
    """Commits a tree over its base; a function of base and lock, and of nothing else.

    Refs keep the commit and its base from being pruned.
    """
    metadata: dict[str, str | bool] = dict(format_metadata(assembled.lock, assembled.record))
    metadata["layer.base"] = base.checksum
    if "version" in base.metadata:
        metadata["version"] = base.metadata["version"]
    metadata |= kernels.check_bootable(store, base, assembled.tree)
    checksum = store.write_commit(
        assembled.tree,
        parent=base.checksum,
        timestamp=base.timestamp,
        subject=f"Layered over {base.checksum}",
        metadata=metadata,
    )
    keep(store, checksum, base.checksum)
    keep_copies(store, assembled, checksum)
    return checksum


def keep(store: ObjectStore, checksum: str, base: str) -> None:
    """Refs that hold a deployed commit and its base, whatever a remote's refs do."""
    store.set_ref(f"layer/base/{base}", base)
    if checksum != base:
        store.set_ref(f"layer/derived/{checksum}", checksum)


def keep_copies(store: ObjectStore, assembled: Assembled, name: str) -> None:
    """A ref that lets later trees find what this one's files were made of."""
    if assembled.copies is not None:
        store.set_ref(f"{COPIES}/{name}", assembled.copies)


@spans.phase("merge")
def _trimmed(store: ObjectStore, base: Tree, without: Without, scratch: Path) -> Trimmed:
    if not without.packages:
        return Trimmed(base)
    return trim(store, base, without.packages, _folder(scratch, "base"))


@spans.phase("merge")
def _grow(
    store: ObjectStore,
    trimmed: Trimmed,
    packages: Sequence[PackageTree],
    copies: Copies,
    previous_ids: Mapping[str, int],
    options: TreeOptions,
    without: Without,
) -> _Grown:
    """The base with the packages, what their scriptlets declare, and their accounts' numbers."""
    base = trimmed.tree
    declared = read_rewrites(store, packages)
    packages = _as_wanted(store, packages, declared, options, copies)
    merged = assembly.merge(store, base, packages, copies)
    linked = link(store, base, merged.tree, declared, trimmed.offers)
    tidied = linked.tree
    if without.packages:
        tidied = tidy(store, linked.tree, trimmed, without.written)
    tidied, crossings = add_crossings(store, None if without.packages else base, tidied)
    tree, exceptions = accounts.number_accounts(store, base, tidied, merged.packages, previous_ids)
    return _Grown(
        tree=tree,
        packages=merged.packages,
        states=merged.states,
        exceptions=exceptions,
        written=(
            *trimmed.written,
            *linked.written,
            *crossings,
            *([ids.IDS_PATH] if tree != tidied else []),
        ),
        notes=tuple(sorted((*merged.notes, *linked.notes))),
    )


def _as_wanted(
    store: ObjectStore,
    packages: Sequence[PackageTree],
    declared: Sequence[Rewrites],
    options: TreeOptions,
    copies: Copies,
) -> Sequence[PackageTree]:
    """The packages as the options want them, with what their scriptlets declare."""
    if not options.documentation:
        packages = [without_documentation(store, package) for package in packages]
    return [rewritten(store, p, d, copies) for p, d in zip(packages, declared, strict=True)]


def _lock(
    grown: _Grown, triggers: Sequence[Trigger], options: TreeOptions, without: Without
) -> Lock:
    return Lock(
        packages=tuple(sorted(LockedPackage(p.nevra, p.checksum) for p in grown.packages)),
        ids=tuple(sorted(grown.exceptions.items())),
        triggers=digest(triggers),
        tools=tuple(sorted(tool_versions().items())),
        options=options,
        gone=tuple(sorted(without.packages)),
    )


def _record(outcomes: Sequence[TriggerOutcome], ours: Sequence[str]) -> Record:
    written = {path: writer for outcome in outcomes for path, writer in outcome.written}
    runs = tuple(run for outcome in outcomes for run in outcome.runs)
    return Record(runs, tuple(sorted({**written, **dict.fromkeys(ours, LAYER)}.items())))


def _folder(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder
