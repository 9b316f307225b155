"""What would stop a change later is found before anything is fetched or written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from layer import bootplan
from layer.conflicts import check_conflicts
from layer.early_files import overlay_initrd
from layer.host import Host
from layer.initramfs import check_arguments
from layer.kernels import check_kernels, touch_modules
from layer.layout import Placement
from layer.lock import TreeOptions
from layer.model import Commit, Nevra, Package, PackageHeader, Tree
from layer.origin import Origin
from layer.space import check_boot, check_entries, check_kernel, check_repository
from layer.store.files import read_text

MACHINE_ID = "usr/etc/machine-id"


def check_change(
    host: Host,
    base: Commit,
    options: TreeOptions,
    packages: Sequence[tuple[PackageHeader, Placement]],
    to_fetch: Sequence[Package],
    *,
    gone: Collection[str] = (),
    without: Collection[Nevra] = (),
) -> None:
    """LayerError where packages do not fit over a base, or have no room on this machine.

    The base's packages `without`, and the paths `gone` with them, are in nobody's way.
    """
    placed = [(header, place.files) for header, place in packages]
    check_conflicts(host.store, base, placed, gone=gone, without=without)
    check_kernels(host.store, base.root, packages, gone=gone)
    check_arguments(options)
    if read_text(host.store, base.root, MACHINE_ID).strip() not in ("", "uninitialized"):
        host.reporter.note(
            "the base ships an id in /etc/machine-id: all machines that first boot it have the same"
        )
    repository = host.sysroot.store
    check_repository(to_fetch, repository.path, host.cache, reserved=repository.reserved_space)
    placements = [place for _, place in packages]
    if options.regenerate_initramfs or touch_modules(placements, gone):
        # What the initramfs takes is known when the tree is there.
        boot, deployments = host.sysroot.path / "boot", host.sysroot.deployments()
        check_kernel(host.store, placements, boot, host.stateroot, deployments)
    else:
        check_room_to_boot(host, base.root)


def tracked_files(host: Host, after: Origin) -> bytes:
    """The initrd of what an origin tracks in the /etc that the next deployment takes over."""
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    return overlay_initrd(merge.path, after.initramfs_etc) if merge else b""


def check_room_to_boot(host: Host, tree: Tree, overlay: bytes = b"") -> None:
    """StoreError where /boot has no room for a deployment of that tree."""
    sysroot = host.sysroot
    boot, deployments = sysroot.path / "boot", sysroot.deployments()
    check_boot(host.store, tree, boot, host.stateroot, deployments, overlay=len(overlay))


def check_room_to_reorder(host: Host) -> None:
    """StoreError where /boot has no room for entries in another order."""
    sysroot = host.sysroot
    check_entries(sysroot.path / "boot", host.stateroot, sysroot.deployments())
