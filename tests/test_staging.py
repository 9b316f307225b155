"""On a booted machine a change is staged, and made at shutdown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.booted import Booted
from tests.recycling import described
from tests.world import REF, STATEROOT, Machine, World, base_packages, ostree, remove


@pytest.fixture
def booted(machine: Machine, tmp_path: Path) -> Booted:
    """A booted machine on the tiny base, /sysroot read-only."""
    return Booted(machine, tmp_path / "booted")


def install(booted: Booted, *words: str) -> None:
    """As root of the booted machine."""
    booted.layer("install", "-y", *words, repositories=True)


def listed(booted: Booted) -> list[dict[str, Any]]:
    """What `status --json` says there."""
    entries: list[dict[str, Any]] = json.loads(booted.layer("status", "--json").stdout)[
        "deployments"
    ]
    return entries


def test_an_install_is_staged_and_made_at_shutdown(booted: Booted) -> None:
    before = booted.deployments()
    install(booted, "web")
    staged, running = listed(booted)
    assert (staged["staged"], staged["booted"], staged["packages"]) == (True, False, ["web"])
    assert (running["staged"], running["booted"]) == (False, True)
    assert "(staged)" in booted.run("ostree", "admin", "status").stdout
    assert booted.deployments() == before  # a crash now boots what ran
    booted.reboot()
    new, old = listed(booted)
    assert (new["checksum"], new["booted"], new["staged"]) == (staged["checksum"], True, False)
    assert old["checksum"] == running["checksum"]
    assert (booted.deployment.path / "usr/bin/web").exists()
    assert ostree("fsck", f"--repo={booted.machine.path}/ostree/repo").endswith("found.\n")


@pytest.mark.parametrize("is_readonly", [True, False], ids=["sysroot-ro", "sysroot-rw"])
def test_what_is_edited_in_etc_until_shutdown_is_there_afterwards(
    machine: Machine, tmp_path: Path, is_readonly: bool
) -> None:
    booted = Booted(machine, tmp_path / "booted", is_readonly=is_readonly)
    (booted.etc / "tiny.conf").write_text("edited before\n")
    install(booted, "daemon")
    (booted.etc / "hostname").write_text("edited after\n")
    booted.reboot()
    assert (booted.etc / "tiny.conf").read_text() == "edited before\n"
    assert (booted.etc / "hostname").read_text() == "edited after\n"
    assert (booted.etc / "daemon.conf").read_text() == "setting=1\n"


def test_a_second_change_builds_on_what_is_staged_and_takes_its_place(booted: Booted) -> None:
    install(booted, "web")
    install(booted, "apple")
    booted.layer("uninstall", "-y", "web")
    booted.layer("kargs", "-y", "--append=debug")
    staged, running = listed(booted)
    assert (staged["packages"], running["booted"]) == (["apple"], True)
    booted.reboot()
    assert booted.machine.layered() == ["apple", "libseed"]
    assert "debug" in booted.deployment.kernel_arguments
    # The same commit as on a machine that never booted.
    assert booted.deployment.checksum == listed(booted)[0]["checksum"]


def test_what_is_queued_can_be_dropped(booted: Booted) -> None:
    install(booted, "web")
    booted.layer("cleanup", "-p")
    assert [entry["booted"] for entry in listed(booted)] == [True]
    assert booted.shut_down() == ""
    booted.boot()
    assert booted.machine.layered() == []


def test_a_rollback_drops_what_is_staged(booted: Booted) -> None:
    install(booted, "web")
    shown = booted.layer("rollback", "-y").stdout
    assert "staged, which is dropped" in shown
    assert [entry["booted"] for entry in listed(booted)] == [True]


def test_etc_is_carried_along_by_a_rollback_till_shutdown(booted: Booted) -> None:
    install(booted, "web")
    booted.reboot()
    (booted.etc / "tiny.conf").write_text("before\n")
    booted.layer("rollback", "-y", "--keep-etc")
    assert listed(booted)[0]["staged"]
    (booted.etc / "hostname").write_text("after\n")
    booted.reboot()
    assert booted.machine.layered() == []
    assert (booted.etc / "tiny.conf").read_text() == "before\n"
    assert (booted.etc / "hostname").read_text() == "after\n"
    # What was left is still there to go back to.
    assert listed(booted)[1]["packages"] == ["web"]


def test_a_failure_leaves_what_is_staged(booted: Booted) -> None:
    install(booted, "web")
    staged = listed(booted)[0]
    failed = booted.layer("install", "-y", "clash-a", "clash-b", repositories=True, status=1)
    assert "/usr/share/clash" in failed.stderr
    assert listed(booted)[0] == staged
    booted.reboot()
    assert booted.machine.layered() == ["web"]


def test_the_machines_settings_hold_while_something_is_staged(booted: Booted) -> None:
    install(booted, "web")
    folder = booted.etc / "layer"
    folder.mkdir()
    (folder / "layer.toml").write_text("scriptlets = 1\n")
    assert "layer.toml" in booted.layer("install", "-n", "pear", repositories=True, status=1).stderr


def test_config_diff_says_that_a_staged_deployment_has_no_etc_yet(booted: Booted) -> None:
    install(booted, "web")
    (booted.etc / "tiny.conf").write_text("edited\n")
    assert booted.layer("config-diff").stdout == "M /etc/tiny.conf\n"
    failed = booted.layer("config-diff", "0", status=1).stderr
    assert failed.startswith("error: deployment 0 is staged: its /etc is merged at shutdown")
    assert listed(booted)[0]["osname"] == STATEROOT


def test_a_newer_base_is_shown_and_staged(own_world: World, tmp_path: Path) -> None:
    booted = Booted(own_world.machine(tmp_path / "machine"), tmp_path / "booted")
    install(booted, "web")
    booted.reboot()
    own_world.publish(*base_packages("2"))
    newer = own_world.compose()
    booted.layer("upgrade", "--check", repositories=True)
    assert "version 2" in booted.layer("upgrade", "-n", repositories=True).stdout
    booted.layer("upgrade", "-y", repositories=True)
    booted.reboot()
    new, old = listed(booted)
    assert (new["base-checksum"], new["packages"]) == (newer.checksum, ["web"])
    assert old["packages"] == ["web"]
    remove([tmp_path / "machine"])


# --- a finalization that failed ---


def test_a_finalization_that_failed_is_reported_until_it_is_settled(booted: Booted) -> None:
    install(booted, "web")
    checksum = listed(booted)[0]["checksum"]
    booted.break_finalization()
    assert booted.layer("status").stdout.startswith("  tiny:")  # nothing is lost yet
    booted.reboot()
    done = booted.layer("status", status=1)
    assert done.stdout.startswith(
        f"Warning: what was staged ({checksum[:12]}) did not become a deployment at shutdown: "
    )
    # libostree's own service puts its words into the journal and takes them away.
    booted.run("env", "INVOCATION_ID=x", "ostree", "admin", "boot-complete", status=1)
    lost = json.loads(booted.layer("status", "--json", status=1).stdout)["finalization-failed"]
    assert lost == {"checksum": checksum, "reason": ""}
    install(booted, "web")
    booted.layer("status")
    booted.reboot()
    assert booted.machine.layered() == ["web"]
    booted.layer("status")


def test_a_shutdown_that_was_none_is_reported_and_can_be_forgotten(booted: Booted) -> None:
    install(booted, "web")
    booted.boot()  # the power was cut
    assert "did not become a deployment" in booted.layer("status", status=1).stdout
    booted.layer("cleanup", "-p")
    booted.layer("status")


def test_what_was_finalized_and_is_gone_since_is_not_missed(booted: Booted) -> None:
    install(booted, "web")
    booted.reboot()
    booted.layer("cleanup", "-m")  # any verb that works on the machine sees it
    booted.layer("rollback", "-y")
    booted.reboot()
    booted.run("ostree", "admin", "undeploy", "1")
    booted.layer("status")


def test_a_record_of_a_newer_version_is_left_alone(booted: Booted) -> None:
    folder = booted.machine.path / "ostree/deploy" / STATEROOT / "var/lib/layer"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "staged.json"
    for text in ("[]", "{", '{"schema": 1, "checksum": 3}'):
        record.write_text(text)
        booted.layer("status")
    record.write_text('{"schema": 2}')
    refused = booted.layer("status", status=1).stderr
    assert refused.startswith("error: /var/lib/layer/staged.json has schema 2; ")
    assert record.read_text() == '{"schema": 2}'


def test_a_pending_deployment_is_exit_77_where_asked_for(booted: Booted) -> None:
    booted.layer("status", "--pending-exit-77")
    install(booted, "web")
    booted.layer("status", "--pending-exit-77", status=77)
    assert "Packages: web-1-1.x86_64" in booted.layer("status", "-v").stdout


# --- tried for one boot ---


def test_a_deployment_is_tried_for_one_boot(own_world: World, tmp_path: Path) -> None:
    booted = Booted(own_world.machine(tmp_path / "machine"), tmp_path / "booted")
    own_world.publish(*base_packages("2"))
    newer = own_world.compose()
    old = booted.deployment
    booted.layer("deploy", "-y", "--once", "2", repositories=True)
    assert "tried for one boot" in booted.layer("status").stdout
    assert booted.layer("boot-complete").stdout == ""  # not in the boot that queued it
    booted.reboot()
    assert booted.deployment.checksum == newer.checksum
    assert booted.layer("boot-complete").stdout == (
        f"This boot was a try: {old.checksum} is the default again.\n"
    )
    assert booted.layer("boot-complete").stdout == ""
    booted.reboot()
    assert booted.deployment == replace(old, index=0, kernel_arguments=old.kernel_arguments)
    assert [d["checksum"] for d in listed(booted)] == [old.checksum, newer.checksum]
    remove([tmp_path / "machine"])


def test_what_was_tried_can_be_kept(own_world: World, tmp_path: Path) -> None:
    booted = Booted(own_world.machine(tmp_path / "machine"), tmp_path / "booted")
    own_world.publish(*base_packages("2"))
    newer = own_world.compose()
    booted.layer("deploy", "-y", "--once", "2", repositories=True)
    booted.reboot()
    booted.layer("boot-complete")
    booted.layer("rollback", "-y")  # to what runs
    booted.reboot()
    assert booted.deployment.checksum == newer.checksum
    remove([tmp_path / "machine"])


def test_another_change_takes_the_place_of_a_try(own_world: World, tmp_path: Path) -> None:
    booted = Booted(own_world.machine(tmp_path / "machine"), tmp_path / "booted")
    own_world.publish(*base_packages("2"))
    own_world.compose()
    booted.layer("deploy", "-y", "--once", "2", repositories=True)
    install(booted, "web")
    booted.reboot()
    assert booted.layer("boot-complete").stdout == ""
    assert booted.machine.layered() == ["web"]
    remove([tmp_path / "machine"])


@pytest.mark.parametrize("option", ["--once", "--lock-finalization", "--reboot"])
def test_what_needs_a_shutdown_is_refused_where_nothing_runs(machine: Machine, option: str) -> None:
    before = machine.host().sysroot.deployments()
    done = machine.layer("deploy", "-y", option, "1", status=1)
    assert f"error: {option}: {machine.path} is not what this machine runs" in done.stderr
    assert machine.host().sysroot.deployments() == before


# --- update agents ---


def test_what_is_locked_waits_for_finalize_deployment(own_world: World, tmp_path: Path) -> None:
    booted = Booted(own_world.machine(tmp_path / "machine"), tmp_path / "booted")
    booted.program("systemctl", 'echo "$@" >> /run/systemctl')
    own_world.publish(*base_packages("2"))
    newer = own_world.compose()
    nothing = booted.layer("finalize-deployment", "--allow-missing-checksum", status=1)
    assert nothing.stderr.startswith("error: nothing is staged\n")
    booted.layer("upgrade", "-y", "--lock-finalization", repositories=True)
    assert "finalization is locked" in booted.layer("status").stdout
    assert "Not finalizing" in booted.shut_down() or booted.deployments()[0].is_booted is False
    assert len(booted.deployments()) == 1
    wrong = booted.layer("finalize-deployment", "0" * 64, status=1)
    assert wrong.stderr.startswith(f"error: what is staged is {newer.checksum}, not {'0' * 64}\n")
    assert "which commit" in booted.layer("finalize-deployment", status=1).stderr
    assert booted.run("cat", "/run/systemctl", status=1).stdout == ""
    booted.layer("finalize-deployment", newer.checksum)
    assert booted.run("cat", "/run/systemctl").stdout == "reboot\n"
    booted.reboot()
    assert booted.deployment.checksum == newer.checksum
    remove([tmp_path / "machine"])


@pytest.mark.parametrize(
    "words",
    [
        ("install", "web"),
        ("override", "remove", "tiny-libc"),
        ("kargs", "--append=quick"),
        ("initramfs-etc", "--track", "/etc/tiny.conf"),
    ],
    ids=lambda words: words[0],
)
def test_every_change_can_be_locked(booted: Booted, words: tuple[str, ...]) -> None:
    verb = words[:2] if words[0] == "override" else words[:1]
    repositories = words[0] in ("install",)
    options = ["-y", "--lock-finalization"]
    booted.layer(*verb, *options, *words[len(verb) :], repositories=repositories)
    assert json.loads(booted.layer("status", "--json").stdout)["finalization-locked"] is True


def test_a_later_change_is_not_locked(booted: Booted) -> None:
    booted.program("systemctl", 'echo "$@" >> /run/systemctl')
    booted.layer(
        "rebase", "-y", "--lock-finalization", "--install", "web", f"tiny:{REF}", repositories=True
    )
    assert json.loads(booted.layer("status", "--json").stdout)["finalization-locked"] is True
    install(booted, "suid")
    assert json.loads(booted.layer("status", "--json").stdout)["finalization-locked"] is False
    checksum = listed(booted)[0]["checksum"]
    refused = booted.layer("finalize-deployment", checksum, status=1)
    assert refused.stderr.startswith("error: finalization of what is staged is not locked\n")
    booted.layer("finalize-deployment", checksum, "--allow-unlocked")
    booted.reboot()
    assert booted.machine.layered() == ["suid", "web"]


def test_a_reboot_follows_a_change_alone(booted: Booted) -> None:
    booted.program("systemctl", 'echo "$@" >> /run/systemctl')
    unchanged = booted.layer("upgrade", "-y", "-r", repositories=True)
    assert unchanged.stdout == "No upgrade available.\n"
    assert booted.run("cat", "/run/systemctl", status=1).stdout == ""
    install(booted, "-r", "web")
    assert booted.run("cat", "/run/systemctl").stdout == "reboot\n"


def test_what_is_staged_of_a_recycled_tree_is_what_libostree_stages(booted: Booted) -> None:
    setting = booted.etc / "layer/layer.toml"
    setting.parent.mkdir()
    staged: list[object] = []
    for recycle in ("never", "sampled"):
        setting.write_text(f'recycle = "{recycle}"\n')
        booted.layer("cleanup", "-b")
        spares = {(p / "usr").stat().st_ino for p in booted.spares()}
        install(booted, "daemon")
        (tree,) = booted.trees() - {booted.deployment.path}
        assert {(tree / "usr").stat().st_ino} == spares or recycle == "never"
        record = (booted.run_folder / "ostree/staged-deployment").read_bytes()
        origin = Path(f"{tree}.origin").read_text()
        staged.append((tree.name, described(tree, is_one_store=False), record, origin))
        booted.layer("cleanup", "-p")
    assert staged[0] == staged[1]
    assert booted.trees() == {booted.deployment.path}


def test_a_recycled_tree_is_finalized_with_what_etc_has_by_then(booted: Booted) -> None:
    booted.layer("cleanup", "-b")
    sources = [(p / "usr").stat().st_ino for p in booted.spares()]
    for name in ("apple", "web", "daemon"):
        before = booted.trees()
        install(booted, name)
        (tree,) = booted.trees() - before
        sources.append((tree / "usr").stat().st_ino)
        (booted.etc / "hostname").write_text(f"edited after {name}\n")
    # What is staged and gives way is recycled next, never before it has given way.
    assert sources[0] == sources[1] == sources[3] != sources[2]
    assert not (booted.machine.path / "ostree/layer/work").exists()
    booted.reboot()
    assert (booted.deployment.path / "usr").stat().st_ino == sources[3]
    assert (booted.etc / "hostname").read_text() == "edited after daemon\n"
    assert (booted.etc / "daemon.conf").read_text() == "setting=1\n"
    assert booted.machine.layered() == ["apple", "daemon", "libseed", "web"]
    booted.layer("cleanup", "-b")
    assert [(p / "usr").stat().st_ino for p in booted.spares()] == [sources[2]]
    assert ostree("fsck", f"--repo={booted.machine.path}/ostree/repo").endswith("found.\n")
