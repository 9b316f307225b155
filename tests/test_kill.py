"""Killed anywhere, the program leaves a machine that boots, and nothing that stays.

A sample; `make test-kill` has thousands of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.kill.table import Row, as_text, points, strike_verbs
from tests.kill.tracer import Blow, Place, trace
from tests.kill.verbs import BY_NAME, VERBS, Scene, Verb, scene
from tests.kill.worker import FAULTS, KILL, Fault, expect


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("kill") / "scene") as made:
        yield made


def struck(
    scene: Scene, folder: Path, verbs: Sequence[Verb], faults: Sequence[Fault], most: int
) -> tuple[Row, ...]:
    rows = strike_verbs(scene, verbs, most, folder, seed=most, jobs=1, faults=faults)
    print(f"\n{as_text(rows)}")
    assert [row.wrong for row in rows] == [()] * len(rows), as_text(rows)
    return rows


def test_a_sample_of_kills_leaves_the_old_or_the_new(machines: Scene, tmp_path: Path) -> None:
    rows = struck(machines, tmp_path / "work", VERBS, (KILL,), 1)
    assert {outcome.state for row in rows for outcome in row.outcomes} <= {"old", "new"}


def test_a_sample_of_errors_of_the_disk_is_told_in_a_line(machines: Scene, tmp_path: Path) -> None:
    struck(machines, tmp_path / "work", [BY_NAME["install"], BY_NAME["cleanup"]], FAULTS, 2)


def test_what_is_written_too_late_is_found(machines: Scene, tmp_path: Path) -> None:
    """The refs after the boot entries: the kills between them must tell."""
    (row,) = strike_verbs(
        machines, [BY_NAME["uninstall"]], 2, tmp_path, is_reordered=True, after="ostree/boot.N"
    )
    found = [fault for outcome in row.wrong for fault in outcome.wrong]
    assert any(fault.startswith("refs: none of layer's keeps ") for fault in found), as_text([row])


def test_commits_are_removed_before_their_trees(machines: Scene, tmp_path: Path) -> None:
    """Else who is killed in between leaves what fsck takes for damage."""
    found = expect(machines, BY_NAME["cleanup"], tmp_path)
    objects = "ostree/repo/objects/#."
    gone = [p.where for p in found.places if p.call == "unlinkat" and p.where.startswith(objects)]
    kinds = [where.removeprefix(objects) for where in gone]
    assert "commit" in kinds
    assert kinds.index("dirtree") > max(n for n, kind in enumerate(kinds) if kind == "commit")


@pytest.mark.slow
def test_a_thousand_kills_leave_the_old_or_the_new(machines: Scene, tmp_path: Path) -> None:
    struck(machines, tmp_path / "work", VERBS, (KILL,), 150)


@pytest.mark.slow
def test_errors_of_the_disk_anywhere_are_told_in_a_line(machines: Scene, tmp_path: Path) -> None:
    struck(machines, tmp_path / "work", VERBS, FAULTS, 50)


def test_every_place_is_killed_before_any_is_twice() -> None:
    places = tuple(Place("write", where) for where in "aabbbc")
    assert len({places[n - 1] for n in points(places, 3, "")}) == 3
    assert points(places, 9, "") == (1, 2, 3, 4, 5, 6)
    assert points(places, 9, "", after="b") == (6,)


def test_a_change_of_the_sysroot_itself_ends_no_choice() -> None:
    """Its path is the empty one: nothing before it would be killed."""
    places = tuple(Place("write", where) for where in ("a", "b", "", "c"))
    assert points(places, 9, "") == (1, 2, 3, 4)


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
