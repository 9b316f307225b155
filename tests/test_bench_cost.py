"""The benchmark's smallest scene: all contenders on the tiny base, and what is made of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.cost import pictures, tables
from tests.bench.cost.__main__ import facts, make_stage, measure
from tests.bench.cost.machine import Machine, Start
from tests.bench.cost.metering import Cost
from tests.bench.cost.results import Results, Subjects, goals
from tests.bench.cost.rivals import compile_classic
from tests.bench.cost.scenes import (
    CLASSIC,
    DNF,
    LARGE,
    LAYER,
    RPM,
    SCENES,
    SMALL,
    SMALL_ALL,
    SMALL_BOOT,
    Stage,
    Subject,
    Unequal,
)
from tests.bench.cost.selection import Graph, Member, alternatives, grown
from tests.world import base_packages, make_world, remove

TOOLS = [tool for tool in ("dnf", "gcc", "pkg-config") if shutil.which(tool) is None]
SIZE = 1000
wants_tools = pytest.mark.skipif(bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)}")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The tiny machine, on which `web` is the small package and `pear` the large one."""
    path = tmp_path_factory.mktemp("bench")
    with make_world(path) as world:
        world.publish(*base_packages("2"))
        versions = (world.base.checksum, world.compose().checksum)
        start = Start(path / "build/repo", versions, world.packages)
        machine = Machine(path / "machine", start, is_synced=False)
        yield make_stage(machine, compile_classic(path), Subject("web", "pear"))
    remove([machine.path])


@wants_tools
def test_a_round_plays_every_scene_by_all_who_can(stage: Stage, tmp_path: Path) -> None:
    results = Results(facts(1, 20), Subjects("web", "pear"), {SIZE: 30})
    measure({SIZE: stage}, results, 1)
    played = {(scene, contender) for _, scene, contender in results.samples}
    assert played == {
        *((scene, LAYER) for scene in SCENES),
        *((scene, rival) for scene in (SMALL, LARGE) for rival in (DNF, RPM)),
        *((scene, CLASSIC) for scene in (SMALL, SMALL_BOOT, SMALL_ALL)),
    }
    costs = [cost for found in results.samples.values() for cost in found]
    assert all(cost.processor > 0 and 0 < cost.ended <= cost.clock for cost in costs)
    assert {goal.text: goal.clock for goal in goals(results) if goal.limit == 0} == {
        "the same install again: packages unpacked": 0,
        "the same install again: triggers executed": 0,
    }
    shown = tables.text(results)
    assert all(results.subjects.title(scene) in shown for scene in SCENES)
    assert tables.text(Results.parse(json.loads(json.dumps(results.as_json())))) == shown


@wants_tools
def test_trees_that_differ_end_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(stage.root), "differences", lambda *_: ["/usr/bin/web"])
    with pytest.raises(Unequal, match="dnf --installroot did not make /usr/bin/web"):
        next(stage.play(is_first=True, is_turned=False))


def made(small: float) -> Results:
    """Results of one size, in which layer's small scene takes so many seconds."""
    known = {
        "date": "2026-01-02",
        "machine": "a machine",
        "system": "Linux",
        "runs": 3,
        "load": 0.5,
        "processors": 2,
        "packages": 60000,
        "synced": True,
    }
    results = Results(known, Subjects("web", "pear"), {SIZE: 30})
    cost = Cost(small, small, small, 0.0, 1 << 20, phases={"solve": (small, small)})
    for seconds in (1, 3, 2):
        results.add(SIZE, SMALL, LAYER, replace(cost, clock=small * seconds))
    results.add(SIZE, SMALL, DNF, replace(cost, clock=1.0, user=1.0))
    results.add(SIZE, SMALL, CLASSIC, replace(cost, clock=10.0))
    return results


def test_goals_are_ratios_of_medians() -> None:
    first, second = goals(made(0.2))[:2]
    assert (first.clock, first.processor, first.is_met) == (0.4, 0.2, True)
    assert (second.clock, second.is_met) == (pytest.approx(0.04), True)
    first, second = goals(made(0.3))[:2]
    assert (first.is_met, second.is_met) == (False, False)


def test_the_readme_gets_what_was_measured_and_keeps_the_rest(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    block = tables.markdown(made(0.2), ["docs/cost-curves.svg"])
    tables.write_readme(readme, block)
    assert readme.read_text() == f"before\n{tables.BEGIN}\n{block}\n{tables.END}\nafter\n"
    assert "| web, commit only / dnf | <= 0.5 | 0.4 | 0.2 |" in block
    assert "| web, commit only / classic, 1k files | <= 1/25 | 1/25.0 | 1/1.0 |" in block
    assert "| web, commit only | layer | 0.40 (0.20) |" in block
    assert "![cost-curves](docs/cost-curves.svg)" in block


def test_the_same_results_are_the_same_pictures(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        drawn.append([path.read_text() for path in pictures.draw(made(0.2), tmp_path / name)])
    assert drawn[0] == drawn[1]
    assert all("<svg" in text and "<script" not in text for text in drawn[0])
    assert "layer: web, commit only" in drawn[0][0]
    assert "solve" in drawn[0][1]


def member(name: str, *requires: str, files: int = 10) -> Member:
    """A package that provides its name."""
    return Member(name, frozenset([name]), tuple(alternatives(r) for r in requires), files)


def test_bases_grow_by_closed_sets_without_what_is_layered() -> None:
    graph = Graph(
        [
            member("core"),
            member("a", "b"),
            member("b", "core"),
            member("large"),
            member("plugin", "large"),
            member("either", "(large or b)"),
            member("huge", files=100),
        ]
    )
    without = graph.tainted(["large"])
    assert without == {"large", "plugin"}
    assert grown(graph, {"core"}, without, (25, 45)) == {
        25: ("b", "core"),
        45: ("a", "b", "core", "either"),
    }
    assert graph.leaves({"a", "b", "core", "either"}) == ["a", "either"]
