"""The kernels of a tree, and what must hold of them: a tree boots one, with its initramfs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from layer import initramfs
from layer.errors import InvalidInput, PackageRefused, TriggerFailed
from layer.layout import Placement
from layer.lock import TreeOptions
from layer.model import Commit, PackageHeader, Tree
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.trigger_inputs import find_program
from layer.triggers.format import Trigger
from layer.triggers.match import Demand

if TYPE_CHECKING:
    from layer.running import TriggerOutcome

MODULES = "usr/lib/modules"
_KERNEL = re.compile(rf"{MODULES}/([^/]+)/vmlinuz")
_BOOT_KEYS = ("ostree.bootable", "ostree.linux")


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


def check_kernels(
    store: ObjectStore,
    base: Tree,
    packages: Sequence[tuple[PackageHeader, Placement]],
    *,
    gone: Collection[str] = (),
) -> None:
    """PackageRefused where packages bring a kernel beside the base's, or beside each other's."""
    kept = (v for v in kernels_of(store, base) if kernel_path(v) not in gone)
    there = dict.fromkeys(kept, "the base")
    brought: dict[str, str] = {}
    for header, placement in packages:
        for file in placement.files:
            found = _KERNEL.fullmatch(file.path)
            if found and found[1] not in there:
                brought[found[1]] = str(header.nevra)
    if not brought or len(there) + len(brought) == 1:
        return
    lines = [f"{version}: {who}" for version, who in (*there.items(), *sorted(brought.items()))]
    raise PackageRefused(
        "\n  ".join(["a tree boots one kernel, and this one would have several:", *lines]),
        "leave the package out; to have another kernel than the base's, it takes the place of "
        "the base's package: layer override replace"
        if there
        else "layer one of them",
    )


def touch_modules(placements: Sequence[Placement], gone: Collection[str] = ()) -> bool:
    """Whether any file for a kernel comes or goes, so that /boot may get others than the base's."""
    paths = (*gone, *(file.path for placement in placements for file in placement.files))
    return any(path.startswith(f"{MODULES}/") for path in paths)


def check_bootable(store: ObjectStore, base: Commit, tree: Tree) -> dict[str, str | bool]:
    """What a derived commit says of its kernel; PackageRefused where it would not boot.

    The base's own kernel is as the base says; one of the same version may have come in its place.
    """
    kernels = kernels_of(store, tree)
    if _is_as_in(store, base.root, tree, kernels):
        return {k: base.metadata[k] for k in _BOOT_KEYS if k in base.metadata}
    if len(kernels) > 1:
        raise PackageRefused(f"the tree has several kernels: {', '.join(kernels)}")
    for version in kernels:
        if lookup(store, tree, initramfs_path(version)) is None:
            raise PackageRefused(
                f"the kernel {version} has no initramfs, and the tree has no dracut to make one",
                "layer a package that has dracut with it, or one that brings "
                f"/{initramfs_path(version)}",
            )
    return boot_metadata(kernels)


def _is_as_in(store: ObjectStore, base: Tree, tree: Tree, kernels: Sequence[str]) -> bool:
    """Whether the kernels are the base's, with an initramfs where it has one."""
    images = [initramfs_path(version) for version in kernels]
    return kernels == kernels_of(store, base) and all(
        lookup(store, tree, path) is not None
        for path in images
        if lookup(store, base, path) is not None
    )


def boot_metadata(kernels: Sequence[str]) -> dict[str, str | bool]:
    """What libostree and others want to be told of a commit that boots."""
    return {"ostree.bootable": True, "ostree.linux": kernels[0]} if kernels else {}


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
