"""Two stateroots side by side: each with its own layers, history and way back, or one /home."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layer import bootplan
from tests.booted import Booted
from tests.cli import do, fails
from tests.test_architecture import ROOT
from tests.test_automatic_updates import deployments
from tests.world import REF, STATEROOT, Machine, World, base_packages, layer, ostree, remove

SECOND = ("--stateroot", "second")
FIRST = ("--os", STATEROOT)
UNIT = ROOT / "packaging/systemd/layer-home.service"


@pytest.fixture
def double(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine with `apple` in the first stateroot, and `web` in the second, which boots next."""
    machine = own_world.machine(tmp_path / "machine")
    do(machine, "install", "-y", "apple")
    do(machine, "init", *SECOND, "--share-home", STATEROOT)
    do(machine, "rebase", "-y", *SECOND, "--install", "web", f"tiny:{REF}")
    yield machine
    remove([machine.path])


def rows(machine: Machine) -> list[tuple[str, list[str], str]]:
    """Stateroot, packages and version of each deployment, as `status --json` has them."""
    return entries(do(machine, "status", "--json").stdout)


def entries(printed: str) -> list[tuple[str, list[str], str]]:
    """The same of what was printed."""
    found: list[dict[str, Any]] = json.loads(printed)["deployments"]
    return [(d["osname"], d["packages"], d["version"]) for d in found]


APPLE = (STATEROOT, ["apple"], "1")
PLAIN = (STATEROOT, [], "1")
WEB = ("second", ["web"], "1")


def test_each_has_its_own_layers_and_history(double: Machine) -> None:
    assert rows(double) == [WEB, APPLE, PLAIN]
    do(double, "install", "-y", *FIRST, "pear")
    do(double, "install", "-y", *SECOND, "suid")
    do(double, "uninstall", "-y", "web")  # of what boots next
    both = [("second", ["suid"], "1"), ("second", ["suid", "web"], "1")]
    pear = (STATEROOT, ["apple", "pear"], "1")
    assert rows(double) == [*both, pear, APPLE]
    shown = do(double, "status").stdout
    assert [shown.count(f"Stateroot: {name}\n") for name in ("second", STATEROOT)] == [2, 2]
    asked = {
        words: [entry.get("requested", []) for entry in history(double, *words)]
        for words in (FIRST, SECOND)
    }
    assert asked == {FIRST: [["pear"], ["apple"], []], SECOND: [[], ["suid"], ["web"]]}
    assert {entry["stateroot"] for entry in history(double, *SECOND)} == {"second"}


def history(machine: Machine, *words: str) -> list[dict[str, Any]]:
    """What `history --json` says."""
    found: list[dict[str, Any]] = json.loads(do(machine, "history", "--json", *words).stdout)
    return found


def test_each_is_upgraded_rolled_back_and_edited_alone(double: Machine) -> None:
    double.world.publish(*base_packages("2"))
    double.world.compose()
    do(double, "upgrade", "-y", *FIRST)
    new = (STATEROOT, ["apple"], "2")
    assert rows(double) == [new, WEB, APPLE]
    do(double, "kargs", "-y", *SECOND, "--append=second")
    assert rows(double) == [WEB, new, WEB, APPLE]
    assert "second" in double.pending().kernel_arguments
    assert "second" not in do(double, "kargs", *FIRST).stdout.split()
    do(double, "rollback", "-y", *FIRST)
    assert rows(double) == [APPLE, WEB, new, WEB]
    do(double, "cleanup", "-r", *SECOND)
    assert rows(double) == [APPLE, WEB, new]
    assert fails(double, "rollback", "-y", *SECOND)[0] == (
        "error: there is no deployment of second to roll back to"
    )
    assert fails(double, "status", "--os", "third")[0] == (
        f"error: there is no stateroot third (there is: second, {STATEROOT})"
    )


def test_entries_are_written_anew_where_only_stateroots_change_places(double: Machine) -> None:
    """libostree takes them for the same otherwise, and the machine would not boot."""
    do(double, "install", "-y", *FIRST, "suid")  # one comes, one goes, the second changes place
    do(double, "install", "-y", *SECOND, "pear")
    options = ostree("admin", f"--sysroot={double.path}", "status")
    assert options.count("second ") == 2
    for found in (double.path / "boot/loader/entries").iterdir():
        (link,) = re.findall(r" ostree=(\S+)", found.read_text())
        assert (double.path / link.lstrip("/") / "usr").is_dir()
    assert "layer.stateroot" not in do(double, "kargs").stdout


def test_a_cleanup_keeps_what_both_need(double: Machine) -> None:
    do(double, "uninstall", "-y", *SECOND, "web")
    do(double, "cleanup", "-rb", *FIRST)
    before = rows(double)
    do(double, "cleanup", "-b")
    assert rows(double) == before == [("second", [], "1"), WEB, APPLE]
    assert ostree("fsck", f"--repo={double.path}/ostree/repo").endswith("found.\n")
    for words in (FIRST, SECOND):  # and each can be made anew without a network
        do(double, "install", "-y", "-C", *words, "/usr/bin/sh", "--allow-inactive")


def test_as_many_stay_of_each_as_its_own_settings_say(double: Machine) -> None:
    file = double.pending().path / "etc/layer/layer.toml"
    file.parent.mkdir()
    file.write_text("keep = 2\n")
    for name in ("suid", "pear", "apple"):
        do(double, "install", "-y", *SECOND, name)
    assert [name for name, *_ in rows(double)] == ["second"] * 3 + [STATEROOT] * 2


def test_db_diff_compares_within_one(double: Machine) -> None:
    assert "  libseed-1-1.x86_64" in layer_db(double, *FIRST).splitlines()
    assert "second has one deployment only" in layer_db(double, *SECOND, status=1)
    assert "  web-1-1.x86_64" in layer_db(double, *FIRST, "1", "0").splitlines()


def layer_db(machine: Machine, *words: str, status: int = 0) -> str:
    """What `layer db diff` prints."""
    done = layer("db", "diff", "--sysroot", str(machine.path), *words, status=status)
    return done.stdout + done.stderr


# --- on a booted machine ---


@pytest.fixture
def booted(double: Machine, tmp_path: Path) -> Booted:
    """A machine that runs the second one."""
    return Booted(double, tmp_path / "booted")


def test_the_other_one_is_staged_and_boots(booted: Booted) -> None:
    booted.layer("install", "-y", *FIRST, "suid", repositories=True)
    shown = json.loads(booted.layer("status", "--json").stdout)["deployments"]
    assert [(d["osname"], d["staged"], d["booted"]) for d in shown] == [
        (STATEROOT, True, False),
        ("second", False, True),
        (STATEROOT, False, False),
        (STATEROOT, False, False),
    ]
    booted.reboot()
    assert (booted.deployment.stateroot, booted.machine.layered()) == (
        STATEROOT,
        ["apple", "libseed", "suid"],
    )
    booted.layer("status", "--pending-exit-77")
    asked = json.loads(booted.layer("history", "--json").stdout)[0]["requested"]
    assert asked == ["suid"]
    booted.layer("rollback", "-y")  # within the one that runs
    booted.reboot()
    assert booted.machine.layered() == ["apple", "libseed"]


def test_a_rollback_drops_what_is_staged_for_the_other_one(booted: Booted) -> None:
    booted.layer("install", "-y", *FIRST, "suid", repositories=True)
    assert "staged, which is dropped" in booted.layer("rollback", "-y").stdout
    booted.reboot()
    assert booted.deployment.stateroot == "second"


def test_what_was_lost_of_the_other_one_is_reported(booted: Booted) -> None:
    booted.layer("install", "-y", *FIRST, "suid", repositories=True)
    booted.boot()  # the power was cut
    assert "did not become a deployment" in booted.layer("status", status=1).stdout
    booted.layer("cleanup", "-p")
    booted.layer("status")


def test_a_third_one_is_made_on_a_machine_that_runs(booted: Booted) -> None:
    booted.layer("init", "--stateroot", "third", "--share-home", "second")
    assert booted.machine.host().sysroot.stateroots() == ("second", "third", STATEROOT)
    words = ("--stateroot", "third", "--install", "pear", f"tiny:{REF}")
    booted.machine.layer("rebase", "-y", "--repo-dir", str(booted.machine.world.repo_dir), *words)
    assert rows(booted.machine)[0] == ("third", ["pear"], "1")
    # What is shared is shared by all three.
    link = booted.machine.path / "ostree/deploy/third/var/lib/layer/shared-home"
    assert str(link.readlink()) == f"/sysroot/ostree/deploy/{STATEROOT}/var/home"


def test_a_rollback_returns_to_what_runs_from_the_other_ones() -> None:
    other, running, older = replace_all(deployments("xb."))
    assert bootplan.rollback_target((other, running, older), "own") is running
    assert bootplan.rollback_target((running, older, other), "own") is older


def replace_all(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """The deployments with an origin that can be read."""
    return tuple(replace(d, origin=f"[origin]\nrefspec=tiny:{REF}\n") for d in found)


# --- /home ---


def commands(key: str) -> list[list[str]]:
    """The command lines of the unit, in their order."""
    found = re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return [shlex.split(line.removeprefix("-")) for line in found]


@pytest.mark.parametrize("is_readonly", [True, False], ids=["sysroot-ro", "sysroot-rw"])
def test_one_home_is_in_both(double: Machine, tmp_path: Path, is_readonly: bool) -> None:
    booted = Booted(double, tmp_path / "booted", is_readonly=is_readonly)
    (condition,) = re.findall(r"ConditionPathIsSymbolicLink=(.*)", UNIT.read_text())
    mounts = " && ".join(shlex.join(words) for words in commands("ExecStart"))
    stop = " && ".join(shlex.join(words) for words in commands("ExecStop"))
    script = (
        f"test -L {condition} && {mounts} && mkdir /home/ada && echo here > /home/ada/file && "
        f"stat -c %a /var/home && touch /var/other && {stop} && ls /var/home"
    )
    assert booted.run("sh", "-euc", script).stdout == "755\n"
    assert booted.deployment.stateroot == "second"
    homes = double.path / "ostree/deploy" / STATEROOT / "var/home"
    assert (homes / "ada/file").read_text() == "here\n"
    assert not (homes.parent / "other").exists()  # the rest of /var is each one's own
    assert homes.stat().st_mode & 0o7777 == 0o755
    # The owner itself has it where it always was, and no unit to run.
    assert not (homes.parent / "lib/layer/shared-home").is_symlink()
    do(double, "cleanup", "-b")
    assert (homes / "ada/file").exists()


def test_without_being_asked_each_has_its_own_home(double: Machine) -> None:
    do(double, "init", "--stateroot", "third")
    assert not (double.path / "ostree/deploy/third/var/lib").joinpath("layer").exists()


@pytest.mark.parametrize(
    ("name", "other", "error"),
    [
        ("third", "nosuch", "there is no stateroot nosuch to share /home with"),
        ("third", "third", "there is no stateroot third to share /home with"),
        ("third", "../x", "there is no stateroot ../x to share /home with"),
        (STATEROOT, STATEROOT, "has a stateroot tiny already"),
    ],
)
def test_a_home_that_cannot_be_shared(machine: Machine, name: str, other: str, error: str) -> None:
    words = ("--stateroot", name, "--share-home", other)
    assert error in fails(machine, "init", *words)[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_is_sound(tmp_path: Path) -> None:
    text = re.sub(r"^Documentation=.*\n", "", UNIT.read_text(), flags=re.MULTILINE)
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "layer-home" in line] == []
