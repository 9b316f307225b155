"""`layer cancel`: whoever works on the sysroot is ended as by Ctrl-C, and nobody else."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from layer import cancelling
from layer.processes import lock_holders
from tests.cli import repositories
from tests.faulty import faulty
from tests.snapshot import unchanged
from tests.world import Machine, write_repo_file


def wait_for_lock(machine: Machine) -> tuple[int, ...]:
    lock = machine.path / "ostree/lock"
    for _ in range(1200):
        if found := lock_holders(lock):
            return found
        time.sleep(0.05)
    raise AssertionError("nobody takes the lock")


def test_an_install_that_waits_for_a_server_is_ended(machine: Machine, tmp_path: Path) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    with faulty(machine.world.packages, r"primary", "stall") as url, unchanged(machine.path):
        write_repo_file(repos, "tiny", url)
        words = ["--sysroot", str(machine.path), "--repo-dir", str(repos), "-y", "web"]
        command = [sys.executable, "-m", "layer", "install", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert wait_for_lock(machine) == (process.pid,)
            done = machine.layer("cancel")
            assert done.stdout == f"Cancelled: layer install {' '.join(words)}\n"
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "\nerror: interrupted; nothing has changed\n" in said
    assert machine.layer("cancel").stdout == "No active transaction.\n"
    assert repositories(machine, "install")


def test_another_program_is_left_alone(machine: Machine) -> None:
    host = machine.host()
    with host.sysroot.lock(wait=False, on_wait=lambda: None):
        done = machine.layer("cancel", status=1)
    assert "works on" in done.stderr
    assert "and is not layer: " in done.stderr


def test_who_has_just_ended_is_no_other_program(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["true"]) as process:
        while Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        monkeypatch.setattr(cancelling, "lock_holders", lambda _: (process.pid,))
        assert cancelling.cancel(machine.host()) == ()
