"""Which points are killed, and what came of them, as a table."""

from __future__ import annotations

import math
import pickle
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from tests.kill import worker
from tests.kill.tracer import Place
from tests.kill.verbs import Scene, Verb
from tests.kill.worker import KILL, Expected, Fault, Outcome

_ROWS = "rows"
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
        changes = self.expected.changes(self.fault)
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
                    len(changes),
                    sum(o.struck is not None for o in self.outcomes),
                    len(struck),
                    len({*changes, *struck}),
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
    is_reordered: bool = False,
    after: str = "",
    seconds: float = math.inf,
) -> tuple[Row, ...]:
    """Strikes each verb at `most` points, at all where it has fewer; see `points`.

    None is begun after so many `seconds`; those before are spread over the verbs.
    """
    ends = time.monotonic() + seconds
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, worker.load, (is_reordered,)) as pool:
        expected = list(pool.map(partial(_expect, scene, scratch=scratch), verbs))
        rows = list(product(expected, faults))
        work = [
            (row, number)
            for row, (found, fault) in enumerate(rows)
            for number in points(
                found.changes(fault), most, f"{seed} {fault.name} {found.verb}", after
            )
        ]
        random.Random(seed).shuffle(work)
        # Once for each process: with each point it would take longer than the point.
        (scratch / _ROWS).write_bytes(pickle.dumps(rows))
        job = partial(_strike, scene, scratch, ends)
        done = [(row, o) for (row, _), o in zip(work, pool.map(job, work), strict=True) if o]
    return tuple(
        Row(*each, tuple(sorted((o for n, o in done if n == row), key=lambda o: o.number)))
        for row, each in enumerate(rows)
    )


def points(places: Sequence[Place], most: int, seed: str, after: str = "") -> tuple[int, ...]:
    """The numbers of the changes to be killed at: one of each place first, then any others.

    Only those behind the last change of the path `after`, where one is given.
    """
    chance = random.Random(seed)
    found = [n for n, place in enumerate(places, 1) if after and place.where == after]
    begin = max(found, default=0)  # the sysroot itself is "", too
    numbers = list(range(begin + 1, len(places) + 1))
    chance.shuffle(numbers)
    of_place = {places[number - 1]: number for number in numbers}
    first = list(of_place.values())
    chance.shuffle(first)
    others = [number for number in numbers if number not in set(first)]
    return tuple(sorted([*first, *others][:most]))


def as_text(rows: Sequence[Row]) -> str:
    """The table, and below it what went wrong."""
    cells = [_HEAD, *(row.cells for row in rows)]
    sums = [str(sum(int(row.cells[n]) for row in rows)) for n in range(2, len(_HEAD))]
    cells.append(("all", "", *sums))
    lines = [aligned(cells)]
    for row in rows:
        for outcome in row.wrong:
            struck = outcome.struck
            where = f"{struck.call} {struck.where}" if struck else "its end"
            point = f"{outcome.verb}, {row.fault.name} at {outcome.number}"
            lines += ["", f"{point}, {where}: {outcome.state}"]
            lines += [f"  {fault}" for fault in outcome.wrong]
    return "\n".join(lines)


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Lines of as wide columns as their cells need."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _expect(scene: Scene, verb: Verb, scratch: Path) -> Expected:
    return worker.expect(scene, verb, scratch)


@cache
def _read_rows(path: Path) -> Sequence[tuple[Expected, Fault]]:
    rows: Sequence[tuple[Expected, Fault]] = pickle.loads(path.read_bytes())
    return rows


def _strike(scene: Scene, scratch: Path, ends: float, point: tuple[int, int]) -> Outcome | None:
    if time.monotonic() > ends:
        return None
    row, number = point
    found, fault = _read_rows(scratch / _ROWS)[row]
    return worker.strike(scene, found, number, scratch, fault)
