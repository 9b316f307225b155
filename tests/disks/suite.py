"""Runs the scenarios of the suite on ext4, xfs and btrfs.

python -m tests.disks.suite [--on FILESYSTEM] [--scratch DIRECTORY] [TEST_MODULE...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.disks.disk import FILESYSTEMS, keep_mounts_to_ourselves, make_disk, mounted

_MEBIBYTES = 4096  # of a sparse file
_HERE = Path(__file__).parent.parent
# What works on a machine from end to end.
_SCENARIOS = (
    *("test_lifecycle", "test_cli_install", "test_cli_leaving", "test_cli_upgrade"),
    *("test_cli_boot", "test_cli_deploy", "test_overrides", "test_staging", "test_recycling"),
    *("test_sweeping", "test_stateroots", "test_history", "test_law"),
)


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m tests.disks.suite")
    parser.add_argument("--on", choices=FILESYSTEMS, action="append", help="a filesystem")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    parser.add_argument("modules", nargs="*", metavar="TEST_MODULE")
    given = parser.parse_args()
    keep_mounts_to_ourselves()
    results = {}
    for name in given.on or FILESYSTEMS:
        began = time.monotonic()
        status = _run(name, given.modules or _SCENARIOS, given.scratch)
        results[name] = (status, time.monotonic() - began)
    for name, (status, seconds) in results.items():
        print(f"{name}: {'passed' if status == 0 else f'failed ({status})'} in {seconds:.0f} s")
    return 1 if any(status for status, _ in results.values()) else 0


def _run(name: str, modules: list[str], scratch: Path) -> int:
    files = [str(_HERE / f"{Path(module).stem}.py") for module in modules]
    with tempfile.TemporaryDirectory(prefix="layer-disk-", dir=scratch) as folder:
        image, place = Path(folder, "image"), Path(folder, "mount")
        make_disk(image, _MEBIBYTES, *FILESYSTEMS[name])
        with mounted(image, place):
            base = place / f"layer-tests-{os.getpid()}"  # given back test by test
            print(f"--- {name}", flush=True)
            options = ["-q", "-n", "0", f"--basetemp={base}"]
            return subprocess.run([sys.executable, "-m", "pytest", *options, *files]).returncode


if __name__ == "__main__":
    sys.exit(main())
