"""`python -m tests.together [--seconds N] [--seed N] [--log FILE]`: eight at once, for long."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from testdata.distro.tiny import tiny_rpm
from tests.together.running import Crowd, log_of
from tests.world import REF, base_packages, make_world, ostree, remove

OTHER_REF = "tiny/2/x86_64/base"


def main() -> None:
    """Prints the table and what was refused; ends with 1 where anything was lost."""
    parser = argparse.ArgumentParser("tests.together")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        path = Path(folder)
        (path / "world").mkdir()
        with make_world(path / "world") as world:
            machine = world.machine(path / "machine")
            world.publish(tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="2"))
            world.publish(*base_packages("2"))
            made = world.compose()
            served = f"--repo={world.path}/served"
            ostree("refs", served, "--create", OTHER_REF, made.checksum)
            ostree("summary", served, "--update")
            crowd = Crowd(machine, (f"tiny:{REF}", f"tiny:{OTHER_REF}"), given.seed)
            crowd.work(given.seconds)
            problems = list(crowd.problems())
            print(crowd.table(), "", crowd.errors(), sep="\n")
            if given.log:
                log_of(crowd, given.log)
        remove([path / "machine"])
    print("\n".join(["", f"{len(problems)} problems", *problems]))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
