"""`layer trigger verify` over one tree of the whole full set.

python -m tests.bench.verify_full [--directory DIR] [TRIGGER ...]

Builds the full set where it is not built, composes all its packages into one tree but those that
cannot be in it, deploys that and verifies every trigger; those that have nothing to do there, over
the trees of their cases. What was made stays in DIR, and is taken again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layer.compose import compose_tree
from layer.report import Reporter
from layer.repos import read_repositories
from layer.store.objects import OstreeStore
from layer.store.sysroot import initialize
from layer.treefile import parse_treefile
from layer.verifying import Result
from testdata.distro.cache import default_cache
from testdata.distro.full import FullRepository, ensure_full
from tests.scriptlet_sides import TREEFILE
from tests.test_trigger_cases import verify_case
from tests.world import write_repo_file

REF = "full/12/x86_64/base"
STATEROOT = "full"
# Why a package of the set is not in the tree.
DROPPED = {
    "linux-image-amd64": "a second kernel: a tree has one",
    "linux-image-6.1.0-56-amd64": "a second kernel: a tree has one",
    "demo-newglibc": "made to be refused: it needs a C library that nobody has",
}
IDLE = {"no input", "no tool"}
_WIDTH = 400  # of a line that is shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Compose, deploy and verify; exits with 1 where a trigger does not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("triggers", nargs="*")
    options = parser.parse_args(arguments)
    full = ensure_full()
    sysroot = options.directory or default_cache() / f"verify-{full.path.parent.name}"
    if not (sysroot / "ready").exists():
        _make(full, sysroot)
    _verify_cases(_verify(sysroot, options.triggers))


class _Steps(Reporter):
    def step(self, text: str) -> None:
        print(f"{time.strftime('%T')} {text}", flush=True)

    note = step


def _make(full: FullRepository, sysroot: Path) -> None:
    """A sysroot whose only deployment has the packages."""
    began = time.monotonic()
    initialize(sysroot, STATEROOT)
    repos = sysroot / "repos"
    repos.mkdir(exist_ok=True)
    write_repo_file(repos, "demo", f"file://{full.path}")
    names = {*full.base, *full.layers} - DROPPED.keys()
    treefile = replace(
        parse_treefile(TREEFILE.read_text(), str(TREEFILE)), ref=REF, packages=tuple(sorted(names))
    )
    for name, reason in DROPPED.items():
        print(f"left out: {name}: {reason}")
    store = OstreeStore.open(sysroot / "ostree/repo")
    made = compose_tree(
        treefile, store, read_repositories([repos], {}), sysroot / "cache", _Steps()
    )
    print(f"composed {made.packages} packages in {time.monotonic() - began:.0f} s")
    words = (f"--sysroot={sysroot}", f"--os={STATEROOT}", "--no-merge", REF)
    subprocess.run(["ostree", "admin", "deploy", *words], check=True)
    (sysroot / "ready").touch()


def _verify(sysroot: Path, names: Sequence[str]) -> list[str]:
    """Runs the program, and prints its lines with the seconds that they took to come.

    Gives the triggers that have nothing to do in this tree.
    """
    words = [sys.executable, "-m", "layer", "trigger", "verify", *names]
    environment = {**os.environ, "OSTREE_SYSROOT": str(sysroot)}
    began = last = time.monotonic()
    idle = []
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        now = time.monotonic()
        name, _, result = line.rstrip().partition(" ")
        took = f"{now - last:7.1f} s" if name else ""
        print(f"{took:9}  {line.rstrip()[:_WIDTH]}", flush=True)
        last = now
        idle += [name] if result.strip() in IDLE else []
    _, status, usage = os.wait4(process.pid, 0)
    memory = usage.ru_maxrss >> 10
    print(f"status {os.waitstatus_to_exitcode(status)} after {last - began:.0f} s, {memory} MiB")
    if os.waitstatus_to_exitcode(status):
        sys.exit(1)
    return idle


def _verify_cases(names: Sequence[str]) -> None:
    """What `verify` finds of triggers over the trees of their cases."""
    print(f"over the cases in testdata/triggers, of {len(names)} triggers:")
    bad = []
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="case-", dir=default_cache()) as folder:
            found = verify_case(name, Path(folder))
        result = found.result.value
        print(f"{time.monotonic() - began:7.1f} s  {name:18} {result}", flush=True)
        for path in (*found.undeclared, *(p for d in found.differences for p in d.paths)):
            print(f"{'':15}{path}")
        bad += [] if found.result is Result.DETERMINISTIC else [name]
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
