"""What was measured, its medians and spread, and the goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.cost.metering import Cost
from tests.bench.cost.scenes import (
    CLASSIC,
    DNF,
    LARGE,
    LARGE_AGAIN,
    LARGE_KEPT,
    LAYER,
    SMALL,
    SMALL_AGAIN,
    SMALL_ALL,
    SMALL_BOOT,
)

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Subjects:
    """Words for the packages that were layered."""

    small: str
    large: str

    def title(self, scene: str) -> str:
        """A scene in words."""
        return scene.replace("small", self.small).replace("large", self.large)


@dataclass(slots=True)
class Results:
    """All samples of a run, by base size, scene and contender; and where they were taken."""

    facts: dict[str, Any]
    subjects: Subjects
    files: dict[int, int]  # by size
    samples: dict[tuple[int, str, str], list[Cost]] = field(default_factory=dict)
    import_rates: dict[str, list[float]] = field(default_factory=dict)  # MB/s, of layer and floor

    def add(self, size: int, scene: str, contender: str, cost: Cost) -> None:
        """Takes one sample."""
        self.samples.setdefault((size, scene, contender), []).append(cost)

    def median(self, size: int, scene: str, contender: str, unit: str = "clock") -> float | None:
        """The median of seconds by the clock, of processor, or of bytes at the peak."""
        found = self.samples.get((size, scene, contender))
        return statistics.median(getattr(c, unit) for c in found) if found else None

    def phases(self, size: int, scene: str, unit: int) -> dict[str, float]:
        """The medians of layer's phases in a scene: seconds by the clock (0), of processor (1)."""
        found = self.samples.get((size, scene, LAYER), [])
        names = dict.fromkeys(name for cost in found for name in cost.phases)
        return {
            name: statistics.median(cost.phases.get(name, (0.0, 0.0))[unit] for cost in found)
            for name in names
        }

    def as_json(self) -> dict[str, Any]:
        """All of it, and the goals."""
        rows = []
        for (size, scene, contender), costs in self.samples.items():
            kept = [asdict(cost) | {"output": ""} for cost in costs]
            rows.append({"size": size, "scene": scene, "contender": contender, "runs": kept})
        return {
            "facts": self.facts,
            "subjects": asdict(self.subjects),
            "files": self.files,
            "results": rows,
            "import": self.import_rates,
            "goals": [asdict(goal) for goal in goals(self)],
        }

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Results:
        """What `as_json` gave."""
        files = {int(size): files for size, files in found["files"].items()}
        results = cls(found["facts"], Subjects(**found["subjects"]), files)
        for row in found["results"]:
            for run in row["runs"]:
                results.add(row["size"], row["scene"], row["contender"], Cost(**run))
        results.import_rates = dict(found["import"])
        return results


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that is to be at most, or at least, another; None where it was not measured.

    `clock` and `processor` are what was found, by the one and by the other.
    """

    text: str
    limit: float
    clock: float | None
    processor: float | None
    is_least: bool = False
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether it is met, by the clock where that was looked at."""
        found = self.clock if self.clock is not None else self.processor
        if found is None:
            return None
        return found >= self.limit if self.is_least else found <= self.limit


def goals(results: Results) -> tuple[Goal, ...]:
    """The goals, as ratios of medians, on the largest base that was measured."""
    top = max(results.files)
    half = max((size for size in results.files if size <= top / 2), default=None)
    small, large = results.subjects.small, results.subjects.large
    where = f"{top // 1000}k files"
    ratio = _Ratios(results, top)
    found = [
        ratio(f"{small}, commit only / dnf", 1 / 2, SMALL, DNF),
        ratio(f"{small}, commit only / classic, {where}", 1 / 25, SMALL, CLASSIC),
    ]
    if half is not None:
        sizes = f"{top // 1000}k / {half // 1000}k files"
        found += [
            ratio.growth(f"{small}, commit only, {sizes}", 1.1, SMALL, half),
            ratio.growth(f"{small}, to the boot entry, {sizes}", 1.2, SMALL_BOOT, half),
        ]
    found += [
        ratio(f"{large} / dnf", 1.0, LARGE, DNF),
        ratio(f"{large}, imported before / dnf", 0.35, LARGE_KEPT, DNF, LARGE),
        ratio(f"{large}, the same again / dnf", 0.35, LARGE_AGAIN, DNF, LARGE),
        ratio(f"{small}, to the boot entry / classic, {where}", 1 / 12, SMALL_BOOT, CLASSIC),
        ratio(f"{small}, with all deferred work / classic, {where}", 1 / 3, SMALL_ALL, CLASSIC),
    ]
    return (*found, *_others(results, top))


class _Ratios:
    """Ratios of medians on one base, by the clock and by the processor."""

    def __init__(self, results: Results, size: int) -> None:
        self._results = results
        self._size = size

    def __call__(
        self, text: str, limit: float, scene: str, rival: str, other_scene: str = ""
    ) -> Goal:
        """layer's to a rival's."""
        return self._goal(
            text,
            limit,
            lambda unit: self._results.median(self._size, scene, LAYER, unit),
            lambda unit: self._results.median(self._size, other_scene or scene, rival, unit),
        )

    def growth(self, text: str, limit: float, scene: str, size: int) -> Goal:
        """layer's on this base to layer's on a smaller one."""
        return self._goal(
            text,
            limit,
            lambda unit: self._results.median(self._size, scene, LAYER, unit),
            lambda unit: self._results.median(size, scene, LAYER, unit),
        )

    def _goal(
        self,
        text: str,
        limit: float,
        ours: Callable[[str], float | None],
        theirs: Callable[[str], float | None],
    ) -> Goal:
        found: list[float | None] = []
        for unit in ("clock", "processor"):
            one, other = ours(unit), theirs(unit)
            found.append(None if one is None or not other else one / other)
        return Goal(text, limit, *found)


def _others(results: Results, top: int) -> Iterator[Goal]:
    rates = {name: statistics.median(found) for name, found in results.import_rates.items()}
    floor = rates.get("floor")
    yield Goal(
        "import / floor (zstd, SHA-256, write)",
        0.8,
        rates["layer"] / floor if floor else None,
        None,
        is_least=True,
    )
    again = [
        cost
        for size in results.files
        for scene in (SMALL_AGAIN, LARGE_AGAIN)
        for cost in results.samples.get((size, scene, LAYER), [])
    ]
    for what in ("packages unpacked", "triggers executed"):
        most = max((cost.counts.get(what, 0) for cost in again), default=None)
        yield Goal(f"the same install again: {what}", 0, most, None)
    peak = results.median(top, SMALL, LAYER, "peak")
    where = f"repository of {results.facts.get('packages', '?')} packages"
    yield Goal(f"peak memory, {where}", 150, peak / MB if peak else None, None, unit=" MB")


def spread(costs: Sequence[Cost], unit: str = "clock") -> tuple[float, float, float]:
    """Median, least, most."""
    values = [getattr(cost, unit) for cost in costs]
    return statistics.median(values), min(values), max(values)
