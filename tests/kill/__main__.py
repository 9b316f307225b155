"""Kills the verbs at many points and prints the table; fails where anything was wrong.

python -m tests.kill [--most N] [--minutes N] [--seed N] [--jobs N] [--fault NAME] [VERB...]

--reordered has the program write what keeps a commit after the boot entries that need it, which
the kills must find: a test of the test.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.kill import worker
from tests.kill.table import as_text, strike_verbs
from tests.kill.verbs import BY_NAME, VERBS, scene

FAULTS = {fault.name: fault for fault in (worker.KILL, worker.ORPHANS, *worker.FAULTS)}


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill")
    parser.add_argument("--most", type=int, default=300, help="points of each verb")
    parser.add_argument("--seed", type=int, default=0, help="chooses other points")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin none after them")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--fault", choices=FAULTS, action="append", help="what happens there")
    parser.add_argument(
        "--reordered", action="store_true", help="write the refs after the boot entries"
    )
    parser.add_argument("--after", default="", help="only behind the last change of that path")
    parser.add_argument("verbs", nargs="*", metavar="VERB", choices=[[], *BY_NAME])
    given = parser.parse_args()
    verbs = [BY_NAME[name] for name in given.verbs] or VERBS
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="layer-kill-", dir=given.scratch) as folder:
        top = Path(folder)
        try:
            with scene(top / "scene") as machines:
                rows = strike_verbs(
                    machines,
                    verbs,
                    given.most,
                    top / "work",
                    seed=given.seed,
                    jobs=given.jobs,
                    seconds=60 * given.minutes,
                    is_reordered=given.reordered,
                    after=given.after,
                    faults=[FAULTS[name] for name in given.fault or ["kill"]],
                )
        finally:
            subprocess.run(["chattr", "-R", "-f", "-i", folder], check=False)
    print(as_text(rows))
    print(f"\nseed {given.seed}, {time.monotonic() - began:.0f} s")
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
