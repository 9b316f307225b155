"""Without power or room from one moment on, a machine is old or new, and the next try succeeds.

Samples; `make test-power` and `make test-full` have all verbs and many more points.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pytest

from tests.disks.disk import keep_mounts_to_ourselves
from tests.disks.levels import KINDS, Kind, Level, levels
from tests.disks.log import Entry, flushes, pages, read_log, replay
from tests.disks.losses import Loss, Recording, losses, record
from tests.kill.tracer import Blow, NoSync
from tests.kill.verbs import BY_NAME, Scene, Verb, scene

_Made = TypeVar("_Made")


def apart(make: Callable[..., _Made], *arguments: object) -> _Made:
    """Calls it in a process that has no threads yet: verbs are forked, and would wait for them."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(make, *arguments).result()


def lost(
    machines: Scene,
    verb: str,
    most: int,
    folder: Path,
    blow: Blow | None = None,
    filesystem: str = "ext4",
) -> tuple[Recording, list[Loss]]:
    """A recording, and what came of the losses of power in it."""
    recording = record(machines, BY_NAME[verb], folder, blow, filesystem)
    return recording, list(losses(machines, recording, most, folder))


def at_levels(machines: Scene, verb: Verb, kind: Kind, folder: Path) -> list[Level]:
    """What came of the verb at the first level."""
    return list(levels(machines, verb, kind, folder, most=1))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    keep_mounts_to_ourselves()
    with scene(tmp_path_factory.mktemp("disks") / "scene") as made:
        yield made


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs"])
def test_a_sample_of_power_losses_leaves_the_old_or_the_new(
    machines: Scene, tmp_path: Path, filesystem: str
) -> None:
    _, found = apart(lost, machines, "kargs", 2, tmp_path / "work", None, filesystem)
    assert {loss.state for loss in found} <= {"old", "new"}
    assert [loss.wrong for loss in found] == [()] * len(found)
    assert found[-1].state == "new"  # the verb had returned


def test_a_log_of_writes_is_read_and_replayed(tmp_path: Path) -> None:
    def entry(sector: int, count: int, flags: int, data: bytes = b"") -> bytes:
        return struct.pack("<QQQQ", sector, count, flags, 0).ljust(512, b"\0") + data

    top = struct.pack("<QQQI", 0x6A736677736872, 1, 4, 512).ljust(512, b"\0")
    parts = [entry(2, 1, 0, b"a" * 512), entry(0, 0, 1), entry(3, 1, 4), entry(1, 1, 1, b"b" * 512)]
    log, image = tmp_path / "log", tmp_path / "image"
    log.write_bytes(b"".join([top, *parts, bytes(512)]))
    entries = read_log(log)
    assert entries == (
        Entry(is_flush=False, offset=1024, length=512, at=1024),
        Entry(is_flush=True),
        Entry(is_flush=False, offset=1536, length=512),
        Entry(is_flush=False, offset=512, length=512, at=3072),
        Entry(is_flush=True),
    )
    assert flushes(entries) == (2, 5)
    image.write_bytes(bytes(2048))
    replay(log, entries[:2], image)
    assert image.read_bytes() == bytes(1024) + b"a" * 512 + bytes(512)
    replay(log, entries, image)
    assert image.read_bytes() == bytes(512) + b"b" * 512 + b"a" * 512 + bytes(512)


def test_half_of_the_pages_of_what_follows_is_torn_off() -> None:
    write = Entry(is_flush=False, offset=8192, length=400 * 4096, at=512)
    kept = list(pages([write], random.Random(0)))
    assert 100 < len(kept) < 300
    assert all(one.offset - 8192 == (one.at or 0) - 512 for one in kept)
    assert {one.length for one in kept} == {4096}


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_a_full_filesystem_is_one_error_and_room_mends_it(
    machines: Scene, tmp_path: Path, name: str
) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    verb = BY_NAME["upgrade" if name == "boot" else "install"]
    (found,) = apart(at_levels, machines, verb, kind, tmp_path / "work")
    assert found.wrong == ()
    assert (found.state, bool(found.error)) == ("old", True)


@pytest.mark.parametrize(
    ("filesystem", "without"), [("ext4", ("ostree", "history.jsonl")), ("btrfs", ("ostree",))]
)
def test_an_fsync_that_is_left_out_is_found(
    machines: Scene, tmp_path: Path, filesystem: str, without: tuple[str, ...]
) -> None:
    """Of the links to what boots; on ext4 that of the history makes them durable, too."""
    blow = NoSync(0, where=without)
    found = []
    for attempt in range(3):  # any program's sync(2) makes good what was left out
        work = tmp_path / f"work{attempt}"
        recording, losses = apart(lost, machines, "uninstall", 0, work, blow, filesystem)
        assert recording.left_out.startswith("fsync ")
        found.append(losses[-1].wrong)
        if found[-1]:
            break
    assert found[-1] == ("the verb was done, and what it did is not on the disk",)
