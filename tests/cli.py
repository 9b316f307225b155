"""The real program on a machine of the tests."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.snapshot import unchanged
from tests.world import Machine

REBOOT = 'Changes queued for next boot. Run "systemctl reboot" to start a reboot'


def do(
    machine: Machine, verb: str, *words: str, status: int | None = 0, **rest: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a verb with the world's repositories."""
    return machine.layer(
        verb, "--repo-dir", str(machine.world.repo_dir), *words, status=status, **rest
    )


def fails(machine: Machine, verb: str, *words: str) -> list[str]:
    """Runs a verb that must fail and change nothing; the lines of its error and hint."""
    with unchanged(machine.path):
        done = do(machine, verb, *words, status=1)
    lines = done.stderr.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    assert not any(line.startswith("error: ") for line in lines[start + 1 :])
    return lines[start:]


def first(machine: Machine) -> dict[str, Any]:
    """What `status --json` says of the deployment that boots next."""
    entry: dict[str, Any] = json.loads(do(machine, "status", "--json").stdout)["deployments"][0]
    return entry


def origin_of(machine: Machine) -> str:
    """The origin file of the deployment that boots next."""
    return machine.pending().path.with_name(machine.pending().path.name + ".origin").read_text()
