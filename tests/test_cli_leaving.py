"""`layer uninstall` and `layer reset`: what stays behind, and what `--purge` takes away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import do
from tests.snapshot import unchanged
from tests.world import STATEROOT, Machine, World, remove

LEFT = "Left behind on this machine (--purge removes what nobody edited):\n"


@pytest.fixture
def lived(machine: Machine) -> Machine:
    """A machine with `daemon` and `web`, whose boot has made what daemon has in /var."""
    machine.install("daemon", "web")
    boot(machine)
    return machine


def var(machine: Machine) -> Path:
    """The stateroot's /var."""
    return machine.host().sysroot.var(STATEROOT)


def boot(machine: Machine) -> None:
    """What systemd-tmpfiles does with daemon's lines."""
    folder = var(machine) / "lib/alpha"
    folder.mkdir(parents=True)
    (folder / "seed").write_text("factory\n")


def etc(machine: Machine) -> Path:
    """The /etc of the deployment that boots next."""
    return machine.pending().path / "etc"


@pytest.mark.parametrize("words", [["uninstall", "daemon"], ["reset"]], ids=" ".join)
def test_what_stays_behind_is_said(lived: Machine, words: list[str]) -> None:
    (etc(lived) / "daemon.conf").write_text("setting=mine\n")
    (var(lived) / "lib/alpha/own").write_text("mine\n")
    expected = LEFT + (
        "  /etc/daemon.conf (daemon-1-1.x86_64, edited)\n"
        "  /var/lib/alpha (daemon-1-1.x86_64)\n"
        "  /var/lib/alpha/own (daemon-1-1.x86_64, edited)\n"
        "  /var/lib/alpha/seed (daemon-1-1.x86_64)\n"
    )
    with unchanged(lived.path):
        assert expected in do(lived, words[0], "-n", *words[1:]).stdout
    assert expected in do(lived, words[0], "-y", *words[1:]).stdout
    assert (etc(lived) / "daemon.conf").read_text() == "setting=mine\n"
    assert sorted(p.name for p in (var(lived) / "lib/alpha").iterdir()) == ["own", "seed"]


def test_what_stays_of_others_is_not_said(lived: Machine) -> None:
    plan = do(lived, "uninstall", "-n", "web").stdout
    assert "Left behind" not in plan


def test_what_a_new_package_brings_too_is_not_said(own_world: World, tmp_path: Path) -> None:
    """It is not imported yet when the plan is made: its header alone says what it has."""

    def data(name: str) -> RpmSpec:
        config = FileSpec("/etc/data.conf", b"setting=1\n", config=True)
        return tiny_rpm(name, config, FileSpec.directory("/var/lib/alpha"), arch="x86_64")

    own_world.publish(data("old-data"), tiny_rpm("app", requires=("old-data",)))
    machine = own_world.machine(tmp_path / "machine")
    machine.install("app")
    (etc(machine) / "data.conf").write_text("setting=mine\n")
    (var(machine) / "lib/alpha").mkdir(parents=True)
    assert "Left behind" in do(machine, "uninstall", "-n", "app").stdout
    own_world.publish(data("new-data"), tiny_rpm("app", version="2", requires=("new-data",)))
    plan = do(machine, "upgrade", "-n").stdout
    assert "new-data" in plan
    assert "Left behind" not in plan
    remove([machine.path])


def test_nothing_stays_where_nothing_was_made(machine: Machine) -> None:
    machine.install("daemon")
    assert "Left behind" not in do(machine, "reset", "-y").stdout
    assert not (etc(machine) / "daemon.conf").exists()


def test_purge_removes_all_where_nobody_edited(lived: Machine) -> None:
    done = do(lived, "uninstall", "-y", "--purge", "daemon")
    assert done.stdout.splitlines()[-3:-1] == [
        "Removed /var/lib/alpha",
        "Removed /var/lib/alpha/seed",
    ]
    assert not (var(lived) / "lib/alpha").exists()
    assert lived.layered() == ["web"]


def test_purge_keeps_what_somebody_edited_or_added(lived: Machine) -> None:
    (etc(lived) / "daemon.conf").write_text("setting=mine\n")
    folder = var(lived) / "lib/alpha"
    (folder / "own").write_text("mine\n")
    done = do(lived, "reset", "-y", "--purge")
    assert [line for line in done.stdout.splitlines() if line.startswith("Removed")] == [
        "Removed /var/lib/alpha/seed"
    ]
    assert [path.name for path in folder.iterdir()] == ["own"]
    assert (etc(lived) / "daemon.conf").read_text() == "setting=mine\n"


def test_purge_keeps_an_edited_seed(lived: Machine) -> None:
    (var(lived) / "lib/alpha/seed").write_text("mine\n")
    done = do(lived, "reset", "-y", "--purge")
    assert "  /var/lib/alpha/seed (daemon-1-1.x86_64, edited)\n" in done.stdout
    assert "Removed" not in done.stdout
    assert (var(lived) / "lib/alpha/seed").read_text() == "mine\n"


def test_purge_in_a_dry_run_removes_nothing(lived: Machine) -> None:
    with unchanged(lived.path):
        do(lived, "reset", "-n", "--purge")
    assert (var(lived) / "lib/alpha/seed").exists()


def test_purge_follows_no_link_out_of_var(lived: Machine, tmp_path: Path) -> None:
    """The daemon owns its directory, and may have put a link in its place."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "seed").write_text("factory\n")
    shutil.rmtree(var(lived) / "lib/alpha")
    (var(lived) / "lib/alpha").symlink_to(outside)
    do(lived, "reset", "-y", "--purge")
    assert (outside / "seed").read_text() == "factory\n"


def test_an_edited_configuration_is_there_again_after_a_second_install(lived: Machine) -> None:
    (etc(lived) / "daemon.conf").write_text("setting=mine\n")
    do(lived, "uninstall", "-y", "daemon")
    do(lived, "install", "-y", "daemon")
    assert (etc(lived) / "daemon.conf").read_text() == "setting=mine\n"


@pytest.fixture
def lonely(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine with layers whose repositories and server are gone."""
    machine = own_world.machine(tmp_path / "machine")
    machine.install("apple", "pear", "daemon")
    shutil.rmtree(own_world.packages)
    shutil.rmtree(own_world.path / "served")
    shutil.rmtree(machine.host().cache)
    yield machine
    remove([tmp_path / "machine"])


def test_uninstall_and_reset_need_no_network(lonely: Machine, own_world: World) -> None:
    do(lonely, "uninstall", "-y", "apple")
    assert lonely.layered() == ["daemon", "libseed", "pear"]
    do(lonely, "uninstall", "-y", "--all")
    assert lonely.pending().checksum == own_world.base.checksum
    do(lonely, "rollback", "-y")
    do(lonely, "reset", "-y")
    assert lonely.pending().checksum == own_world.base.checksum
