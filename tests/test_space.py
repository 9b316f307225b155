"""Room in /boot and in the repository is asked for before anything is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from layer.model import BootPlan
from layer.space import boot_files
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm
from tests.cli import do
from tests.snapshot import state
from tests.test_cli_boot import assert_sound, checksums
from tests.world import STATEROOT, Machine, World, layer, remove


@contextmanager
def mounted(image: Path, place: Path, mebibytes: int) -> Iterator[None]:
    """A small ext4 filesystem of its own at a place."""
    place.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield
    finally:
        # Lazily: our own process may still have the repository open.
        subprocess.run(["umount", "--lazy", place], check=True)


def kernel(version: str, mebibytes: float) -> FileSpec:
    """A kernel that cannot be made smaller."""
    content = os.urandom(int(mebibytes * (1 << 20)))
    return FileSpec(f"/usr/lib/modules/{version}/vmlinuz", content)


def publish(world: World, *files: FileSpec, version: str) -> str:
    """Another version of the base, with this kernel package."""
    world.publish(tiny_rpm("tiny-kernel", *files, version=version, arch="x86_64"))
    return world.compose().checksum


@pytest.fixture
def small_boot(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose /boot has room for one kernel of 4 MiB and little more."""
    image = FileSpec("/usr/lib/modules/6.0/initramfs.img", b"initramfs\n")
    publish(own_world, kernel("6.0", 4), image, version="2")
    path = tmp_path / "machine"
    with mounted(tmp_path / "boot.img", path / "boot", 12):
        subprocess.run(["rmdir", path / "boot/lost+found"], check=True)
        yield own_world.machine(path)
    remove([path])


def unsafe_state(machine: Machine) -> dict[str, object]:
    """What must not change; the mount is ours."""
    found = state(machine.path)
    found.pop("ostree/repo/tmp/layer-*")
    return found


def newer(world: World, version: str, mebibytes: float = 4) -> str:
    """The next base, with a new kernel."""
    image = FileSpec(f"/usr/lib/modules/{version}/initramfs.img", os.urandom(1 << 20))
    return publish(world, kernel(version, mebibytes), image, version=version)


def test_a_full_boot_is_one_error_and_cleaning_up_helps(small_boot: Machine) -> None:
    world = small_boot.world
    newer(world, "6.1")
    do(small_boot, "upgrade", "-y")
    newest = newer(world, "6.2")
    before = unsafe_state(small_boot)
    for words in (["-n"], ["-y"]):
        done = do(small_boot, "upgrade", *words, status=1)
        lines = [ln for ln in done.stderr.splitlines() if not ln.endswith("...")]
        assert len(lines) == 2
        assert re.fullmatch(
            r"error: /boot has [\d.]+ MB free, "
            r"and the kernel 6\.2 with its initramfs takes 5\.\d MB",
            lines[0],
        )
        assert re.fullmatch(r"hint: `layer cleanup -b -r` frees [45]\.\d MB there", lines[1])
        assert unsafe_state(small_boot) == before
    do(small_boot, "cleanup", "-b", "-r")
    do(small_boot, "upgrade", "-y")
    assert checksums(small_boot)[0] == newest
    assert_sound(small_boot)


def test_a_kernel_by_override_is_what_must_have_room(small_boot: Machine, tmp_path: Path) -> None:
    image = FileSpec("/usr/lib/modules/6.9/initramfs.img", b"initramfs\n")
    for version, mebibytes in (("6.9", 20), ("6.8", 2)):
        files = (kernel("6.9", mebibytes), image)
        spec = tiny_rpm("tiny-kernel", *files, version=version, arch="x86_64")
        tiny_repository(tmp_path / version, spec)
    large, small = (
        next((tmp_path / version).rglob("tiny-kernel*.rpm")) for version in ("6.9", "6.8")
    )
    before = unsafe_state(small_boot)
    options = ["override", "replace", "--sysroot", str(small_boot.path), "-y"]
    for option in ("-n", "-y"):
        done = layer(*options, option, str(large), status=1)
        errors = [ln for ln in done.stderr.splitlines() if ln.startswith("error: ")]
        assert len(errors) == 1
        assert re.search(r"/boot has .* the kernel 6\.9 takes, .* 2\d", errors[0])
        assert unsafe_state(small_boot) == before
    layer(*options, str(small))
    assert_sound(small_boot)
    # Back to the base's own, which is still there.
    do(small_boot, "rollback", "-y")


@pytest.mark.parametrize("words", [["rollback"], ["rollback", "--keep-etc"], ["deploy", "6.0"]])
def test_nothing_changes_where_boot_is_full_to_the_last_byte(
    small_boot: Machine, words: list[str]
) -> None:
    world = small_boot.world
    newer(world, "6.1")
    do(small_boot, "upgrade", "-y")
    versions = {str(d["version"]): d for d in status(small_boot)}
    words = [sorted(versions, key=int)[0] if word == "6.0" else word for word in words]
    fill(small_boot.path / "boot/filling")
    before = unsafe_state(small_boot)
    done = do(small_boot, *words, "-y", status=1)
    errors = [ln for ln in done.stderr.splitlines() if ln.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "/boot" in errors[0]
    assert unsafe_state(small_boot) == before
    assert_sound(small_boot)
    (small_boot.path / "boot/filling").unlink()
    do(small_boot, *words, "-y")
    assert_sound(small_boot)


def fill(file: Path) -> None:
    """Takes all that is left of a filesystem."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        for size in (1 << 20, 1 << 10, 1):
            with suppress(OSError):
                while True:
                    out.write(b"x" * size)


def status(machine: Machine) -> list[dict[str, object]]:
    """The deployments that `status --json` shows."""
    found: list[dict[str, object]] = json.loads(do(machine, "status", "--json").stdout)[
        "deployments"
    ]
    return found


def test_a_kernel_that_is_there_takes_nothing(small_boot: Machine) -> None:
    do(small_boot, "upgrade", "-y", status=None)
    newer(small_boot.world, "6.1")
    do(small_boot, "upgrade", "-y")
    free = os.statvfs(small_boot.path / "boot").f_bfree
    small_boot.install("apple")
    small_boot.uninstall("apple")
    assert os.statvfs(small_boot.path / "boot").f_bfree >= free - 16


def test_what_no_cleaning_frees_is_said(small_boot: Machine) -> None:
    newer(small_boot.world, "6.1", 20)
    done = do(small_boot, "upgrade", "-y", status=1)
    assert done.stderr.splitlines()[-1] == (
        "hint: `layer cleanup -b -r` frees 0 bytes there, which is not enough: "
        "remove other deployments, or make /boot larger"
    )


def test_a_kernel_left_in_boot_is_found_by_its_checksum(small_boot: Machine) -> None:
    """Ours is libostree's: a directory that no deployment uses any more still counts."""
    world = small_boot.world
    newer(world, "6.1")
    do(small_boot, "upgrade", "-y")
    host = small_boot.host()
    plan = [d for d in host.sysroot.deployments() if d.index == 1]
    with host.locked():
        host.sysroot.write(BootPlan(tuple(plan)))
    (names,) = [sorted(p.name for p in (small_boot.path / "boot/ostree").iterdir())]
    assert len(names) == 2
    do(small_boot, "upgrade", "-y")
    assert sorted(p.name for p in (small_boot.path / "boot/ostree").iterdir()) == names


def test_without_a_boot_of_its_own_files_are_linked(machine: Machine) -> None:
    pending = machine.pending()
    boot = machine.path / f"boot/ostree/{STATEROOT}-{pending.boot_checksum}"
    assert {path.stat().st_nlink > 1 for path in boot.iterdir()} == {True}


def test_boot_files_are_those_of_libostree(machine: Machine) -> None:
    store = machine.host().store
    root = store.read_commit(machine.pending().checksum).root
    assert [path for path, _ in boot_files(store, root)] == [
        "usr/lib/modules/6.0/vmlinuz",
        "usr/lib/modules/6.0/initramfs.img",
    ]


# --- the repository ---


def test_packages_without_room_are_one_error_before_any_download(
    own_world: World, tmp_path: Path
) -> None:
    own_world.publish(tiny_rpm("huge", FileSpec("/usr/share/huge", bytes(96 << 20))))
    path = tmp_path / "machine"
    with mounted(tmp_path / "disk.img", path, 64):
        subprocess.run(["rmdir", path / "lost+found"], check=True)
        machine = own_world.machine(path)
        before = unsafe_state(machine)
        for option in ("-n", "-y"):
            done = do(machine, "install", option, "huge", status=1)
            lines = [ln for ln in done.stderr.splitlines() if not ln.endswith("...")]
            assert re.fullmatch(
                rf"error: the filesystem of {path}/ostree/repo has [\d.]+ MB free, and the "
                r"packages take 10\d\.\d MB, \d\.\d MB of it to stay free",
                lines[0],
            )
            assert lines[1:] == ["hint: `layer cleanup -b -m -r` removes what nothing needs"]
            assert unsafe_state(machine) == before
        assert not list((machine.host().cache / "packages").glob("*"))
        machine.install("apple")
