"""Triggers that run before their turn do what they would do in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layer import spans
from layer.errors import TriggerFailed
from layer.report import Reporter
from layer.running import TriggerOutcome
from layer.sandbox.box import SandboxOptions
from layer.triggers.format import Trigger
from tests.test_running import Bench, make_bench, trigger

NAMES = ("a", "b", "c")
COPIED = "cat /usr/share/out-a/file > /usr/share/out-b/file"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def writer(name: str, script: str = "echo $0 > /usr/share/out-$0/file", **keys: object) -> Trigger:
    """One that has a directory of its own for what it writes."""
    made = f"mkdir -p /usr/share/out-{name}; set -- {name}; {script.replace('$0', name)}"
    return trigger(made, name=name, **{"writes": [f"usr/share/out-{name}/**"], **keys})


def executed(bench: Bench, *triggers: Trigger) -> tuple[TriggerOutcome, int]:
    """What comes of triggers, and how many were executed for it."""
    spans.start(0.0)
    try:
        outcome = bench.run(*triggers)
    finally:
        profile = spans.finish()
    assert profile is not None
    return outcome, dict(profile.counts).get("triggers executed", 0)


def test_triggers_that_do_not_wait_run_at_once(bench: Bench, tmp_path: Path) -> None:
    for name in ("first", "second"):
        os.mkfifo(tmp_path / name)
    # Each waits for the other to be there.
    options = SandboxOptions(extra_binds=((tmp_path, "/tmp/shared"),))
    here, there = "echo > /tmp/shared/first", "cat /tmp/shared/second > /usr/share/out-{}/file"
    outcome = bench.run(
        writer("a", f"{here}; {there.format('a')}"),
        writer("b", "cat /tmp/shared/first > /usr/share/out-b/file; echo > /tmp/shared/second"),
        options=options,
    )
    assert [run.status for run in outcome.runs] == ["done", "done"]
    assert bench.read(outcome.tree, "usr/share/out-b/file") == "\n"


def test_the_outcome_is_that_of_one_after_the_other(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triggers = [writer(name) for name in NAMES]
    at_once, count = executed(bench, *triggers)
    assert count == len(NAMES)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    other = make_bench(tmp_path / "other")
    assert other.run(*triggers) == at_once
    assert [run.name for run in at_once.runs] == list(NAMES)
    assert at_once.written == tuple((f"usr/share/out-{n}/file", n) for n in NAMES)


def test_what_reads_another_ones_output_runs_again(bench: Bench) -> None:
    outcome, count = executed(
        bench,
        writer("a"),
        writer(
            "b", "cat /usr/share/out-a/* > /usr/share/out-b/file || :", reads=["usr/share/out-a/**"]
        ),
    )
    assert bench.read(outcome.tree, "usr/share/out-b/file") == "a\n"
    assert count == 3
    assert len(bench.store.refs("layer/trigger")) == 2


def test_what_comes_after_another_is_not_begun_before_its_end(bench: Bench) -> None:
    """It need not say what it reads of it."""
    outcome, count = executed(
        bench,
        writer("a"),
        writer("b", "cat /usr/share/out-a/* > /usr/share/out-b/file", after=["a"]),
    )
    assert bench.read(outcome.tree, "usr/share/out-b/file") == "a\n"
    assert count == 2


def test_a_failure_before_the_turn_is_none_if_the_turn_goes_well(bench: Bench) -> None:
    outcome, _ = executed(
        bench,
        writer("a"),
        writer(
            "b", "cat /usr/share/out-a/file > /usr/share/out-b/file", reads=["usr/share/out-a/*"]
        ),
    )
    assert bench.read(outcome.tree, "usr/share/out-b/file") == "a\n"


def test_the_first_failure_in_order_is_told_and_nothing_goes_on(bench: Bench) -> None:
    word = f"5{os.getpid()}00.25"  # of a command line that nobody else has
    with pytest.raises(TriggerFailed, match="trigger a failed with status 3"):
        bench.run(
            writer("a", "sleep 1; exit 3"), writer("b", f"sleep {word}"), writer("c", "exit 4")
        )
    assert not list(running(word))


def test_an_interruption_ends_all_that_runs(bench: Bench) -> None:
    word = f"5{os.getpid()}00.75"

    class Interrupting(Reporter):
        def part(self, text: str, phase: str) -> None:
            if "trigger b" in text and phase:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(writer("a"), writer("b", f"sleep {word}", timeout=600), reporter=Interrupting())
    assert not list(running(word))


def running(word: str) -> list[str]:
    """The processes with a word on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if word in words:
            found.append(path.parent.name)
    return found
