"""Whether what a change needs has room: in the repository, and in /boot; asked beforehand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from layer import bootplan
from layer.errors import LayerError, StoreError
from layer.kernels import MODULES, initramfs_path, kernel_path, kernels_of
from layer.layout import Placement
from layer.model import Deployment, Package, Tree
from layer.store.contract import ObjectStore
from layer.store.trees import files_of, lookup
from layer.words import size

_CHUNK = 1 << 20
_LINES = 4  # blocks for the directories of a deployment's files and of the boot entries
_OVERLAYS = "initramfs-overlays"  # beside the kernels' directories in boot/ostree


def check_repository(
    packages: Sequence[Package], repository: Path, downloads: Path, *, reserved: int
) -> None:
    """StoreError where packages to fetch have no room, as files and unpacked.

    `reserved` are bytes of the repository's filesystem that libostree leaves free.
    """
    if not packages:
        return
    fetched = sum(package.size for package in packages)
    unpacked = sum(package.installed_size for package in packages)
    places = {repository: unpacked + reserved, _existing(downloads): fetched}
    by_device: dict[int, list[Path]] = {}
    for place in places:
        by_device.setdefault(place.stat().st_dev, []).append(place)
    for together in by_device.values():
        needed = sum(places[place] for place in together)
        free = _free(together[0])
        if needed > free:
            kept = f", {size(reserved)} of it to stay free" if repository in together else ""
            raise StoreError(
                f"the filesystem of {together[0]} has {size(free)} free, "
                f"and the packages take {size(needed)}{kept}",
                "`layer cleanup -b -m -r` removes what nothing needs",
            )


def check_boot(
    store: ObjectStore,
    tree: Tree,
    boot: Path,
    stateroot: str,
    deployments: Sequence[Deployment],
    *,
    overlay: int = 0,
) -> None:
    """StoreError where the kernel and what goes with it have no room in /boot.

    What is there for another deployment of the stateroot is shared. `overlay` are the
    bytes of what is appended to the initramfs. Where /boot is no filesystem of its own, what is
    there is linked, and takes nothing.
    """
    if _is_linked(boot):
        return
    block = os.statvfs(boot).f_frsize
    needed = _new_files(store, tree, boot, stateroot, deployments, block) + _rounded(overlay, block)
    version = ", ".join(kernels_of(store, tree))
    what = f"the kernel {version} with its initramfs takes" if needed else "the boot entries take"
    _require(boot, stateroot, deployments, needed, what, more_entries=1)


def check_kernel(
    store: ObjectStore,
    placements: Sequence[Placement],
    boot: Path,
    stateroot: str,
    deployments: Sequence[Deployment],
) -> None:
    """StoreError where a kernel that packages bring has no room in /boot, as headers tell it.

    What its initramfs takes is known when the tree is there, see `check_boot`.
    """
    if _is_linked(boot):
        return
    block = os.statvfs(boot).f_frsize
    trees = [store.read_commit(d.checksum).root for d in deployments if d.stateroot == stateroot]
    for file in (file for placement in placements for file in placement.files):
        version = file.path.removeprefix(f"{MODULES}/").partition("/")[0]
        is_kernel = file.path == kernel_path(version)
        if is_kernel and all(lookup(store, tree, file.path) is None for tree in trees):
            what = f"the kernel {version} takes, without its initramfs,"
            needed = _rounded(file.source.size, block)
            _require(boot, stateroot, deployments, needed, what, more_entries=1)


def check_entries(boot: Path, stateroot: str, deployments: Sequence[Deployment]) -> None:
    """StoreError where /boot has no room for the boot entries of these deployments alone."""
    if not _is_linked(boot):
        _require(boot, stateroot, deployments, 0, "the boot entries take", more_entries=0)


def boot_files(store: ObjectStore, tree: Tree) -> tuple[tuple[str, str], ...]:
    """What libostree copies to /boot, by path and checksum, in the order in which it reads them.

    (ostree-sysroot-deploy.c.) Nothing for a tree without a kernel in usr/lib/modules.
    """
    found = []
    for version in kernels_of(store, tree)[:1]:
        folder = f"{MODULES}/{version}"
        for path in (kernel_path(version), initramfs_path(version), f"{folder}/devicetree"):
            checksum = lookup(store, tree, path)
            if isinstance(checksum, str):
                found.append((path, checksum))
        trees = lookup(store, tree, f"{folder}/dtb")
        if isinstance(trees, Tree) and lookup(store, tree, f"{folder}/devicetree") is None:
            found += files_of(store, trees, f"{folder}/dtb/")
    return tuple(found)


def _is_linked(boot: Path) -> bool:
    """Whether /boot is on the repository's filesystem, or there is none."""
    return not boot.is_dir() or boot.stat().st_dev == (boot.parent / "ostree").stat().st_dev


def _require(
    boot: Path,
    stateroot: str,
    deployments: Sequence[Deployment],
    needed: int,
    what: str,
    *,
    more_entries: int,
) -> None:
    """StoreError where /boot has no room for so many bytes and the boot entries."""
    block = os.statvfs(boot).f_frsize
    needed += (len(deployments) + more_entries + _LINES) * block
    free = _free(boot)
    if needed > free:
        raise StoreError(
            f"/boot has {size(free)} free, and {what} {size(needed)}",
            _hint(boot, stateroot, deployments, needed - free),
        )


def _new_files(
    store: ObjectStore,
    tree: Tree,
    boot: Path,
    stateroot: str,
    deployments: Sequence[Deployment],
    block: int,
) -> int:
    """Bytes in blocks of what is not there yet."""
    files = boot_files(store, tree)
    for deployment in deployments:
        if deployment.stateroot == stateroot:
            there = store.read_commit(deployment.checksum).root
            if boot_files(store, there) == files:
                return 0
    digest, sizes = hashlib.sha256(), []
    for _, checksum in files:
        sizes.append(0)
        for chunk in _chunks(store, checksum):
            digest.update(chunk)
            sizes[-1] += len(chunk)
    if (boot / "ostree" / f"{stateroot}-{digest.hexdigest()}").is_dir():
        return 0
    return sum(_rounded(number, block) for number in sizes)


def _hint(boot: Path, stateroot: str, deployments: Sequence[Deployment], missing: int) -> str:
    """What cleaning up would give back, and whether that is enough."""
    freed = 0
    for options, is_rollback in (("-b", False), ("-b -r", True)):
        freed = _freed(boot, stateroot, deployments, is_rollback=is_rollback)
        if freed >= missing:
            return f"`layer cleanup {options}` frees {size(freed)} there"
    return (
        f"`layer cleanup -b -r` frees {size(freed)} there, which is not enough: "
        "remove other deployments, or make /boot larger"
    )


def _freed(
    boot: Path, stateroot: str, deployments: Sequence[Deployment], *, is_rollback: bool
) -> int:
    """Bytes of the directories that no deployment needs, or none but the rollback's."""
    kept: Sequence[Deployment] = deployments
    if is_rollback:
        try:
            plan = bootplan.without(deployments, stateroot, pending=False, rollback=True)
        except LayerError:  # it is pinned
            plan = None
        if plan is not None:
            kept = [d for d in plan.deployments if isinstance(d, Deployment)]
    needed = {f"{d.stateroot}-{d.boot_checksum}" for d in kept} | {_OVERLAYS}
    folders = [p for p in (boot / "ostree").iterdir() if p.is_dir() and p.name not in needed]
    return sum(_size_of(folder) for folder in folders)


def _size_of(folder: Path) -> int:
    return sum(512 * path.lstat().st_blocks for path in (folder, *folder.rglob("*")))


def _chunks(store: ObjectStore, checksum: str) -> Iterator[bytes]:
    with store.open_file(checksum) as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def _rounded(number: int, block: int) -> int:
    return -(-number // block) * block


def _free(path: Path) -> int:
    """Bytes that root may still write."""
    found = os.statvfs(path)
    return max(0, found.f_bfree - _kept_back(path)) * found.f_frsize


def _kept_back(path: Path) -> int:
    """Blocks that ext4 keeps from root, too, and counts as free (`s_resv_clusters`)."""
    device = path.stat().st_dev
    try:
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        return int(Path("/sys/fs/ext4", name, "reserved_clusters").read_text())
    except (OSError, ValueError):
        return 0  # another filesystem, or no /sys


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    while not path.exists():
        path = path.parent
    return path
