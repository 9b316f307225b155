"""A tiny world whose base has the real dracut and depmod, and kernel modules to layer over it."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_rpm
from tests.cli import host_programs
from tests.world import Machine, World, make_world

CASES = Path(__file__).parent.parent / "testdata" / "triggers"
KERNEL = "6.0"
IMAGE = f"usr/lib/modules/{KERNEL}/initramfs.img"
# The smallest initramfs: what a module of one's own puts into it, uncompressed, so that it can be
# read here.
SETUP = b"""\
check() { return 0; }
install() {
    inst_multiple true cat
    for file in "$dracutsysrootdir/usr/lib/modules/$kernel"/*/*.ko; do
        [ ! -e "$file" ] || inst_simple "$file"
    done
}
"""
MODULE = (CASES / "depmod/new/usr/lib/modules/6.1.0-demo/kernel/demo.ko").read_bytes()


def dracut_package() -> RpmSpec:
    """This machine's dracut and depmod, with all that they start."""
    case = tomllib.loads((CASES / "initramfs/case.toml").read_text())
    # The loader's other name is tiny-tools's.
    programs = [f for f in host_programs(*case["programs"]) if "/lib64/ld-" not in f.path]
    conf = b'dracutmodules="demo"\nno_kernel="yes"\ncompress="cat"\n'
    return tiny_rpm(
        "tiny-dracut",
        *programs,
        FileSpec("/etc/dracut.conf.d/small.conf", conf, config=True),
        FileSpec("/usr/lib/dracut/modules.d/50demo/module-setup.sh", SETUP, mode=0o755),
        arch="x86_64",
    )


def module_package(name: str, kernel: str = KERNEL) -> RpmSpec:
    """A package with one kernel module, as akmods and vendors make them."""
    path = f"/usr/lib/modules/{kernel}/extra/{name}.ko"
    post = f"depmod -a {kernel}\ndracut -f --kver {kernel}\n"
    scriptlets = (Scriptlet("post", post),)
    return tiny_rpm(name, FileSpec(path, MODULE), scriptlets=scriptlets, arch="x86_64")


def kernel_package(version: str, *more: FileSpec, name: str = "other-kernel") -> RpmSpec:
    """A kernel with one module, and no initramfs, as distributions ship it."""
    folder = f"/usr/lib/modules/{version}"
    return tiny_rpm(
        name,
        FileSpec(f"{folder}/vmlinuz", f"kernel {version}\n".encode()),
        FileSpec(f"{folder}/kernel/demo.ko", MODULE),
        *more,
        version=version,
        arch="x86_64",
    )


@contextmanager
def dracut_world(path: Path, *layers: RpmSpec) -> Iterator[World]:
    """The world; its repository has `layers`, too."""
    with make_world(path, dracut_package()) as world:
        world.publish(*layers)
        yield world


def image(machine: Machine) -> bytes:
    """The initramfs of what boots next, as /boot has it: what the boot loader would load."""
    entries = sorted((machine.path / "boot/loader/entries").glob("*.conf"))
    (line,) = [ln for ln in entries[-1].read_text().splitlines() if ln.startswith("initrd ")]
    return (machine.path / "boot" / line.split()[1].lstrip("/").removeprefix("boot/")).read_bytes()


def names(archive: bytes) -> list[str]:
    """The paths in an uncompressed initramfs."""
    done = subprocess.run(["cpio", "--list", "--quiet"], input=archive, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()
