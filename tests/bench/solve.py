"""What a plan costs beside dnf's over the same 63,000 packages, both from warm caches.

python -m tests.bench.solve [--runs N] [--package NAME]

The machine has the demonstration's base. The runs are interleaved; medians are shown. dnf is
Debian's package `dnf`, which nothing else here needs: install it before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layer.compose import compose_and_publish
from layer.report import SILENT
from testdata.distro.build import ensure_demo
from tests.bench.debian_index import LargeRepository, ensure_index
from tests.test_demo_base import TREEFILE, DemoWorld
from tests.world import remove, served, write_repo_file

MOST_TIME = 0.2  # of dnf's
MOST_MEMORY = 150 << 20
LAYER = str(Path(sys.executable).with_name("layer"))
# Of its own, and small: else the peak would count what this process had before exec.
_METER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
output = process.stdout.read().decode()
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, output]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, seconds of processor, bytes at the peak; and what was printed."""

    clock: float
    processor: float
    peak: int
    output: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; exits with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--package", default="strace")
    options = parser.parse_args(arguments)
    if shutil.which("dnf") is None:
        sys.exit("bench-solve: there is no dnf here: apt-get install --no-install-recommends dnf")
    index = ensure_index()
    with tempfile.TemporaryDirectory(prefix="layer-bench-", dir="/var/tmp") as name:
        work = Path(name)
        try:
            commands = {
                "layer": _layer(work, index, options.package),
                "dnf": _dnf(work, index, options.package),
                "layer --help": [LAYER, "--help"],
            }
            costs = _measure(commands, options.runs)
        finally:
            remove([work / "sysroot"])
    _print(index, options.package, costs)


def _layer(work: Path, index: LargeRepository, package: str) -> list[str]:
    """A machine with the demonstration's base, and the command that plans on it."""
    base_repos, repos = work / "base-repos", work / "repos"
    base_repos.mkdir()
    repos.mkdir()
    write_repo_file(base_repos, "demo", ensure_demo().path.as_uri())
    write_repo_file(repos, "debian", index.path.as_uri())
    composed = compose_and_publish(TREEFILE, work / "served", (base_repos,), work / "build", SILENT)
    with served(work / "served") as url:
        DemoWorld(work, url, composed).machine(work / "sysroot")
    words = ["--sysroot", str(work / "sysroot"), "--repo-dir", str(repos)]
    return [LAYER, "install", "--dry-run", *words, package]


def _dnf(work: Path, index: LargeRepository, package: str) -> list[str]:
    """The same packages installed, where this machine's rpm looks for its database."""
    (deployment,) = (work / "sysroot/ostree/deploy/demo/deploy").glob("*.0")
    evaluated = subprocess.check_output(["rpm", "--eval", "%{_dbpath}"], text=True)
    place = work / "installed" / evaluated.strip().lstrip("/")
    shutil.copytree(deployment / "usr/share/rpm", place)
    settings = {
        "cachedir": work / "dnf",
        "reposdir": work / "none",
        "install_weak_deps": 0,
        "pluginpath": work / "none",
    }
    return [
        *("dnf", "--installroot", str(work / "installed"), "--releasever", "12"),
        *("--forcearch", "x86_64", "--nogpgcheck", "--disablerepo", "*"),
        *("--repofrompath", f"debian,{index.path.as_uri()}"),
        *(f"--setopt={key}={value}" for key, value in settings.items()),
        *("--assumeno", "install", package),
    ]


def _measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[Cost]]:
    for _ in range(2):  # fills the caches
        for command in commands.values():
            _cost(command)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(_cost(command))
    return costs


def _cost(command: Sequence[str]) -> Cost:
    # As installed: byte-code is kept.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    meter = [sys.executable, "-S", "-c", _METER, *command]
    return Cost(*json.loads(subprocess.check_output(meter, env=environment)))


def _print(index: LargeRepository, package: str, costs: dict[str, list[Cost]]) -> None:
    print(f"{package} of {index.count} packages, medians of {len(costs['dnf'])}")
    print(f"  {'':<14}{'clock':>8}{'processor':>12}{'peak':>10}")
    middle = {name: [_median(found, i) for i in range(3)] for name, found in costs.items()}
    for name, (clock, processor, peak) in middle.items():
        print(f"  {name:<14}{clock:>6.2f} s{processor:>10.2f} s{peak / (1 << 20):>7.0f} MB")
    for name in ("layer", "dnf"):
        if package not in costs[name][0].output:
            sys.exit(f"bench-solve: {name} planned something else:\n{costs[name][0].output}")
    ratio = middle["layer"][1] / middle["dnf"][1]
    peak = middle["layer"][2]
    print(f"processor time, layer to dnf: {ratio:.2f} (goal: at most {MOST_TIME})")
    print(f"peak: {peak / (1 << 20):.0f} MB (goal: at most {MOST_MEMORY >> 20} MB)")
    if ratio > MOST_TIME or peak > MOST_MEMORY:
        sys.exit("bench-solve: a goal is missed")


def _median(costs: Sequence[Cost], which: int) -> float:
    return statistics.median((c.clock, c.processor, c.peak)[which] for c in costs)


if __name__ == "__main__":
    main()
