"""Programs at once on one sysroot: each finishes or waits, none is lost, all is on record."""

from __future__ import annotations

from dataclasses import replace

from tests.together.running import Crowd
from tests.world import REF, Machine

SECONDS = 8  # `make test-together` goes on for two minutes, with bases to rebase to


def test_verbs_at_once_lose_nothing(machine: Machine) -> None:
    crowd = Crowd(machine, (f"tiny:{REF}",), seed=3, processes=4)
    crowd.work(SECONDS)
    assert list(crowd.problems()) == [], crowd.table()
    assert len(crowd.ended) >= 4


def test_what_is_lost_is_seen(machine: Machine) -> None:
    crowd = Crowd(machine, (f"tiny:{REF}",), processes=1)
    machine.install("web")
    crowd.work(0)
    (one,) = crowd.ended
    assert list(crowd.problems()) == []
    crowd.ended[0] = replace(one, deployed="f" * 64, stderr="Traceback")
    problems = list(crowd.problems())
    assert len(problems) == 2
    assert "Traceback" in problems[0]
    assert problems[1].endswith("which is not on record")
