"""What a machine without layers does at its boots: six of them in QEMU (`make test-boot-more`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.guest import Step, live

pytestmark = pytest.mark.slow

STEPS = (
    *("more-1-policy", "more-2-once", "more-3-trial"),
    *("more-4-early", "more-5-tracked", "more-6-home"),
)
# Of this one the first program is what was put into the initramfs.
ARGUMENTS = {"more-5-tracked": "rdinit=/etc/early-init"}


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Six boots."""
    return live(STEPS, tmp_path_factory.mktemp("boot"), ARGUMENTS)


def test_the_update_service_stages_within_its_sandbox(more: Mapping[str, Step]) -> None:
    first = more["more-1-policy"]
    assert (first.said["status.service"], first.said["broken"]) == ("0", "0")
    staged, booted = first.deployment(0), first.deployment(1)
    assert (staged["staged"], staged["version"]) == (True, "2")
    assert (booted["booted"], booted["version"]) == (True, "1")


def test_a_finalization_that_failed_is_reported(more: Mapping[str, Step]) -> None:
    staged, second = more["more-1-policy"].deployment(0), more["more-2-once"]
    assert (second.said["status.json"], second.said["status.status"]) == ("1", "1")
    assert second.deployment(0)["version"] == "1"
    # libostree's own unit fails to say so, too.
    assert second.result.state == "degraded"
    assert json.loads(second.said["lost"])["checksum"] == staged["checksum"]


def test_a_deployment_can_be_tried_for_one_boot(more: Mapping[str, Step]) -> None:
    assert more["more-2-once"].said["status.deploy"] == "0"
    trial, back = more["more-3-trial"], more["more-4-early"]
    assert (trial.said["news"], back.said["news"]) == ("2", "1")
    assert _unit(trial.said["settled"]) == {"Result": "success", "ActiveState": "active"}
    default, tried = trial.deployment(0), trial.deployment(1)
    assert (default["booted"], default["version"]) == (False, "1")
    assert (tried["booted"], tried["version"]) == (True, "2")
    assert back.deployment(0)["booted"] is True


def test_a_tracked_file_is_there_before_the_root_is(more: Mapping[str, Step]) -> None:
    assert more["more-4-early"].said["status.track"] == "0"
    last = more["more-5-tracked"]
    assert last.said["early"] == "/etc/early-init"
    assert last.deployment(0)["initramfs-etc"] == ["/etc/early-init"]
    assert last.deployment(0)["booted"] is True


def test_another_stateroot_has_the_same_home_and_its_own_var(more: Mapping[str, Step]) -> None:
    made, second = more["more-5-tracked"], more["more-6-home"]
    assert (made.said["status.init"], made.said["status.rebase"]) == ("0", "0")
    assert second.deployment(0)["osname"] == "second"
    assert (second.said["var"], second.said["home"]) == ("another", "mine")
    assert (second.said["status.write"], second.said["sysroot"]) == ("0", "read-only")
    assert _unit(second.said["unit"]) == {"Result": "success", "ActiveState": "active"}


def test_later_boots_are_well(more: Mapping[str, Step]) -> None:
    for name in STEPS[2:]:
        assert (more[name].result.state, more[name].result.values("failed")) == ("running", ())


def _unit(text: str) -> dict[str, str]:
    """What systemd says of a unit whose conditions held."""
    fields = dict(word.split("=", 1) for word in text.split())
    assert fields.pop("ConditionResult") == "yes"
    return fields
