"""`layer doctor` on machines where one thing each is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
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


def test_a_key_that_is_not_there_is_a_fault(machine: Machine, tmp_path: Path) -> None:
    repository = write_repo_file(tmp_path, "near", f"file://{machine.world.packages}")
    text = repository.read_text().replace("gpgcheck=0", "gpgcheck=1\ngpgkey=file:///no/key")
    repository.write_text(text)
    machine.layer("refresh-md", "--repo-dir", str(tmp_path))
    (found,) = findings(machine, "--repo-dir", str(tmp_path), status=1)
    assert found["part"] == "repository near"
    assert found["fact"] == "the key file:///no/key cannot be used: No such file or directory"
    assert found["advice"] == f"correct gpgkey= in {repository}"


def test_who_does_not_answer_is_told_where_that_is_asked(machine: Machine, tmp_path: Path) -> None:
    options = ("--repo-dir", str(machine.world.repo_dir), "--repo-dir", str(tmp_path))
    assert "fine     remote tiny: it answers" in machine.layer("doctor", "--fetch", *options).stdout
    write_repo_file(tmp_path, "far", "http://127.0.0.1:1/")
    config = machine.path / "ostree/repo/config"
    config.write_text(config.read_text().replace(machine.world.url, "http://127.0.0.1:1/"))
    assert [f["part"] for f in findings(machine, *options)] == ["repository far"]  # not fetched yet
    told = json.loads(machine.layer("doctor", "--fetch", "--json", *options, status=1).stdout)
    faults = {f["part"]: f for f in told["findings"] if f["level"] == "fault"}
    assert set(faults) == {"remote tiny", "repository far"}
    assert all("onnect" in f["fact"] and f["advice"] for f in faults.values())


def test_a_read_only_filesystem_is_a_fault(machine: Machine) -> None:
    path = str(machine.path)
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", path], check=True)
        printed = machine.layer("doctor", status=1).stdout
    finally:
        subprocess.run(["umount", path], check=True)
    assert f"fault    space: the filesystem of {path}/ostree/repo is read-only\n" in printed


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
