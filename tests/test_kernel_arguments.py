"""Kernel arguments: what an edit makes of them, and a deployment with other ones."""

from __future__ import annotations

import pytest

from layer.errors import InvalidInput
from layer.kernel_arguments import Edits, edited
from layer.store.trees import lookup
from tests.cli import REBOOT, do, fails, origin_of
from tests.snapshot import unchanged
from tests.world import Machine

PRESENT = ("root=/dev/vda", "rw", "console=tty0", "console=ttyS0,115200", "quiet")


@pytest.mark.parametrize(
    ("edits", "after"),
    [
        (Edits(append=("debug", "debug")), (*PRESENT, "debug", "debug")),
        (Edits(append_if_missing=("quiet", "debug", "debug")), (*PRESENT, "debug")),
        (Edits(delete=("quiet",)), PRESENT[:-1]),
        (Edits(delete=("console=tty0",)), (*PRESENT[:2], *PRESENT[3:])),
        (Edits(delete_if_present=("nosuch", "rw")), (PRESENT[0], *PRESENT[2:])),
        (Edits(replace=("root=UUID=1-2",)), ("root=UUID=1-2", *PRESENT[1:])),
        (Edits(replace=("console=tty0=tty1",)), (*PRESENT[:2], "console=tty1", *PRESENT[3:])),
        (Edits(delete=("rw",), append=("ro",)), (PRESENT[0], *PRESENT[2:], "ro")),
    ],
)
def test_an_edit_changes_what_it_names(edits: Edits, after: tuple[str, ...]) -> None:
    assert edited(PRESENT, edits) == after


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        (Edits(delete=("nosuch",)), "there is no nosuch"),
        (Edits(delete=("console",)), "console stands there with several values: name one"),
        (Edits(replace=("console=x",)), "console stands there 2 times: console=OLD=NEW names one"),
        (Edits(replace=("nosuch=x",)), "there is no nosuch"),
        (Edits(append=("ostree=/x",)), "ostree= names the deployment itself"),
        (Edits(append=("a b",)), "'a b' is no kernel argument"),
        (Edits(append=("a\nb",)), "'a\\nb' is no kernel argument"),
        (Edits(append=("",)), "'' is no kernel argument"),
    ],
)
def test_what_cannot_be_done_is_named(edits: Edits, fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        edited(PRESENT, edits)
    assert caught.value.message.endswith(f"\n  {fault}")


def test_an_edit_makes_a_deployment_of_the_same_tree(machine: Machine) -> None:
    machine.install("web")
    old = machine.pending()
    with unchanged(machine.path):
        before = do(machine, "kargs").stdout.split()
        plan = do(machine, "kargs", "--append=debug", "-n").stdout
    assert tuple(before) == old.kernel_arguments
    assert f"Kernel arguments: {' '.join([*before, 'debug'])}\n" in plan
    assert do(machine, "kargs", "--append=debug", "-y").stdout == f"{plan}{REBOOT}\n"
    new = machine.pending()
    assert (new.checksum, new.serial) == (old.checksum, old.serial + 1)
    assert new.kernel_arguments == (*old.kernel_arguments, "debug")
    assert machine.layered() == ["web"]
    machine.install("pear")  # they are carried along
    assert do(machine, "kargs").stdout.split() == [*before, "debug"]
    words = ("--append-if-missing=debug", "-y", "--unchanged-exit-77")
    assert do(machine, "kargs", *words, status=77).stdout == "No change.\n"
    do(machine, "kargs", "--delete=debug", "-y")
    assert do(machine, "kargs").stdout.split() == before
    assert do(machine, "rollback", "-y").returncode == 0
    assert do(machine, "kargs").stdout.split() == [*before, "debug"]


def test_the_last_argument_can_go(machine: Machine) -> None:
    words = [f"--delete={word}" for word in machine.pending().kernel_arguments]
    do(machine, "kargs", "--append=x", *words, "-y")
    do(machine, "kargs", "--delete=x", "-y")
    assert do(machine, "kargs").stdout == "\n"


def test_a_wrong_edit_changes_nothing(machine_kept: Machine) -> None:
    error, fault, _ = fails(machine_kept, "kargs", "--delete=nosuch", "-y")
    assert error == "error: the kernel arguments stay as they are:"
    assert fault == "  there is no nosuch"


def _lose_everything(machine: Machine) -> None:
    """No repository can be had, no package is kept, and no file is here that was asked for."""
    host = machine.host()
    with host.store.transaction():
        for ref in host.store.refs("layer/pkg"):
            host.store.set_ref(ref, None)
    dead = machine.pending().path / "etc/yum.repos.d"
    dead.mkdir(parents=True, exist_ok=True)
    (dead / "dead.repo").write_text("[dead]\nname=dead\nbaseurl=http://127.0.0.1:1/\n")
    origin = machine.pending().path.with_name(machine.pending().path.name + ".origin")
    lost = f"requested-local={'a' * 64}:foo-1-1.x86_64;"
    origin.write_text(
        origin.read_text().replace("requested=apple;\n", f"requested=apple;\n{lost}\n")
    )


def test_the_same_commit_is_deployed_with_nothing_but_the_tree(machine: Machine) -> None:
    machine.install("apple")
    before = machine.pending()
    _lose_everything(machine)
    origin = origin_of(machine)
    with unchanged(machine.path):
        plan = do(machine, "kargs", "-n", "--append=debug").stdout
        assert "Kernel arguments: root=/dev/vda quiet debug" in plan
        assert "Removing" not in plan
        assert "Triggers" not in plan
        words = ["-y", "--append-if-missing=quiet", "--unchanged-exit-77"]
        done = do(machine, "kargs", *words, status=77)
        assert done.stdout == "No change.\n"
        lines = fails(machine, "initramfs", "-y", "--enable")
        assert "came as files, and are not here" in lines[0]
    do(machine, "kargs", "-y", "--append=debug")
    after = machine.pending()
    assert (after.checksum, after.serial) == (before.checksum, before.serial + 1)
    assert after.kernel_arguments == (*before.kernel_arguments, "debug")
    assert origin_of(machine) == origin
    assert machine.layered() == ["apple", "libseed"]
    do(machine, "initramfs-etc", "-y", "--track=/etc/tiny.conf")
    assert machine.pending().checksum == before.checksum
    assert machine.pending().overlays


def test_a_commit_that_is_not_whole_is_not_deployed_again(machine: Machine) -> None:
    machine.install("web")
    host = machine.host()
    checksum = lookup(
        host.store, host.store.read_commit(machine.pending().checksum).root, "usr/bin/web"
    )
    assert isinstance(checksum, str)
    lost = host.store.path / f"objects/{checksum[:2]}/{checksum[2:]}.file"
    lost.unlink()
    before = machine.host().sysroot.deployments()
    done = do(machine, "kargs", "-y", "--append=debug", status=1)
    assert [line.count(checksum) for line in done.stderr.splitlines()[1:-1]] == [2]
    assert machine.host().sysroot.deployments() == before
