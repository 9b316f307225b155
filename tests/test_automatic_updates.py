"""What the timer does by the machine's settings; what `status` then says; how many stay."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.bootplan import deploy, trimmed
from layer.errors import InvalidInput
from layer.model import Deployment, NewDeployment
from layer.settings import Settings, parse_settings
from testdata.distro.tiny import tiny_rpm
from tests.cli import REBOOT, do, first
from tests.snapshot import unchanged
from tests.test_architecture import ROOT
from tests.world import REF, STATEROOT, Machine, World, base_packages, remove

UNITS = sorted((ROOT / "packaging/systemd").glob("layer-automatic-updates.*"))
TRIGGER = ("upgrade", "--trigger-automatic-update-policy")


@pytest.fixture
def behind(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine for which there is a newer base."""
    machine = own_world.machine(tmp_path / "machine")
    own_world.publish(*base_packages(version="2"))
    own_world.compose()
    yield machine
    remove([tmp_path / "machine"])


def setting(machine: Machine, text: str) -> None:
    """Writes the settings of the machine."""
    file = machine.pending().path / "etc/layer/layer.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def cached(machine: Machine) -> object:
    """The newer base that `status --json` knows."""
    return json.loads(do(machine, "status", "--json").stdout)["cached-update"]


def test_without_a_policy_nothing_is_done(behind: Machine) -> None:
    with unchanged(behind.path):
        assert do(behind, *TRIGGER).stdout == "Automatic updates are off.\n"
    assert cached(behind) is None


def test_a_check_is_remembered_until_the_base_is_deployed(behind: Machine) -> None:
    setting(behind, 'automatic-updates = "check"\n')
    with unchanged(behind.path):
        do(behind, *TRIGGER)
    found = cached(behind)
    assert isinstance(found, dict)
    assert {k: found[k] for k in ("osname", "origin", "version", "ref-has-new-commit")} == {
        "osname": STATEROOT,
        "origin": f"tiny:{REF}",
        "version": "2",
        "ref-has-new-commit": True,
    }
    shown = do(behind, "status").stdout
    assert f"\n\nAvailableUpdate: tiny:{REF} 2 (" in shown
    assert shown.endswith(f"         Commit: {found['checksum']}\n")
    do(behind, "upgrade", "-y")
    assert (cached(behind), first(behind)["checksum"]) == (None, found["checksum"])


def test_what_is_asked_for_is_remembered_and_belongs_to_its_ref(behind: Machine) -> None:
    do(behind, "upgrade", "--check")
    assert isinstance(cached(behind), dict)
    store = behind.host().store
    with store.transaction():
        store.set_ref("another", behind.pending().checksum)
    do(behind, "rebase", "-y", "another")
    assert cached(behind) is None


def test_what_cannot_be_remembered_is_a_note(behind: Machine) -> None:
    setting(behind, 'automatic-updates = "check"\n')
    file = behind.path / f"ostree/deploy/{STATEROOT}/var/lib/layer/cached-update.json"
    file.mkdir(parents=True)
    assert "note: what is newer cannot be remembered: " in do(behind, *TRIGGER).stderr


def test_newer_layers_alone_are_remembered_until_they_are_deployed(
    own_world: World, tmp_path: Path
) -> None:
    machine = own_world.machine(tmp_path / "machine")
    machine.install("apple")
    setting(machine, 'automatic-updates = "check"\n')
    do(machine, *TRIGGER)
    assert cached(machine) is None  # nothing is newer
    own_world.publish(tiny_rpm("apple", "/usr/bin/apple", version="2", arch="x86_64"))
    own_world.publish(tiny_rpm("web", "/usr/bin/web", version="2", arch="x86_64"))
    do(machine, *TRIGGER)
    found = cached(machine)
    assert isinstance(found, dict)
    assert (found["ref-has-new-commit"], found["checksum"]) == (False, own_world.base.checksum)
    moved = [1, "apple", ["1-1", "x86_64"], ["2-1", "x86_64"]]
    assert found["rpm-diff"]["upgraded"] == [moved]
    assert do(machine, "status").stdout.endswith(
        "\n\nAvailableUpdate: newer layers, the base is the newest\n"
        "         Layers: apple 1-1 -> 2-1\n"
        "                 libseed 1-1 (goes)\n"
    )
    do(machine, "install", "-y", "suid")  # what was found is of another deployment now
    assert cached(machine) is None
    do(machine, *TRIGGER)
    assert cached(machine) is not None
    own_world.publish(*base_packages(version="2"))
    own_world.compose()
    do(machine, "upgrade", "-y")  # to another base: what was found was of the old one
    assert cached(machine) is None
    remove([tmp_path / "machine"])


def test_a_download_deploys_nothing_and_staging_does(behind: Machine) -> None:
    setting(behind, 'automatic-updates = "download"\n')
    with unchanged(behind.path / "ostree/deploy"), unchanged(behind.path / "boot"):
        assert "\nDownloaded. " in do(behind, *TRIGGER).stdout
    setting(behind, 'automatic-updates = "stage"\n')
    assert do(behind, *TRIGGER).stdout.endswith(f"{REBOOT}\n")
    assert first(behind)["version"] == "2"
    assert do(behind, *TRIGGER).stdout == "No upgrade available.\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_units_are_sound(tmp_path: Path) -> None:
    program = tmp_path / "layer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text().replace("ExecStart=layer", f"ExecStart={program}")
        text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)  # not installed here
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "layer-automatic" in line]
    assert (len(UNITS), done.returncode, ours) == (2, 0, [])


# --- settings, and how many deployments stay ---


def test_settings_are_read() -> None:
    text = 'keep = 3\nautomatic-updates = "stage"\nscriptlets = "warn"\ninstall-weak-deps = true\n'
    assert parse_settings(text, "x") == Settings("warn", "stage", 3, install_weak_deps=True)
    assert parse_settings("", "x").keep == 0
    assert parse_settings('recycle = "never"', "x").recycle == "never"


@pytest.mark.parametrize(
    "text",
    [
        "keep = 0",
        "keep = 101",
        'keep = "2"',
        "keep = true",
        'automatic-updates = "yes"',
        'recycle = "no"',
        "install-weak-deps = 1",
    ],
)
def test_a_wrong_setting_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_settings(text, "x")


def deployments(letters: str) -> tuple[Deployment, ...]:
    """One for each letter: `b` booted, `p` pinned, `s` staged, `x` of another stateroot."""
    return tuple(
        Deployment(
            index=index,
            stateroot="other" if letter == "x" else "own",
            checksum=f"{index:064x}",
            serial=0,
            origin="",
            path=Path("/nowhere"),
            is_booted=letter == "b",
            is_pinned=letter == "p",
            is_staged=letter == "s",
        )
        for index, letter in enumerate(letters)
    )


@pytest.mark.parametrize(
    ("letters", "merge", "keep", "stay"),
    [
        ("...", 0, 0, [0]),
        ("...", 0, 1, [0]),
        ("...", 0, 2, [0, 1]),
        (".b..", 1, 0, [1]),
        (".b..", 1, 1, [0, 1]),
        (".bp.x", 1, 2, [0, 1, 2, 3, 4]),
        ("....x", 0, 3, [0, 1, 2, 4]),
    ],
)
def test_the_newest_stay_beside_the_booted_and_pinned(
    letters: str, merge: int, keep: int, stay: list[int]
) -> None:
    present = deployments(letters)
    new = NewDeployment("own", "c" * 64, "", present[merge], ())
    plan = deploy(present, new, keep)
    assert plan.deployments == (new, *(present[index] for index in stay))


@pytest.mark.parametrize(
    ("letters", "keep", "stay"),
    [("....", 1, [0, 1]), (".b.p..x", 2, [0, 1, 2, 3, 4, 6]), ("s...", 1, [0, 1, 2, 3])],
)
def test_a_cleanup_leaves_as_many(letters: str, keep: int, stay: list[int]) -> None:
    present = deployments(letters)
    assert trimmed(present, "own", keep).deployments == tuple(present[index] for index in stay)


def test_as_many_stay_as_the_settings_say(machine: Machine) -> None:
    setting(machine, "keep = 2\n")
    for name in ("web", "suid", "pear", "apple"):
        do(machine, "install", "-y", name)
    assert len(machine.host().sysroot.deployments()) == 3
    setting(machine, "keep = 1\n")
    do(machine, "cleanup", "-b")
    assert len(machine.host().sysroot.deployments()) == 2
