# ruff: noqa: N999  # it is run, never imported
"""How fast packages are imported, beside rpm and beside what no program can avoid.

python -m tests.bench.import [--rounds N] [--directory DIR] [--packages DIR]

In each round every way takes its turn with the same packages, in another order each time.
The packages are in the page cache; time ends after one sync of the filesystem, when all that
was written is on the disk. libostree's own syncs, which give it an order too, are measured
apart. The floor decompresses, takes the SHA-256, and writes one file for each package. On a
machine that is busy with other things the seconds of processor time say more than the clock's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import rpm

from layer.importer import import_package, import_packages
from layer.model import PackageHeader
from layer.rpmfile.header import read_header
from layer.store.objects import OstreeStore
from testdata.distro.build import ensure_demo
from testdata.distro.large import write_large_rpm
from tests.bench.memory import peak_memory

THREADS = len(os.sched_getaffinity(0))
CHUNK = 1 << 18
LARGE = 2 << 30  # bytes


@dataclass(frozen=True)
class Item:
    """A package, and the SHA-256 that is asked for."""

    path: Path
    checksum: str
    size: int  # bytes of its files


@dataclass(frozen=True)
class Time:
    """Seconds that a way took, by the clock and of all processors."""

    clock: float
    processor: float


Way = Callable[[Sequence[Item], Path], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--packages", type=Path, help="RPMs; by default the demo's")
    options = parser.parse_args(arguments)
    items = read_items(options.packages or ensure_demo().path)
    size = sum(item.size for item in items)
    ways: dict[str, Way] = {
        "rpm -U --noscripts --nodeps": with_rpm,
        "layer": with_layer,
        "layer, one thread": partial(with_layer, is_parallel=False),
        "layer, libostree's own syncs": partial(with_layer, is_synced_once=False),
        f"floor, {THREADS} threads": partial(floor, threads=THREADS),
        "floor, one thread": partial(floor, threads=1),
    }
    print(f"{len(items)} packages, {size / 1e6:.0f} MB of files, {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="bench-import-", dir=options.directory) as scratch:
        times = measure(ways, items, options.rounds, Path(scratch))
        for name, found in times.items():
            speeds = sorted(size / 1e6 / time.clock for time in found)
            median = statistics.median(speeds)
            processor = statistics.median(time.processor for time in found)
            print(
                f"{name:30} {median:5.0f} MB/s   ({speeds[0]:.0f} to {speeds[-1]:.0f})   "
                f"{processor:5.2f} s of processor time"
            )
        package = write_large_rpm(Path(scratch), LARGE)
        peak = peak_memory(package, Path(scratch, "large"))
    print(f"a file of {LARGE / 1e9:.1f} GB: {peak / 1e6:.0f} MB resident at most")


def read_items(directory: Path) -> list[Item]:
    """The packages, read once, which puts them into the page cache."""
    items = []
    for path in sorted(directory.glob("*.rpm")):
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        size = sum(file.size for file in read_header(path).files)
        items.append(Item(path, checksum, size))
    return items


def measure(
    ways: dict[str, Way], items: Sequence[Item], rounds: int, scratch: Path
) -> dict[str, list[Time]]:
    """The times of each way, in all rounds."""
    times: dict[str, list[Time]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            # Nothing is removed meanwhile: ext4 is slow to give out inodes again that were
            # freed in the last seconds.
            target = scratch / f"{number}-{names.index(name)}"
            target.mkdir()
            os.sync()
            times[name].append(in_child(partial(ways[name], items, target)))
            if (free := shutil.disk_usage(scratch).free) < 5e9:
                sys.exit(f"bench: {free / 1e9:.1f} GB are free in {scratch}, which is too little")
    return times


def in_child(work: Callable[[], None]) -> Time:
    """What `work` takes in a fork of this process, all modules imported already."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit(f"bench: a run failed with {status}")
    return Time(time.perf_counter() - started, used.ru_utime + used.ru_stime)


def with_layer(
    items: Sequence[Item], target: Path, *, is_parallel: bool = True, is_synced_once: bool = True
) -> None:
    """Into a repository, as `layer install` does it."""
    store = OstreeStore.create(target)
    store.repo.set_disable_fsync(is_synced_once)
    with store.transaction():
        if is_parallel:
            import_packages(store, _with_headers(items))
        else:
            for path, header, checksum in _with_headers(items):
                import_package(store, path, header, checksum=checksum)
    _sync(target)


def _with_headers(items: Sequence[Item]) -> Iterator[tuple[Path, PackageHeader, str]]:
    for item in items:
        yield item.path, read_header(item.path), item.checksum


def with_rpm(items: Sequence[Item], target: Path) -> None:
    """Into an empty root."""
    where = ("--root", str(target), "--dbpath", "/rpmdb", "--force-debian")
    less = ("--noscripts", "--notriggers", "--nodeps", "--noplugins", "--nosignature")
    paths = [str(item.path) for item in items]
    subprocess.run(["rpm", "-U", *where, *less, *paths], check=True, stderr=subprocess.DEVNULL)
    _sync(target)


def floor(items: Sequence[Item], target: Path, *, threads: int) -> None:
    """What every program must do at least."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(partial(_unpack, target=target), items))
    _sync(target)


def _unpack(item: Item, target: Path) -> None:
    header = read_header(item.path)
    digest = hashlib.sha256()
    with (
        item.path.open("rb", buffering=0) as file,
        (target / item.checksum).open("wb", buffering=0) as unpacked,
    ):
        file.seek(len(header.blob))
        codec = "ufdio" if header.payload_codec == "none" else header.payload_codec
        with closing(rpm.fd(file.fileno(), "r")) as raw, closing(rpm.fd(raw, "r", codec)) as plain:
            while chunk := plain.read(CHUNK):
                digest.update(chunk)
                unpacked.write(chunk)


def _sync(directory: Path) -> None:
    subprocess.run(["sync", "--file-system", str(directory)], check=True)


if __name__ == "__main__":
    main()
