"""The life of a machine that has layer in its base: four boots in QEMU (`make test-boot`).

What is asserted is what the guest wrote to its serial console; that stays in build/test-boot.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from testdata.distro.boot import BootResult, boot_image, make_image
from testdata.guest.build import HERE
from testdata.guest.image import ensure_disks
from testdata.guest.wheels import CHECKOUT

pytestmark = pytest.mark.slow

WORK = CHECKOUT / "build/test-boot"
STEPS = ("1-install", "2-rollback", "3-upgrade", "4-both")
TIMEOUT = 400  # seconds; a boot takes a fifth of that where nothing else is going on
LAYERS = ["demo-catalog", "demo-daemon", "strace"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a boot came to, and what the step said: the last value of each key."""

    result: BootResult
    said: Mapping[str, str]

    def deployment(self, index: int) -> dict[str, object]:
        """What `layer status --json` said of a deployment."""
        found: dict[str, object] = json.loads(self.said[f"json.{index}"])
        return found

    def seconds(self) -> Mapping[str, float]:
        """How long each command took."""
        prefix = "seconds."
        return {
            key.removeprefix(prefix): float(value)
            for key, value in self.said.items()
            if key.startswith(prefix)
        }


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """The four boots, one after the other, on one disk."""
    begun = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    disks = ensure_disks(WORK)
    print(f"\ndisks: {time.monotonic() - begun:.0f} s", flush=True)
    scratch = tmp_path_factory.mktemp("boot")
    make_image(HERE / "steps", scratch / "steps.img", spare=32 << 20)
    system = scratch / "system.img"
    subprocess.run(["cp", "--sparse=always", disks.system, system], check=True)
    begun = time.monotonic()
    steps = {}
    for name in STEPS:
        steps[name] = _boot(name, system, (disks.served, scratch / "steps.img"))
    print(f"all boots: {time.monotonic() - begun:.0f} s", flush=True)
    system.unlink()
    return steps


def _boot(name: str, system: Path, disks: tuple[Path, ...]) -> Step:
    log = WORK / f"serial-{name}.log"
    result = boot_image(
        system, timeout=TIMEOUT, arguments=[f"guest-step={name}"], disks=disks, log=log
    )
    lines = [line.partition("=") for line in result.values("test")]
    step = Step(result, {key: value for key, _, value in lines})
    spent = ", ".join(f"{what} {seconds}" for what, seconds in step.seconds().items())
    print(f"{name}: {result.state}, {result.seconds:.0f} s ({spent})", flush=True)
    # What follows would only be wrong, too.
    assert result.is_running, f"{name} came to {result.state}; see {log}"
    return step


def test_no_unit_fails_and_none_is_left_out(life: Mapping[str, Step]) -> None:
    for step in life.values():
        assert step.result.values("failed") == ()
        assert [line for line in step.result.values("journal") if "ordering cycle" in line] == []
        assert (step.said["usr"], step.said["sysroot"]) == ("read-only", "read-only")


def test_every_command_does_what_it_should(life: Mapping[str, Step]) -> None:
    statuses = {
        name: {key: int(value) for key, value in step.said.items() if key.startswith("status.")}
        for name, step in life.items()
    }
    assert statuses == {
        "1-install": dict.fromkeys(
            ["status.install", "status.useradd", "status.chpasswd", "status.status"], 0
        ),
        "2-rollback": {"status.rollback": 0},
        "3-upgrade": dict.fromkeys(["status.install", "status.check", "status.upgrade"], 0),
        "4-both": {"status.upgrade": 77, "status.cleanup": 0},
    }


def test_an_install_is_staged(life: Mapping[str, Step]) -> None:
    first = life["1-install"]
    assert (first.said["strace"], first.said["demod"]) == ("", "none")
    staged, booted = first.deployment(0), first.deployment(1)
    assert (staged["staged"], staged["booted"]) == (True, False)
    assert staged["requested-packages"] == LAYERS
    assert (booted["staged"], booted["booted"], booted["packages"]) == (False, True, [])


def test_after_the_reboot_the_layers_are_there(life: Mapping[str, Step]) -> None:
    second = life["2-rollback"]
    assert second.said["strace"].startswith("strace -- version ")
    booted = second.deployment(0)
    assert (booted["booted"], booted["staged"], booted["packages"]) == (True, False, LAYERS)


def test_a_layered_packages_user_has_the_trees_id_and_its_files(life: Mapping[str, Step]) -> None:
    """Although /etc/passwd is the admin's, who added a user of their own."""
    for name in ("2-rollback", "4-both"):
        said = life[name].said
        uid = said["demod-in-tree"]
        assert uid.isdigit()
        assert said["demod"] == uid
        assert said["demod-owns"] == f"{uid}:demod:demod:640"
        assert said["demod-state"] == "demod:demod:640"
        assert said["demod-reads"] == "no secret"
        assert said["daemon"] == "active"


def test_what_an_admin_changes_is_kept_through_all_of_it(life: Mapping[str, Step]) -> None:
    """Before and after staging, through a rollback and an upgrade."""
    password = life["1-install"].said["password"]
    assert password != life["1-install"].said["first-password"]
    for name in STEPS[1:]:
        assert {key: life[name].said[key] for key in _EDITS} == {
            "edited-before": "before",
            "edited-after": "after",
            "edited-second": "none" if name == "2-rollback" else "second",
            "hosts": "# by the admin",
            "admin": "1001",
            "home": "admin",
            "password": password,
        }


_EDITS = ("edited-before", "edited-after", "edited-second", "hosts", "admin", "home", "password")


def test_a_rollback_takes_the_layers_away(life: Mapping[str, Step]) -> None:
    third = life["3-upgrade"]
    assert (third.said["strace"], third.said["demod-owns"]) == ("", "none")


def test_what_triggers_leave_to_the_boot_is_done(life: Mapping[str, Step]) -> None:
    assert life["1-install"].said["catalog"] == "none"
    for name in ("2-rollback", "4-both"):
        assert life[name].said["catalog"].endswith("demo-catalog: Demonstration")


def test_what_nothing_needs_is_removed_by_a_timer(life: Mapping[str, Step]) -> None:
    said = life["4-both"].said
    assert (said["timer"], said["status.cleanup"]) == ("enabled", "0")


def test_an_upgrade_carries_the_layers_along(life: Mapping[str, Step]) -> None:
    assert life["3-upgrade"].said["news"] == "1"
    last = life["4-both"]
    assert last.said["news"] == "2"
    assert last.said["strace"].startswith("strace -- version ")
    booted = last.deployment(0)
    assert (booted["version"], booted["packages"]) == ("2", LAYERS)


def test_the_console_is_kept(life: Mapping[str, Step]) -> None:
    for name, step in life.items():
        assert (WORK / f"serial-{name}.log").read_text(errors="replace") == step.result.console
