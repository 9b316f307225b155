"""What a machine without layers does at its boots: two of them in QEMU (`make test-boot-more`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.guest import Step, live

pytestmark = pytest.mark.slow

STEPS = ("more-1-policy", "more-2-report")


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Two boots."""
    return live(STEPS, tmp_path_factory.mktemp("boot"))


def test_the_update_service_stages_within_its_sandbox(more: Mapping[str, Step]) -> None:
    first = more["more-1-policy"]
    assert (first.said["status.service"], first.said["broken"]) == ("0", "0")
    staged, booted = first.deployment(0), first.deployment(1)
    assert (staged["staged"], staged["version"]) == (True, "2")
    assert (booted["booted"], booted["version"]) == (True, "1")


def test_a_finalization_that_failed_is_reported(more: Mapping[str, Step]) -> None:
    staged, second = more["more-1-policy"].deployment(0), more["more-2-report"]
    assert (second.said["status.json"], second.said["status.status"]) == ("1", "1")
    assert second.deployment(0)["version"] == "1"
    # libostree's own unit fails to say so, too.
    assert second.result.state == "degraded"
    assert json.loads(second.said["lost"])["checksum"] == staged["checksum"]
