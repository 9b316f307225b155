"""How much memory importing one package takes.

python -m tests.bench.memory RPM STORE
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from layer.importer import import_packages
from layer.rpmfile.header import read_header
from layer.store.objects import OstreeStore


def peak_memory(rpm: Path, store: Path) -> int:
    """The most bytes that a process of its own had resident while it imported `rpm`."""
    command = [sys.executable, "-m", "tests.bench.memory", str(rpm), str(store)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main(rpm: str, store: str) -> None:
    """Import, and print the peak."""
    path = Path(rpm)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    into = OstreeStore.create(Path(store))
    with into.transaction():
        import_packages(into, [(path, read_header(path), checksum)])
    # Unlike getrusage's, this does not count what the parent had before exec.
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    print(int(peak) * 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
