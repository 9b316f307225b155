"""Takes the power away from verbs, and prints the table; fails where anything was wrong.

python -m tests.disks.power [--most N] [--seed N] [--on FILESYSTEM] [--without N|PATH]... [VERB...]

--without leaves out the N-th call for durability (0: all), or those of what ends with a PATH,
which must be found: a test of the test.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.disks.disk import FILESYSTEMS, keep_mounts_to_ourselves
from tests.disks.log import flushes
from tests.disks.losses import Loss, Recording, losses, record
from tests.kill.table import aligned
from tests.kill.tracer import NoSync
from tests.kill.verbs import BY_NAME, scene
from tests.kill.worker import load

_VERBS = ("install", "upgrade", "uninstall", "cleanup", "recycle")
_HEAD = ("verb", "left out", "writes", "flushes", "losses", "torn", "old", "new", "fsck", "other")


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m tests.disks.power")
    parser.add_argument("--most", type=int, default=30, help="flushes of each verb")
    parser.add_argument("--seed", default="0", help="chooses other flushes")
    parser.add_argument("--on", choices=FILESYSTEMS, default="ext4")
    parser.add_argument(
        "--without", metavar="N|PATH", action="append", default=[], help="a call for durability"
    )
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    parser.add_argument("verbs", nargs="*", metavar="VERB", choices=[[], *BY_NAME])
    given = parser.parse_args()
    began = time.monotonic()
    load()
    keep_mounts_to_ourselves()
    rows = []
    with tempfile.TemporaryDirectory(prefix="layer-power-", dir=given.scratch) as folder:
        top = Path(folder)
        with scene(top / "scene") as machines:
            for name in given.verbs or _VERBS:
                work = top / name
                left_out = _left_out(given.without)
                recording = record(machines, BY_NAME[name], work, left_out, given.on)
                found = losses(machines, recording, given.most, work, given.seed)
                rows.append((recording, tuple(found)))
                recording.log.unlink()
                recording.start.unlink()
    print(as_text(rows))
    print(f"\n{given.on}, seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 1 if any(loss.wrong for _, found in rows for loss in found) else 0


def _left_out(words: Sequence[str]) -> NoSync | None:
    """What is asked to be left out: a number, or paths."""
    if len(words) == 1 and words[0].isdigit():
        return NoSync(int(words[0]))
    return NoSync(0, where=tuple(words)) if words else None


def as_text(rows: Sequence[tuple[Recording, tuple[Loss, ...]]]) -> str:
    """The table, and below it what went wrong."""
    lines = [aligned([_HEAD, *(_cells(*row) for row in rows)])]
    for recording, found in rows:
        for loss in found:
            if loss.wrong:
                torn = ", and half of what followed" if loss.is_torn else ""
                point = f"after {loss.number} of {loss.of}{torn}: {loss.state}"
                lines += ["", f"{recording.verb.name}, {point}"]
                lines += [f"  {fault}" for fault in loss.wrong]
    return "\n".join(lines)


def _cells(recording: Recording, found: Sequence[Loss]) -> tuple[str, ...]:
    wrong = [fault for loss in found for fault in loss.wrong]
    fsck = sum("fsck: " in fault for fault in wrong)
    figures = (
        sum(not entry.is_flush for entry in recording.entries),
        len(flushes(recording.entries)),
        sum(not loss.is_torn for loss in found),
        sum(loss.is_torn for loss in found),
        *(sum(loss.state == state for loss in found) for state in ("old", "new")),
        fsck,
        len(wrong) - fsck,
    )
    return (recording.verb.name, recording.left_out or "-", *map(str, figures))


if __name__ == "__main__":
    sys.exit(main())
