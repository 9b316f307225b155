"""Kernels that come with layered packages: one in a tree, with its modules and its initramfs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.lock import read_record
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from testdata.distro.tiny import FileSpec
from tests.cli import do, fails
from tests.kernels import dracut_world, image, kernel_package, names
from tests.snapshot import unchanged
from tests.world import REF, STATEROOT, Machine, World, compose, layer, remove

KERNEL = """\
[kernel]
package = "tiny-kernel"
arguments = ["root=/dev/vda", "quiet"]
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has dracut, kernels to layer, and a second base without any kernel."""
    own_image = FileSpec("/usr/lib/modules/7.0/initramfs.img", b"its own\n")
    specs = [
        kernel_package("6.9"),
        kernel_package("7.0", own_image, name="whole-kernel"),
    ]
    path = tmp_path_factory.mktemp("kernels")
    with dracut_world(path, *specs) as world:
        treefile = path / "tree.toml"
        text = treefile.read_text()
        assert KERNEL in text
        bare = text.replace(KERNEL, "").replace(f'ref = "{REF}"', 'ref = "tiny/bare"')
        treefile.write_text(bare)
        compose(path)
        treefile.write_text(bare.replace(', "tiny-dracut"', "").replace("/bare", "/barest"))
        compose(path)
        treefile.write_text(text)
        yield world


@pytest.fixture
def empty(kernels: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine with a remote, and nothing deployed yet."""
    path = tmp_path / "machine"
    initialize(path, STATEROOT)
    machine = Machine(path, kernels)
    add_remote(machine.host().store, "tiny", kernels.url, verify=False)
    yield machine
    remove([path])


def test_a_kernel_beside_the_bases_is_refused(kernels: World, empty: Machine) -> None:
    do(empty, "rebase", "-y", f"tiny:{REF}")
    with unchanged(empty.path):
        assert fails(empty, "install", "-n", "other-kernel") == [
            "error: a tree boots one kernel, and this one would have several:",
            "  6.0: the base",
            "  6.9: other-kernel-6.9-1.x86_64",
            "hint: leave the package out; to have another kernel than the base's, it takes the "
            "place of the base's package: layer override replace",
        ]


def test_a_kernel_in_a_base_without_any_boots(empty: Machine) -> None:
    with unchanged(empty.path):
        do(empty, "rebase", "-n", "tiny:tiny/bare", "--install", "other-kernel")
    do(empty, "rebase", "-y", "tiny:tiny/bare", "--install", "other-kernel")
    pending = empty.pending()
    commit = empty.host().store.read_commit(pending.checksum)
    assert commit.metadata["ostree.linux"] == "6.9"
    assert commit.metadata["ostree.bootable"] is True
    runs = [run for run in read_record(commit).runs if run.name in {"depmod", "initramfs"}]
    assert [(run.name, run.values, run.status) for run in runs] == [
        ("depmod", ("6.9",), "done"),
        ("initramfs", ("6.9",), "done"),
    ]
    modules = pending.path / "usr/lib/modules/6.9"
    assert (modules / "modules.dep").read_text() == "kernel/demo.ko:\n"
    assert image(empty) == (modules / "initramfs.img").read_bytes()
    assert "usr/lib/modules/6.9/kernel/demo.ko" in names(image(empty))
    boot = empty.path / f"boot/ostree/{STATEROOT}-{pending.boot_checksum}"
    assert sorted(path.name for path in boot.iterdir()) == ["initramfs-6.9.img", "vmlinuz-6.9"]


def test_two_layered_kernels_are_refused(empty: Machine) -> None:
    words = ["rebase", "-n", "tiny:tiny/bare", "--install", "other-kernel"]
    with unchanged(empty.path):
        assert fails(empty, *words, "--install", "whole-kernel") == [
            "error: a tree boots one kernel, and this one would have several:",
            "  6.9: other-kernel-6.9-1.x86_64",
            "  7.0: whole-kernel-7.0-1.x86_64",
            "hint: layer one of them",
        ]


def test_a_kernel_without_an_initramfs_is_refused(empty: Machine) -> None:
    words = ["rebase", "-y", "tiny:tiny/barest"]
    with unchanged(empty.path):
        assert fails(empty, *words, "--install", "other-kernel") == [
            "error: the kernel 6.9 has no initramfs, and the tree has no dracut to make one",
            "hint: layer a package that has dracut with it, or one that brings "
            "/usr/lib/modules/6.9/initramfs.img",
        ]
    do(empty, *words, "--install", "whole-kernel")
    assert image(empty) == b"its own\n"


def test_a_bare_base_alone_does_not_boot(empty: Machine) -> None:
    with unchanged(empty.path):
        lines = fails(empty, "rebase", "-y", "tiny:tiny/bare")
    assert lines[0].startswith("error: ")
    assert layer("status", "--sysroot", str(empty.path)).stdout == "No deployments.\n"
