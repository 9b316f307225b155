"""Killed anywhere, the program leaves a machine that boots, and nothing that stays.

A sample; `make test-kill` has thousands of points.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.table import Row, as_text, kill_verbs, points
from tests.kill.tracer import Blow, Place, trace
from tests.kill.verbs import VERBS, Scene, scene
from tests.kill.worker import Expected


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("kill") / "scene") as made:
        yield made


def killed(scene: Scene, folder: Path, most: int, seed: int) -> tuple[Row, ...]:
    rows = kill_verbs(scene, VERBS, most, folder, seed=seed, jobs=1)
    print(f"\n{as_text(rows)}")
    return rows


def test_a_sample_of_kills_leaves_the_old_or_the_new(machines: Scene, tmp_path: Path) -> None:
    rows = killed(machines, tmp_path / "work", 3, 0)
    assert [row.wrong for row in rows] == [()] * len(VERBS), as_text(rows)
    assert {outcome.state for row in rows for outcome in row.outcomes} == {"old", "new"}


@pytest.mark.slow
def test_a_thousand_kills_leave_the_old_or_the_new(machines: Scene, tmp_path: Path) -> None:
    rows = killed(machines, tmp_path / "work", 150, 1)
    assert [row.wrong for row in rows] == [()] * len(VERBS), as_text(rows)


def test_every_place_is_killed_before_any_is_twice() -> None:
    places = tuple(Place("write", where) for where in "aabbbc")
    expected = Expected("install", places, 0, (), (), frozenset())
    assert len({places[n - 1] for n in points(expected, 3, 0)}) == 3
    assert points(expected, 9, 0) == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("blow", "left"), [(Blow(2), ["a"]), (Blow(3), ["a", "b"]), (Blow(1, errno=28), [])]
)
def test_the_tracer_strikes_before_the_change_is_made(
    blow: Blow, left: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def make() -> None:
        for name in "abc":
            (folder / name).mkdir()

    done = trace(make, folder, tmp_path / "output", blow)
    assert sorted(path.name for path in folder.iterdir()) == left
    assert done.struck == Place("mkdir", "abc"[blow.number - 1])
