"""A machine is as whole on ext4, xfs and btrfs as anywhere, and so is one out of a snapshot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import overriding
from testdata.distro.tiny import tiny_rpm
from tests.disks.disk import FILESYSTEMS, keep_mounts_to_ourselves, make_disk, mounted
from tests.kill.checks import boot_set, faults
from tests.world import Machine, World

_MEBIBYTES = 320  # the least that xfs takes, and a log's room


@pytest.fixture(autouse=True, scope="module")
def _own_mounts() -> None:
    keep_mounts_to_ourselves()


@pytest.fixture(params=FILESYSTEMS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An image of each filesystem, and where it is mounted."""
    image, place = tmp_path / "image", tmp_path / "mount"
    make_disk(image, _MEBIBYTES, *FILESYSTEMS[request.param])
    with mounted(image, place):
        yield image, place


def assert_whole(sysroot: Path) -> None:
    assert list(faults(sysroot)) == []


def changed(machine: Machine) -> None:
    """What happens to a machine, with all that writes to it."""
    machine.install("pear", "daemon")
    machine.apply(lambda host: overriding.override_remove(host, ["tiny-libc"]))
    machine.uninstall("pear")
    machine.layer("rollback", "-y")
    machine.layer("cleanup", "-b", "-r")
    machine.install("web")  # of a tree that was put aside


def test_verbs_make_the_same_commit_on_any_filesystem(
    disk: tuple[Path, Path], machine: Machine
) -> None:
    _, place = disk
    here = machine.world.machine(place / "machine")
    for each in (here, machine):
        changed(each)
        assert_whole(each.path)
    assert here.pending().checksum == machine.pending().checksum
    assert here.pending().origin == machine.pending().origin


def test_a_snapshot_of_the_disk_is_a_whole_machine(
    disk: tuple[Path, Path], own_world: World, tmp_path: Path
) -> None:
    """Taken of the mounted filesystem, as a volume manager does it, while it is frozen."""
    image, place = disk
    machine = own_world.machine(place / "machine")
    machine.install("apple")
    then = boot_set(machine.path)
    subprocess.run(["fsfreeze", "--freeze", place], check=True)
    subprocess.run(["cp", "--sparse=always", image, tmp_path / "snapshot"], check=True)
    subprocess.run(["fsfreeze", "--unfreeze", place], check=True)
    own_world.publish(tiny_rpm("apple", "/usr/bin/apple", version="2", arch="x86_64"))
    own_world.compose()
    machine.layer("upgrade", "-y", "--repo-dir", str(own_world.repo_dir))
    machine.layer("cleanup", "-b", "-r", "-m")
    now = boot_set(machine.path)
    assert now != then
    subprocess.run(["umount", place], check=True)
    with mounted(tmp_path / "snapshot", place):
        assert boot_set(machine.path) == then
        assert_whole(machine.path)
        machine.layer("upgrade", "-y", "--repo-dir", str(own_world.repo_dir))
        assert_whole(machine.path)
        assert boot_set(machine.path)[0].checksum == now[0].checksum
    with mounted(image, place):
        assert boot_set(machine.path) == now
    subprocess.run(["mount", "-o", "loop", image, place], check=True)  # for the fixture


def test_a_subvolume_put_back_is_a_whole_machine(world: World, tmp_path: Path) -> None:
    image, place = tmp_path / "image", tmp_path / "mount"
    make_disk(image, _MEBIBYTES, *FILESYSTEMS["btrfs"])
    with mounted(image, place):
        subprocess.run(["btrfs", "-q", "subvolume", "create", place / "machine"], check=True)
        machine = world.machine(place / "machine")
        machine.install("apple")
        then = boot_set(machine.path)
        words = ["btrfs", "-q", "subvolume", "snapshot", machine.path, place / "snapshot"]
        subprocess.run(words, check=True)
        changed(machine)
        machine.path.rename(place / "tried")
        (place / "snapshot").rename(machine.path)
        assert boot_set(machine.path) == then
        assert_whole(machine.path)
        changed(machine)
        assert_whole(machine.path)
        assert boot_set(machine.path) == boot_set(place / "tried")
