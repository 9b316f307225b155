"""Has verbs find filesystems filled to each level, and prints the table; fails where it is wrong.

python -m tests.disks.full [--most N] [--stride N] [--kind NAME] [--scratch DIRECTORY] [VERB...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.disks.disk import keep_mounts_to_ourselves
from tests.disks.levels import KINDS, Level, levels
from tests.kill.table import aligned
from tests.kill.verbs import BY_NAME, scene
from tests.kill.worker import load

_VERBS = ("install", "upgrade", "uninstall", "override", "cleanup", "recycle")
_HEAD = ("verb", "of what", "levels", "up to", "old", "new", "unclear", "changed", "fsck", "repeat")
Row = tuple[str, str, Sequence[Level]]


def main() -> int:
    """See above."""
    kinds = {kind.name: kind for kind in KINDS}
    parser = argparse.ArgumentParser(prog="python -m tests.disks.full")
    parser.add_argument("--most", type=int, default=40, help="levels of each verb and kind")
    parser.add_argument("--stride", type=int, default=1, help="takes every N-th level")
    parser.add_argument(
        "--kind", choices=kinds, action="append", help="what there is too little of"
    )
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    parser.add_argument("verbs", nargs="*", metavar="VERB", choices=[[], *BY_NAME])
    given = parser.parse_args()
    began, rows = time.monotonic(), []
    load()
    keep_mounts_to_ourselves()
    with tempfile.TemporaryDirectory(prefix="layer-full-", dir=given.scratch) as folder:
        top = Path(folder)
        with scene(top / "scene") as machines:
            for name in given.verbs or _VERBS:
                for kind in given.kind or kinds:
                    work = top / f"{name}-{kind}"
                    stage = (machines, BY_NAME[name], kinds[kind], work)
                    found = levels(*stage, most=given.most, stride=given.stride)
                    rows.append((name, kind, tuple(found)))
    print(as_text(rows))
    print(f"\n{time.monotonic() - began:.0f} s")
    return 1 if any(level.wrong for _, _, found in rows for level in found) else 0


def as_text(rows: Sequence[Row]) -> str:
    """The table, below it the errors that were told, and what went wrong."""
    lines = [aligned([_HEAD, *(_cells(*row) for row in rows)])]
    errors = {(kind, level.error) for _, kind, found in rows for level in found if level.error}
    lines += ["", *sorted(f"{kind}: {error}" for kind, error in errors)]
    for verb, kind, found in rows:
        for level in found:
            if level.wrong:
                lines += ["", f"{verb}, {level.free} of {kind}: {level.state}"]
                lines += [f"  {fault}" for fault in level.wrong]
    return "\n".join(lines)


def _cells(verb: str, kind: str, found: Sequence[Level]) -> tuple[str, ...]:
    wrong = [fault for level in found for fault in level.wrong]
    figures = (
        len(found),
        max(level.free for level in found),
        *(sum(level.state == state for level in found) for state in ("old", "new")),
        *(
            sum(fault.startswith(word) for fault in wrong)
            for word in ("unclear: ", "changed: ", "fsck: ", "run again: ")
        ),
    )
    return (verb, kind, *map(str, figures))


if __name__ == "__main__":
    sys.exit(main())
