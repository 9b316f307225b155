"""The life of a machine that has layer in its base: four boots in QEMU (`make test-boot`)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.guest import WORK, Step, live

pytestmark = pytest.mark.slow

STEPS = ("1-install", "2-rollback", "3-upgrade", "4-both")
LAYERS = ["demo-catalog", "demo-daemon", "strace"]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Four boots."""
    return live(STEPS, tmp_path_factory.mktemp("boot"))


def test_no_unit_fails_and_none_is_left_out(life: Mapping[str, Step]) -> None:
    for name, step in life.items():
        assert step.result.values("failed") == ()
        assert [line for line in step.result.values("journal") if "ordering cycle" in line] == []
        usr = "writable" if name == "1-install" else "read-only"
        assert (step.said["usr"], step.said["sysroot"]) == (usr, "read-only")


def test_every_command_does_what_it_should(life: Mapping[str, Step]) -> None:
    statuses = {
        name: {key: int(value) for key, value in step.said.items() if key.startswith("status.")}
        for name, step in life.items()
    }
    assert statuses == {
        "1-install": dict.fromkeys(
            ["status.install", "status.overlay", "status.useradd", "status.chpasswd"], 0
        )
        | {"status.again": 1, "status.json": 0},
        "2-rollback": {"status.json": 0, "status.rollback": 0},
        "3-upgrade": dict.fromkeys(
            ["status.json", "status.install", "status.check", "status.upgrade"], 0
        ),
        "4-both": {"status.json": 0, "status.upgrade": 77, "status.cleanup": 0},
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


def test_an_overlay_over_usr_is_gone_after_the_reboot(life: Mapping[str, Step]) -> None:
    states = [life[name].deployment(index)["unlocked"] for name, index in _BOOTED.items()]
    assert states == ["development", "none", "none", "none"]
    assert life["2-rollback"].said["overlay"] == "gone"


_BOOTED = {"1-install": 1, "2-rollback": 0, "3-upgrade": 0, "4-both": 0}


def test_an_upgrade_reboots_if_asked_to(life: Mapping[str, Step]) -> None:
    """The step's own words are its driver's, who would reboot only afterwards."""
    assert life["3-upgrade"].said["system"] == "stopping"


def test_the_history_says_what_booted(life: Mapping[str, Step]) -> None:
    said = life["4-both"].said
    entries = [value for key, value in said.items() if key.startswith("history.")]
    assert entries[:-1] == [  # what was done here; before comes what made the disk
        "booted: upgrade -y --reboot",
        "never booted: install -y strace demo-daemon demo-catalog",
        "booted: rollback -y --keep-etc",
        "booted: install -y strace demo-daemon demo-catalog",
    ]


def test_the_console_is_kept(life: Mapping[str, Step]) -> None:
    for name, step in life.items():
        assert (WORK / f"serial-{name}.log").read_text(errors="replace") == step.result.console
