"""`layer --profile`: where a run's time went."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from layer import spans
from tests.world import Machine, World, layer

# Of an install whose packages are new and fire a trigger.
INSTALL = [
    *("start", "solve", "plan", "download", "import", "merge", "triggers", "rpmdb", "labels"),
    *("commit", "deploy", "rest"),
]


def test_an_install_shows_all_its_phases_and_they_make_up_the_run(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    written = tmp_path / "profile.json"
    words = ["--sysroot", str(machine.path), "--repo-dir", str(world.repo_dir), "-y", "pear"]
    began = time.monotonic()
    done = layer("--profile-json", str(written), "install", *words)
    took = time.monotonic() - began
    profile = json.loads(written.read_text())
    assert [phase["name"] for phase in profile["phases"]] == INSTALL
    for unit in ("seconds", "processor"):
        assert sum(phase[unit] for phase in profile["phases"]) == pytest.approx(profile[unit])
        assert all(phase[unit] >= 0 for phase in profile["phases"])
    # The kernel tells a process's start to a hundredth; the interpreter's end is in no profile.
    assert 0 < profile["seconds"] <= took + 0.02
    assert profile["counts"] == {"packages unpacked": 2, "triggers executed": 1}
    assert "PHASE" not in done.stderr


def test_the_same_install_again_unpacks_and_executes_nothing(
    machine: Machine, world: World
) -> None:
    words = ("--sysroot", str(machine.path), "--repo-dir", str(world.repo_dir), "-y", "pear")
    layer("install", *words)
    layer("uninstall", "--sysroot", str(machine.path), "-y", "pear")
    lines = layer("--profile", "install", *words).stderr.splitlines()
    table = lines[lines.index("PHASE       SECONDS  PROCESSOR  SHARE") + 1 :]
    assert [line.split()[0] for line in table[: len(INSTALL) + 1]] == [*INSTALL, "all"]
    assert table[len(INSTALL) + 1 :] == ["triggers not executed, as their output is known: 1"]


def test_what_is_read_by_programs_gets_one_object(machine_kept: Machine) -> None:
    words = ["status", "--sysroot", str(machine_kept.path)]
    told = layer("--json-progress", "--profile", *words).stderr.splitlines()
    events = [json.loads(line) for line in told]
    assert [event["event"] for event in events] == ["begin", "profile", "end"]
    assert [phase["name"] for phase in events[1]["phases"]] == ["start", "rest"]


def test_a_failed_run_is_told_too(machine_kept: Machine) -> None:
    words = ["uninstall", "--sysroot", str(machine_kept.path), "-y", "nonesuch"]
    lines = layer("--profile", *words, status=1).stderr.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["PHASE", "start", "plan", "rest"]
    assert lines[5].startswith("error: never asked for: nonesuch")


def test_a_file_that_cannot_be_written_is_a_note(machine_kept: Machine, tmp_path: Path) -> None:
    file = tmp_path / "none" / "profile.json"
    done = layer("--profile-json", str(file), "status", "--sysroot", str(machine_kept.path))
    assert done.stderr.startswith("note: the profile is not written: ")


def test_nobody_who_did_not_ask_is_told(machine_kept: Machine) -> None:
    assert layer("status", "--sysroot", str(machine_kept.path)).stderr == ""
    spans.tally("packages unpacked")
    with spans.phase("solve"):
        assert spans.finish() is None


def test_an_inner_phase_is_not_the_outer_ones() -> None:
    spans.start(1.0)
    with spans.phase("import"):
        with spans.phase("download"):
            time.sleep(0.05)
        time.sleep(0.02)
    time.sleep(0.01)
    profile = spans.finish()
    assert profile is not None
    clock = {span.name: span.clock for span in profile.spans}
    assert list(clock) == ["start", "download", "import", "rest"]
    assert clock["start"] == 1.0
    assert clock["download"] >= 0.05
    assert clock["import"] >= 0.02
    assert clock["rest"] >= 0.01
    assert profile.clock == sum(clock.values())


def test_other_threads_leave_the_phases_alone() -> None:
    spans.start(0.0)
    with spans.phase("import"):
        thread = threading.Thread(target=spans.phase("solve")(lambda: None))
        thread.start()
        thread.join()
    profile = spans.finish()
    assert profile is not None
    assert [span.name for span in profile.spans] == ["start", "import", "rest"]


def test_a_phase_that_nobody_knows_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        spans.phase("nap")
