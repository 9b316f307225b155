"""The kernels of a tree, and what must hold of them: a tree boots one, with its initramfs."""

from __future__ import annotations

from collections.abc import Sequence

from layer import initramfs
from layer.errors import InvalidInput, TriggerFailed
from layer.lock import TreeOptions
from layer.model import Tree
from layer.running import TriggerOutcome
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.trigger_inputs import find_program
from layer.triggers.format import Trigger
from layer.triggers.match import Demand

MODULES = "usr/lib/modules"


def kernels_of(store: ObjectStore, tree: Tree) -> tuple[str, ...]:
    """The versions of the tree's kernels, usr/lib/modules/VERSION/vmlinuz, sorted."""
    folder = lookup(store, tree, MODULES)
    there = store.read_directory(folder.contents).directories if isinstance(folder, Tree) else {}
    return tuple(v for v in sorted(there) if lookup(store, tree, kernel_path(v)) is not None)


def kernel_path(version: str) -> str:
    """Where libostree looks for that kernel."""
    return f"{MODULES}/{version}/vmlinuz"


def initramfs_path(version: str) -> str:
    """Where libostree looks for the initramfs of that kernel."""
    return f"{MODULES}/{version}/initramfs.img"


def demand_of(
    store: ObjectStore, tree: Tree, options: TreeOptions, triggers: Sequence[Trigger]
) -> Demand | None:
    """That the initramfs is made anew, where the options say so; LayerError where it cannot be."""
    if not options.regenerate_initramfs:
        return None
    initramfs.check_arguments(options)
    kernels = kernels_of(store, tree)
    if not kernels:
        raise InvalidInput("the tree has no kernel, so that there is no initramfs to make anew")
    ours = [trigger for trigger in triggers if trigger.name == initramfs.TRIGGER]
    if not ours:
        raise InvalidInput(
            f"the initramfs is to be made anew, and the trigger {initramfs.TRIGGER} is masked",
            "layer initramfs --disable leaves the initramfs to the base",
        )
    if find_program(store, tree, ours[0]) is None:
        raise InvalidInput(
            f"the initramfs is to be made anew, and the tree has no {ours[0].tool}",
            f"layer a package that has {ours[0].tool} first, or leave the initramfs to the base: "
            "layer initramfs --disable",
        )
    paths = tuple(kernel_path(version) for version in kernels)
    return Demand(initramfs.TRIGGER, paths, options.initramfs_arguments)


def check_made(demand: Demand | None, outcomes: Sequence[TriggerOutcome]) -> None:
    """TriggerFailed where what was demanded was not done, as a trigger of one's own may have it."""
    if demand is None:
        return
    runs = [run for outcome in outcomes for run in outcome.runs]
    ours = [run.status for run in runs if run.name == demand.trigger]
    if set(ours) != {"done"}:
        raise TriggerFailed(
            f"the initramfs is to be made anew, and the trigger {demand.trigger} "
            f"did not do so: {', '.join(ours) or 'it does not fire for a kernel'}",
            "layer trigger show initramfs",
        )
