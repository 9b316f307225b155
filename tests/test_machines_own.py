"""What is the machine's own and never the tree's: its id, its /var, its running /usr."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import do, extra_repository, fails
from tests.snapshot import unchanged
from tests.world import Machine, World, remove

ID = b"0123456789abcdef0123456789abcdef\n"


def with_id(name: str, content: bytes) -> RpmSpec:
    """A package that ships a machine-id."""
    return tiny_rpm(name, FileSpec("/etc/machine-id", content), arch="x86_64")


def test_a_package_with_a_machines_id_is_refused(machine: Machine, tmp_path: Path) -> None:
    more = extra_repository(tmp_path / "more", with_id("cloned", ID))
    with unchanged(machine.path):
        assert fails(machine, "install", "-y", *more, "cloned") == [
            "error: these packages want what no package may have:",
            "  cloned-1-1.x86_64: /etc/machine-id: a machine's id is its own; "
            "empty or uninitialized it may be",
            "hint: they cannot be layered as they are",
        ]


@pytest.mark.parametrize("content", [b"", b"uninitialized\n"], ids=["empty", "uninitialized"])
def test_a_package_with_nobodys_id_is_taken(
    machine: Machine, tmp_path: Path, content: bytes
) -> None:
    more = extra_repository(tmp_path / "more", with_id("first-boot", content))
    do(machine, "install", "-y", *more, "first-boot")
    assert (machine.pending().path / "etc/machine-id").read_bytes() == content


def test_a_composed_base_has_no_id(machine: Machine) -> None:
    assert not (machine.pending().path / "usr/etc/machine-id").exists()


def test_a_base_with_an_id_is_named(own_world: World, tmp_path: Path) -> None:
    machine = own_world.machine(tmp_path / "machine")
    served = own_world.path / "served"
    tree = tmp_path / "tree"
    repo = f"--repo={served}"
    ref = own_world.base.ref
    subprocess.run(["ostree", "checkout", repo, ref, tree], check=True)
    (tree / "usr/etc/machine-id").write_bytes(ID)
    command = ["ostree", "commit", repo, f"--branch={ref}", f"--tree=dir={tree}"]
    subprocess.run([*command, "--timestamp=2030-01-01"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ostree", "summary", repo, "--update"], check=True)
    said = do(machine, "upgrade", "-n").stderr
    assert (
        "note: the base ships an id in /etc/machine-id: "
        "all machines that first boot it have the same\n" in said
    )
    remove([machine.path])


def test_var_is_filled_once_and_never_overwritten(own_world: World, tmp_path: Path) -> None:
    machine = own_world.machine(tmp_path / "machine")

    def data(version: str, *more: FileSpec) -> RpmSpec:
        content = f"shipped {version}\n".encode()
        files = FileSpec("/var/lib/data/state", content), FileSpec("/var/lib/data/kept", content)
        return tiny_rpm("data", *files, *more, version=version, arch="x86_64")

    def boot(var: Path) -> None:
        """What systemd-tmpfiles makes of the machine's /var with the pending tree."""
        root = tmp_path / "root"
        subprocess.run(["chattr", "-f", "-i", root], check=False)
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(machine.pending().path), str(root)], check=True)
        shutil.rmtree(root / "var", ignore_errors=True)
        var.rename(root / "var")
        command = ["systemd-tmpfiles", f"--root={root}", "--create", "--boot"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        (root / "var").rename(var)

    own_world.publish(data("1"))
    machine.install("data")
    var = tmp_path / "var"
    var.mkdir()
    boot(var)
    assert (var / "lib/data/state").read_text() == "shipped 1\n"
    (var / "lib/data/state").write_text("grown\n")
    (var / "lib/data/mine").write_text("mine\n")
    before = (var / "lib/data/kept").stat().st_mtime_ns

    own_world.publish(data("2", FileSpec("/var/lib/data/new", b"new\n")))
    own_world.compose()
    do(machine, "upgrade", "-y")
    boot(var)
    found = {path.name: path.read_text() for path in (var / "lib/data").iterdir()}
    assert found == {
        "state": "grown\n",
        "kept": "shipped 1\n",
        "mine": "mine\n",
        "new": "new\n",
    }
    assert (var / "lib/data/kept").stat().st_mtime_ns == before
    do(machine, "rollback", "-y")
    boot(var)
    assert (var / "lib/data/state").read_text() == "grown\n"
    remove([machine.path])


def test_an_install_writes_nothing_to_var_but_its_cache(machine: Machine) -> None:
    var = machine.host().sysroot.var("tiny")
    (var / "lib").mkdir(exist_ok=True)
    (var / "lib/alpha").write_text("the admin's own\n")
    machine.install("daemon")
    assert (var / "lib/alpha").read_text() == "the admin's own\n"


def test_a_running_usr_is_wanted_for_an_overlay(machine_kept: Machine) -> None:
    for words in ([], ["--hotfix"]):
        assert fails(machine_kept, "usroverlay", *words) == [
            f"error: no deployment of {machine_kept.path} is booted, "
            "so that there is no running /usr",
            "hint: `layer run` tries what is layered on any sysroot",
        ]
