"""`layer doctor` on machines where one thing each is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.booted import Booted
from tests.snapshot import unchanged
from tests.world import Machine, layer, write_repo_file


def doctor(
    machine: Machine, *words: str, status: int = 0, env: dict[str, str] | None = None
) -> str:
    """What it prints; it changes nothing."""
    with unchanged(machine.path):
        return machine.layer("doctor", *words, status=status, env=env).stdout


def findings(machine: Machine, *words: str, status: int = 0) -> list[dict[str, Any]]:
    """What is not fine."""
    told = json.loads(doctor(machine, "--json", *words, status=status))
    assert told["schema"] == 1
    return [found for found in told["findings"] if found["level"] != "fine"]


def etc(machine: Machine) -> Path:
    """The /etc of what boots next."""
    return machine.pending().path / "etc"


def test_a_machine_that_is_well_is_told_so(machine: Machine) -> None:
    machine.install("apple")
    options = ("--repo-dir", str(machine.world.repo_dir))
    lines = doctor(machine, *options).splitlines()
    assert lines[-1] == "All is well."
    assert "fine     programs: as it should be" in lines
    assert any(line.startswith("fine     repository tiny: ") for line in lines)
    assert findings(machine, *options) == []
    assert max(len(line) for line in lines if "triggers" not in line and "/" not in line) <= 80


def test_every_fault_is_told_with_what_to_do(machine: Machine) -> None:
    (etc(machine) / "layer").mkdir()
    (etc(machine) / "layer/layer.toml").write_text('scriptlets = "maybe"\n')
    (etc(machine) / "yum.repos.d").mkdir()
    repository = write_repo_file(etc(machine) / "yum.repos.d", "far", "http://127.0.0.1:1/")
    repository.write_text(repository.read_text().replace("gpgcheck=0", "gpgcheck=1"))
    layer("remote", "delete", "--sysroot", str(machine.path), "tiny")
    found = findings(machine, status=1)
    assert [(f["part"], f["level"]) for f in found] == [
        ("settings", "fault"),
        ("remote", "fault"),
        ("repository far", "warning"),
        ("repository far", "fault"),
    ]
    assert all(f["advice"] for f in found)
    assert doctor(machine, status=1).splitlines()[-1] == "3 faults, 1 warning."


def test_a_missing_program_is_named(machine: Machine, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("gpgv", "mount", "ostree", "prlimit", "unshare"):
        path = shutil.which(name)
        assert path is not None
        (programs / name).symlink_to(path)
    printed = doctor(machine, status=1, env={"PATH": str(programs)})
    assert "fault    programs: bwrap not found" in printed.splitlines()


def test_what_failed_to_be_finalized_is_a_fault(machine: Machine, tmp_path: Path) -> None:
    booted = Booted(machine, tmp_path / "booted", is_readonly=False)
    booted.layer("install", "-y", "apple", repositories=True)
    booted.break_finalization()
    booted.reboot()
    printed = booted.layer("doctor", repositories=True, status=1).stdout
    assert "what was staged failed to become a deployment at shutdown" in printed
    assert "-> see journalctl -b -1 -u ostree-finalize-staged" in printed


@pytest.mark.parametrize("words", [["nonsense"], ["--jsonx"]])
def test_nonsense_is_wrong_usage(machine: Machine, words: list[str]) -> None:
    assert machine.layer("doctor", *words, status=2).stderr.startswith("Usage: ")
