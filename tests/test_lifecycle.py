"""Verbs on a real sysroot, one after another."""

from __future__ import annotations

from tests.world import Machine, World


def test_install_makes_a_deployment_and_keeps_the_previous_one(machine: Machine) -> None:
    before = machine.pending()
    after = machine.install("apple")
    assert machine.layered() == ["apple", "libseed"]
    assert [d.checksum for d in machine.host().sysroot.deployments()] == [
        after.checksum,
        before.checksum,
    ]
    assert (after.path / "usr/bin/apple").read_text() == "apple 1\n"
    assert not (before.path / "usr/bin/apple").exists()
    assert after.kernel_arguments == ("root=/dev/vda", "quiet")


def test_reset_deploys_the_servers_own_commit(machine: Machine, world: World) -> None:
    machine.install("apple", "daemon")
    assert machine.reset().checksum == world.base.checksum
    assert machine.layered() == []


def test_uninstall_keeps_what_others_need(machine: Machine) -> None:
    machine.install("apple", "pear")
    machine.uninstall("apple")
    assert machine.layered() == ["libseed", "pear"]
