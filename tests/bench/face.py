"""How long help, completion and status take on a machine of full scale.

python -m tests.bench.face [--runs N] [--size FILES]

The machine has a base of 200,000 files, LibreOffice Writer layered over it, and the deployment
before beside that. All questions are asked in turn, again and again; medians are shown, and the
least and the most. Exits with 1 where a goal is missed. On a machine that is busy with other things
the seconds of processor say more than the clock's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layer.report import Reporter
from testdata.distro.full import NotEnoughSpace, ensure_full
from tests.bench.cost.__main__ import accepted_on
from tests.bench.cost.bases import LARGE, SIZES, ensure_bases
from tests.bench.cost.machine import Machine, Start
from tests.bench.cost.metering import Cost, measure
from tests.bench.debian_index import ensure_index
from tests.world import remove

LAYER = str(Path(sys.executable).with_name("layer"))
AT_ONCE, SOON = 0.15, 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Question:
    """A command line, what the shell adds to its environment, and how long it may take."""

    name: str
    words: tuple[str, ...]
    goal: float
    environment: tuple[str, ...] = ()


def completion(*words: str) -> Question:
    """What bash asks when somebody presses the tabulator behind these words."""
    typed = ("layer", *words)
    return Question(
        f"completion of `{' '.join(typed)}`",
        (),
        AT_ONCE,
        (
            "_LAYER_COMPLETE=bash_complete",
            f"COMP_WORDS={' '.join(typed)}",
            f"COMP_CWORD={len(words)}",
        ),
    )


QUESTIONS = (
    Question("layer --help", ("--help",), AT_ONCE),
    Question("layer install --help", ("install", "--help"), AT_ONCE),
    completion("ins"),
    completion("install", "--al"),
    completion("uninstall", "libre"),
    Question("layer status", ("status",), SOON),
    Question("layer status --verbose", ("status", "--verbose"), SOON),
    Question("layer status --json", ("status", "--json"), SOON),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--size", type=int, default=SIZES[-1], choices=SIZES)
    options = parser.parse_args(arguments)
    try:
        full = ensure_full()
        index = ensure_index(real=full.path)
        (base,) = ensure_bases(full, [options.size], Reporter())
    except NotEnoughSpace as error:
        sys.exit(f"bench: {error}")
    with tempfile.TemporaryDirectory(prefix="layer-face-", dir="/var/tmp") as folder:
        start = Start(base.repository, base.versions, index.path)
        machine = Machine(Path(folder, "machine"), start, is_synced=False)
        try:
            names = accepted_on(machine)
            consent = [word for name in names for word in ("--accept-unscripted", name)]
            machine.layer("install", *consent, LARGE)
            costs = ask(machine.path, options.runs)
        finally:
            remove([machine.path])
    print(
        f"{base.files:,} files in the base, {LARGE} layered, {options.runs} runs each; load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n"
    )
    print(f"{'':40} {'median':>8} {'least':>8} {'most':>8} {'processor':>10} {'goal':>7}")
    missed = [question.name for question in QUESTIONS if not show(question, costs[question])]
    if missed:
        sys.exit(f"bench: slower than their goal: {', '.join(missed)}")


def ask(sysroot: Path, runs: int) -> dict[Question, list[Cost]]:
    """All questions in turn, so many times; the first time, which warms the caches, is left out."""
    costs: dict[Question, list[Cost]] = {question: [] for question in QUESTIONS}
    for number in range(runs + 1):
        for question in QUESTIONS:
            settings = (f"OSTREE_SYSROOT={sysroot}", *question.environment)
            cost = measure(["env", *settings, LAYER, *question.words], None)
            assert cost.output, question.name
            if number:
                costs[question].append(cost)
    return costs


def show(question: Question, costs: Sequence[Cost]) -> bool:
    """A line of the table; whether the goal is reached."""
    clocks = [cost.ended for cost in costs]
    median = statistics.median(clocks)
    processor = statistics.median(cost.processor for cost in costs)
    figures = [f"{seconds:7.3f}s" for seconds in (median, min(clocks), max(clocks))]
    print(f"{question.name:40} {' '.join(figures)} {processor:9.3f}s {question.goal:6.2f}s")
    return median <= question.goal


if __name__ == "__main__":
    main()
