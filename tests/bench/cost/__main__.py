"""What layering costs as the base grows, beside dnf, rpm and the classic way, in one run.

python -m tests.bench.cost [--quick] [--readme] [--again] [--rounds N] [--size N]... [--json FILE]

The bases are made of the full set once and kept (minutes, and 20 GB where it is not built). In
each round every scene is played on every base by all contenders, in turns that change; both sides
of a pair stop at the same point. Medians are shown with their spread. On a machine that is busy
with other things the seconds of processor say more than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from layer.report import Reporter
from layer.rpmfile.database import read_database
from testdata.distro.full import NotEnoughSpace, ensure_full
from tests.bench.cost import pictures, tables
from tests.bench.cost.bases import LARGE, SIZES, SMALL, Base, ensure_bases
from tests.bench.cost.machine import Machine, Start
from tests.bench.cost.results import Results, Subjects
from tests.bench.cost.rivals import DATABASE, Classic, Root, compile_classic
from tests.bench.cost.scenes import Stage, Subject
from tests.bench.debian_index import ensure_index
from tests.world import remove

ROOT = Path(__file__).parents[3]
ACCEPTED = ("libreoffice-common",)  # its trigger on apparmor's old files
ACCEPTED_OF_BASES = ("gnome-menus",)  # file triggers of larger bases
_COUNT = 47  # packages of the large one
_LIST = ROOT / "packaging/bench-packages.txt"
_ROUNDS, _QUICK_ROUNDS = 3, 2
_QUICK_SIZES = SIZES[:2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = _parse(arguments)
    if options.again:
        _show(Results.parse(json.loads(options.json.read_text())), options)
        return
    if missing := _missing():
        sys.exit(f"bench: not installed: {', '.join(missing)}; `make bench` installs them")
    sizes = options.size or (_QUICK_SIZES if options.quick else SIZES)
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    try:
        full = ensure_full()
        index = ensure_index(real=full.path)
        bases = ensure_bases(full, sizes, _Steps())
    except NotEnoughSpace as error:
        sys.exit(f"bench: {error}")
    results = Results(
        facts(rounds, index.count, is_synced=not options.unsynced),
        Subjects(SMALL, f"LibreOffice Writer in {_COUNT} packages"),
        {base.size: base.files for base in bases},
    )
    work = Path(tempfile.mkdtemp(prefix="layer-bench-", dir=options.directory))
    try:
        stages = _stages(work, bases, index.path, is_synced=not options.unsynced)
        try:
            measure(stages, results, rounds)
            _measure_import(stages, results, work, rounds)
        except KeyboardInterrupt:
            if not results.samples:
                raise
            print("interrupted: these are the results until now", flush=True)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(f"{json.dumps(results.as_json(), indent=1)}\n")
        _show(results, options)
    finally:
        print("removing what the scenes made: minutes", flush=True)
        remove(list(work.glob("*/sysroot")))
        shutil.rmtree(work)


def _show(results: Results, options: argparse.Namespace) -> None:
    print(tables.text(results))
    drawn = pictures.draw(results, ROOT / "docs" if options.readme else options.json.parent)
    print("written:", options.json, *drawn)
    if options.readme:
        names = [str(path.relative_to(ROOT)) for path in drawn]
        tables.write_readme(ROOT / "README.md", tables.markdown(results, names))


def measure(stages: dict[int, Stage], results: Results, rounds: int) -> None:
    """Plays all rounds; the first one on each base, in which trees are compared, counts too."""
    began = time.monotonic()
    for number in range(rounds):
        for size, stage in sorted(stages.items(), reverse=bool(number % 2)):
            for scene, contender, cost in stage.play(
                is_first=number == 0, is_turned=bool(number % 2)
            ):
                results.add(size, scene, contender, cost)
            passed = time.monotonic() - began
            print(f"{passed:5.0f} s: round {number + 1} of {rounds}, {size:,}", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small bases, few rounds")
    parser.add_argument("--readme", action="store_true", help="put the results into the README")
    parser.add_argument(
        "--unsynced", action="store_true", help="wait for no disk: on a machine that is busy"
    )
    parser.add_argument(
        "--again", action="store_true", help="show what --json has; measure nothing"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--size", type=int, action="append", choices=SIZES)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/cost.json")
    return parser.parse_args(arguments)


def _missing() -> list[str]:
    """What of the list is not installed."""
    wanted = [line for line in _LIST.read_text().split("\n") if line and line[0] != "#"]
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *wanted]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return sorted(set(wanted) - set(_installed(done.stdout)))


def _installed(answer: str) -> list[str]:
    rows = (line.split() for line in answer.splitlines())
    return [name for name, status in rows if status == "installed"]


def _stages(
    work: Path, bases: Sequence[Base], packages: Path, *, is_synced: bool
) -> dict[int, Stage]:
    """A machine for each base, with caches that are warm and page caches, too."""
    classic = compile_classic(work)
    stages = {}
    for base in bases:
        print(f"a machine on {base.files:,} files", flush=True)
        start = Start(base.repository, base.versions, packages)
        machine = Machine(work / base.name, start, is_synced=is_synced)
        stages[base.size] = make_stage(
            machine, classic, Subject(SMALL, LARGE, accepted_on(machine))
        )
    return stages


def accepted_on(machine: Machine) -> tuple[str, ...]:
    """Whose scriptlets the large package needs consent for over a machine's base."""
    there = {nevra.name for nevra in read_database(machine.deployment / DATABASE)}
    return (*ACCEPTED, *(name for name in ACCEPTED_OF_BASES if name in there))


def make_stage(machine: Machine, classic: Classic, subject: Subject) -> Stage:
    """All contenders on a machine, their caches warm."""
    root = Root(machine)
    root.dnf(subject.small)
    machine.layer("install", subject.small, is_deployed=False)
    machine.reset()
    return Stage(machine, subject, root, classic)


def _measure_import(stages: dict[int, Stage], results: Results, work: Path, rounds: int) -> None:
    """How fast the packages are imported, beside what no program can avoid."""
    bench: Any = import_module("tests.bench.import")
    files = next(iter(stages.values())).machine.taken[LARGE]
    assert len(files) == _COUNT, f"{len(files)} packages are layered, not {_COUNT}"
    folder = work / "import"
    folder.mkdir()
    for path in files:
        (folder / path.name).symlink_to(path)
    items = bench.read_items(folder)
    ways = {"layer": bench.with_layer, "floor": _floor(bench)}
    times = bench.measure(ways, items, rounds, folder)
    size = sum(item.size for item in items) / 1e6
    results.import_rates = {
        name: [size / time.clock for time in found] for name, found in times.items()
    }


def _floor(bench: Any) -> Any:
    """With as many threads as the import has."""

    def run(items: Any, target: Path) -> None:
        bench.floor(items, target, threads=bench.THREADS)

    return run


def facts(rounds: int, packages: int, *, is_synced: bool = True) -> dict[str, Any]:
    """Where and how a run was made."""
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    version = subprocess.check_output(["ostree", "--version"], text=True).split("'")[1]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{model}, {memory / 1e9:.0f} GB",
        "system": f"Linux {platform.release()}, libostree {version}",
        "processors": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "runs": rounds,
        "packages": packages,
        "synced": is_synced,
    }


class _Steps(Reporter):
    """Says how far the bases are."""

    def step(self, text: str) -> None:
        print(f"{time.strftime('%T')} {text}", flush=True)

    note = step


if __name__ == "__main__":
    main()
