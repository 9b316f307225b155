"""Another kernel in the place of the base's, by override: with its own initramfs, and back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.lock import read_record
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm
from tests.cli import do
from tests.kernels import KERNEL, MODULE, dracut_world, image, kernel_package, module_package, names
from tests.snapshot import unchanged
from tests.test_overrides import fault, run
from tests.world import STATEROOT, Machine, World, remove

OWN_IMAGE = FileSpec(f"/usr/lib/modules/{KERNEL}/initramfs.img", b"rebuilt\n")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has dracut, and kernels that are in no repository."""
    path = tmp_path_factory.mktemp("kernels")
    vmlinuz = FileSpec(f"/usr/lib/modules/{KERNEL}/vmlinuz", b"rebuilt\n")
    module = FileSpec(f"/usr/lib/modules/{KERNEL}/kernel/new.ko", MODULE)
    with dracut_world(path, module_package("wifi"), kernel_package("7.0", name="lts")) as world:
        files = (
            kernel_package("6.9", name="tiny-kernel"),
            tiny_rpm("tiny-kernel", vmlinuz, module, version="6.0.1", arch="x86_64"),
            tiny_rpm("tiny-kernel", "/usr/bin/none", version="9", arch="x86_64"),
        )
        tiny_repository(path / "files", *files)
        yield world


@pytest.fixture
def box(kernels: World, tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine on its base."""
    yield kernels.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def file(machine: Machine, version: str) -> str:
    """The path of a kernel that is in no repository."""
    return str(next((machine.world.path / "files").rglob(f"tiny-kernel-{version}-1*.rpm")))


def runs(machine: Machine) -> list[tuple[str, tuple[str, ...], str]]:
    """What ran about kernels for the tree that boots next."""
    record = read_record(machine.host().store.read_commit(machine.pending().checksum))
    kinds = {"depmod", "initramfs"}
    return [(run.name, run.values, run.status) for run in record.runs if run.name in kinds]


def entry(machine: Machine) -> str:
    """The boot entry of what boots next."""
    entries = sorted((machine.path / "boot/loader/entries").glob("*.conf"))
    return entries[-1].read_text()


def test_another_kernel_takes_the_bases_place_and_gives_it_back(box: Machine) -> None:
    before, old_image = box.pending(), image(box)
    with unchanged(box.path):
        plan = run(box, "override", "replace", "-n", file(box, "6.9"))
    assert "Replacing 1 package of the base:\n  tiny-kernel-1-1.x86_64 -> 6.9-1\n" in plan
    assert "depmod" in plan
    assert "initramfs" in plan
    run(box, "override", "replace", "-y", file(box, "6.9"), repositories=False)
    pending = box.pending()
    modules = pending.path / "usr/lib/modules"
    assert [path.name for path in modules.iterdir()] == ["6.9"]
    assert runs(box) == [("depmod", ("6.9",), "done"), ("initramfs", ("6.9",), "done")]
    assert (modules / "6.9/modules.dep").read_text() == "kernel/demo.ko:\n"
    metadata = box.host().store.read_commit(pending.checksum).metadata
    assert (metadata["ostree.linux"], metadata["ostree.bootable"]) == ("6.9", True)
    assert "vmlinuz-6.9\n" in entry(box)
    assert "initramfs-6.9.img\n" in entry(box)
    boot = box.path / f"boot/ostree/{STATEROOT}-{pending.boot_checksum}"
    assert sorted(path.name for path in boot.iterdir()) == ["initramfs-6.9.img", "vmlinuz-6.9"]
    assert "usr/lib/modules/6.9/kernel/demo.ko" in names(image(box))
    assert pending.kernel_arguments == before.kernel_arguments

    assert fault(box, "install", "-y", "lts")[1:3] == [
        "  6.9: tiny-kernel-6.9-1.x86_64",
        "  7.0: lts-7.0-1.x86_64",
    ]
    run(box, "override", "reset", "-y", "tiny-kernel", repositories=False)
    assert box.pending().checksum == before.checksum
    assert image(box) == old_image
    assert "vmlinuz-6.0\n" in entry(box)


def test_a_rebuilt_kernel_of_the_same_version_gets_its_own_initramfs(box: Machine) -> None:
    run(box, "override", "replace", "-y", file(box, "6.0.1"), repositories=False)
    assert runs(box) == [("depmod", ("6.0",), "done"), ("initramfs", ("6.0",), "done")]
    assert "usr/lib/modules/6.0/kernel/new.ko" in names(image(box))
    commit = box.host().store.read_commit(box.pending().checksum)
    assert commit.metadata["ostree.linux"] == "6.0"


def test_a_kernel_of_another_name_comes_as_the_bases_goes(box: Machine) -> None:
    run(box, "override", "remove", "-y", "tiny-kernel", "--install", "lts")
    assert "vmlinuz-7.0\n" in entry(box)
    assert "usr/lib/modules/7.0/kernel/demo.ko" in names(image(box))
    assert [p.name for p in (box.pending().path / "usr/lib/modules").iterdir()] == ["7.0"]
    # Neither half goes alone.
    assert fault(box, "uninstall", "-y", "lts")[1] == "  tiny-kernel-1-1.x86_64 has the kernel"
    assert fault(box, "override", "reset", "-y", "--all")[1:3] == [
        "  6.0: the base",
        "  7.0: lts-7.0-1.x86_64",
    ]


def test_modules_for_the_kernel_that_went_are_not_for_the_new_one(box: Machine) -> None:
    do(box, "install", "-y", "wifi")
    run(box, "override", "replace", "-y", file(box, "6.9"), repositories=False)
    assert "usr/lib/modules/6.9/kernel/demo.ko" in names(image(box))
    assert "usr/lib/modules/6.0/extra/wifi.ko" not in names(image(box))


def test_what_has_no_kernel_takes_no_kernels_place(box: Machine) -> None:
    assert fault(box, "override", "replace", "-y", file(box, "9")) == [
        "error: the machine could not go on without these:",
        "  tiny-kernel-1-1.x86_64 has the kernel",
        "hint: another version can take their place: layer override replace",
    ]


def test_the_database_knows_the_kernel_that_is_there(box: Machine) -> None:
    run(box, "override", "replace", "-y", file(box, "6.9"), repositories=False)
    tree = box.pending().path
    words = ["rpm", "--root", str(tree), "--dbpath", "/usr/share/rpm", "-q", "tiny-kernel"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "tiny-kernel-6.9-1.x86_64\n"


def test_a_rebuilt_kernel_needs_an_initramfs_of_its_own(machine: Machine, tmp_path: Path) -> None:
    """The base's own one went with the kernel that it was for, and the base has no dracut."""
    vmlinuz = FileSpec(f"/usr/lib/modules/{KERNEL}/vmlinuz", b"rebuilt\n")
    bare = tiny_rpm("tiny-kernel", vmlinuz, version="2", arch="x86_64")
    whole = tiny_rpm("tiny-kernel", vmlinuz, OWN_IMAGE, version="3", arch="x86_64")
    tiny_repository(tmp_path / "files", bare, whole)
    two, three = sorted((tmp_path / "files").rglob("*.rpm"))
    assert fault(machine, "override", "replace", "-y", str(two))[0] == (
        "error: the kernel 6.0 has no initramfs, and the tree has no dracut to make one"
    )
    run(machine, "override", "replace", "-y", str(three), repositories=False)
    assert image(machine) == b"rebuilt\n"
