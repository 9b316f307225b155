"""Which points are killed, and what came of them, as a table."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from tests.kill import worker
from tests.kill.verbs import Scene, Verb
from tests.kill.worker import KILL, Expected, Fault, Outcome

_HEAD = (
    "verb",
    "fault",
    "changes",
    "struck",
    "places",
    "of",
    "old",
    "new",
    "fsck",
    "repeat",
    "other",
)


@dataclass(frozen=True)
class Row:
    """What came of the kills of one verb."""

    expected: Expected
    fault: Fault
    outcomes: tuple[Outcome, ...]

    @property
    def wrong(self) -> tuple[Outcome, ...]:
        """The kills that left something that must not be."""
        return tuple(outcome for outcome in self.outcomes if outcome.wrong)

    @property
    def cells(self) -> tuple[str, ...]:
        """The figures of the table."""
        struck = {o.struck for o in self.outcomes if o.struck}
        wrong = [fault for outcome in self.wrong for fault in outcome.wrong]
        fsck = sum("fsck: " in fault for fault in wrong)
        again = sum(fault.startswith("run again: ") for fault in wrong)
        return (
            self.expected.verb,
            self.fault.name,
            *map(
                str,
                (
                    len(self.expected.places),
                    sum(o.struck is not None for o in self.outcomes),
                    len(struck),
                    len({*self.expected.places, *struck}),
                    *(sum(o.state == state for o in self.outcomes) for state in ("old", "new")),
                    fsck,
                    again,
                    len(wrong) - fsck - again,
                ),
            ),
        )


def strike_verbs(
    scene: Scene,
    verbs: Sequence[Verb],
    most: int,
    scratch: Path,
    *,
    seed: int = 0,
    jobs: int = 2,
    faults: Sequence[Fault] = (KILL,),
) -> tuple[Row, ...]:
    """Strikes each verb at `most` points, at all where it has fewer; see `points`."""
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=worker.load) as pool:
        expected = list(pool.map(partial(_expect, scene, scratch=scratch), verbs))
        rows = []
        for found, fault in product(expected, faults):
            job = partial(_strike, scene, found, scratch=scratch, fault=fault)
            numbers = points(found, most, f"{seed} {fault.name}")
            rows.append(Row(found, fault, tuple(pool.map(job, numbers))))
    return tuple(rows)


def points(expected: Expected, most: int, seed: str) -> tuple[int, ...]:
    """The numbers of the changes to be killed at: one of each place first, then any others."""
    chance = random.Random(f"{seed} {expected.verb}")
    numbers = list(range(1, len(expected.places) + 1))
    chance.shuffle(numbers)
    of_place = {expected.places[number - 1]: number for number in numbers}
    first = list(of_place.values())
    chance.shuffle(first)
    others = [number for number in numbers if number not in set(first)]
    return tuple(sorted([*first, *others][:most]))


def as_text(rows: Sequence[Row]) -> str:
    """The table, and below it what went wrong."""
    cells = [_HEAD, *(row.cells for row in rows)]
    sums = [str(sum(int(row.cells[n]) for row in rows)) for n in range(2, len(_HEAD))]
    cells.append(("all", "", *sums))
    widths = [max(len(line[n]) for line in cells) for n in range(len(_HEAD))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    for row in rows:
        for outcome in row.wrong:
            struck = outcome.struck
            where = f"{struck.call} {struck.where}" if struck else "its end"
            point = f"{outcome.verb}, {row.fault.name} at {outcome.number}"
            lines += ["", f"{point}, {where}: {outcome.state}"]
            lines += [f"  {fault}" for fault in outcome.wrong]
    return "\n".join(lines)


def _expect(scene: Scene, verb: Verb, scratch: Path) -> Expected:
    return worker.expect(scene, verb, scratch)


def _strike(scene: Scene, expected: Expected, number: int, scratch: Path, fault: Fault) -> Outcome:
    return worker.strike(scene, expected, number, scratch, fault)
