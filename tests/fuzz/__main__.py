"""`python -m tests.fuzz [--seconds N] [--seed N] [--plain] [TARGET ...]`: all parsers, for long.

With atheris, which follows what is reached, where it is installed; else by mutation alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec

from tests.fuzz.corpus import corpus
from tests.fuzz.mutation import mutants
from tests.fuzz.running import Tally
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Prints a table, keeps what was found, and ends with 1 where that is anything."""
    parser = argparse.ArgumentParser("tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    is_guided = not given.plain and find_spec("atheris") is not None
    print("with atheris" if is_guided else "by mutation alone")
    print("| parser | executions | refused | finds |\n| --- | --- | --- | --- |", flush=True)
    total, finds = 0, 0
    for target in given.targets or sorted(TARGETS):
        run = _in_process_of_its_own if is_guided else _mutated
        tally = run(target, given.seconds, given.seed)
        tally.keep()
        total, finds = total + tally.executions, finds + len(tally.finds)
        found = "; ".join(sorted(tally.finds)) or "0"
        print(f"| {target} | {tally.executions:,} | {tally.refused:,} | {found} |", flush=True)
    print(f"| all | {total:,} | | {finds} |")
    sys.exit(1 if finds else 0)


def _mutated(target: str, seconds: float, seed: int) -> Tally:
    tally, end = Tally(target), time.monotonic() + seconds
    for data in mutants(corpus(target), seed):
        tally.execute(data)
        if time.monotonic() > end:
            break
    return tally


def _in_process_of_its_own(target: str, seconds: float, seed: int) -> Tally:
    """libFuzzer ends its process when it is done."""
    words = [sys.executable, "-m", "tests.fuzz.guided", target, str(seconds), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return Tally(target, finds={f"ended with {done.returncode}: {done.stderr[-500:]}": b""})
    said = json.loads(lines[-1])
    finds = {place: bytes.fromhex(data) for place, data in said["finds"].items()}
    return Tally(target, said["executions"], said["refused"], finds)


if __name__ == "__main__":
    main()
