"""`layer history`: what was done, kept beside the deployments and never in their way."""

from __future__ import annotations

import json
import time

import pytest

from layer import recording
from layer.history import Entry, as_object, format_entry, parse_entries, with_boots
from tests.cli import do
from tests.world import REF, STATEROOT, Machine

PLACE = f"ostree/deploy/{STATEROOT}/var/lib/layer/history.jsonl"


def test_each_change_is_noted_and_nothing_else(machine: Machine) -> None:
    start = int(time.time())
    options = ["--sysroot", str(machine.path), "--repo-dir", str(machine.world.repo_dir)]
    do(machine, "install", "-y", "apple", env={"RPMOSTREE_CLIENT_ID": "agent-x"})
    do(machine, "install", "-n", "web")
    do(machine, "uninstall", "-y", "nosuch", status=1)
    do(machine, "uninstall", "-y", "apple")
    do(machine, "rollback", "-y")
    rolled, gone, come, first = json.loads(do(machine, "history", "--json").stdout)
    assert first["base"] == {
        "source": f"tiny:{REF}",
        "checksum": machine.world.base.checksum,
        "version": "1",
    }
    assert "previous-base" not in first
    assert come["command"] == ["install", *options, "-y", "apple"]
    assert come["agent"] == "agent-x"
    assert (come["requested"], come["added"]) == (
        ["apple"],
        ["apple-1-1.x86_64", "libseed-1-1.x86_64"],
    )
    assert (gone["dropped"], gone["removed"]) == (["apple"], come["added"])
    assert rolled["checksum"] == come["checksum"] == machine.pending().checksum
    times = [entry["time"] for entry in (first, come, gone, rolled)]
    assert times == sorted(times)
    assert start <= times[1] <= times[-1] <= time.time()
    assert len({entry["user"] for entry in (come, gone, rolled)}) == 1
    shown = do(machine, "history", "-n", "1").stdout
    assert shown.splitlines()[0].endswith(f"Z  layer rollback --sysroot {machine.path} -y")
    assert shown.count("Commit: ") == 1


def test_a_history_that_cannot_be_written_is_a_note(machine: Machine) -> None:
    file = machine.path / PLACE
    file.unlink()
    file.mkdir()
    done = do(machine, "install", "-y", "apple")
    assert "note: the history cannot be written: " in done.stderr
    assert machine.layered() == ["apple", "libseed"]


def test_a_line_that_was_cut_or_is_newer_is_passed_over(machine: Machine) -> None:
    file = machine.path / PLACE
    with file.open("a") as out:
        out.write('{"schema":2,"new":true}\n{"schema":1,"time":')
    do(machine, "install", "-y", "apple")
    done = do(machine, "history", "--json")
    assert len(json.loads(done.stdout)) == 2
    assert "note: 2 lines of the history cannot be read by this version\n" in done.stderr


def test_the_file_does_not_grow_for_ever(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host()
    file = machine.path / PLACE
    monkeypatch.setattr(recording, "_LARGEST", 4000)
    for _ in range(40):
        recording.record_order(host, host.require_pending())
        assert file.stat().st_size < 5000
    assert len(recording.read_history(host)[0]) > 5


def test_an_entry_is_read_as_it_was_written() -> None:
    entry = Entry(1, "a", "b", ("install", "x"), upgraded=(("x-1", "x-2"),), running="c")
    assert parse_entries([format_entry(entry)]) == ((entry,), 0)
    assert as_object(Entry(1, "a", "b")) == {
        "schema": 1,
        "time": 1,
        "stateroot": "a",
        "checksum": "b",
    }


@pytest.mark.parametrize("line", ["", "x", "[]", "{}", '{"schema":1}', '{"schema":1,"time":"x"}'])
def test_what_is_no_entry_is_counted(line: str) -> None:
    assert parse_entries([line]) == ((), 1)


def test_a_commit_has_booted_if_it_ran_at_a_later_change_or_runs_now() -> None:
    entries = [Entry(n, "a", f"c{n}", running=f"c{n - 2}") for n in (1, 2, 3, 4)]
    found = with_boots(entries, ["c4"])
    assert [entry.has_booted for entry in found] == [True, True, False, True]
