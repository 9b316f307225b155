"""How much memory importing takes: one package, or all of a directory.

python -m tests.bench.memory RPM|DIRECTORY STORE
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from layer.importer import import_packages
from layer.model import PackageHeader
from layer.rpmfile.header import read_header
from layer.store.objects import OstreeStore


def peak_memory(rpm: Path, store: Path) -> int:
    """The most bytes that a process of its own had resident while it imported."""
    command = [sys.executable, "-m", "tests.bench.memory", str(rpm), str(store)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main(rpm: str, store: str) -> None:
    """Import, and print the peak."""
    path = Path(rpm)
    into = OstreeStore.create(Path(store))
    with into.transaction():
        import_packages(into, _packages(sorted(path.glob("*.rpm")) if path.is_dir() else [path]))
    # Unlike getrusage's, this does not count what the parent had before exec.
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    print(int(peak) * 1024)


def _packages(paths: Sequence[Path]) -> Iterator[tuple[Path, PackageHeader, str]]:
    for path in paths:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        yield path, read_header(path), checksum


if __name__ == "__main__":
    main(*sys.argv[1:])
