"""Without power or room from one moment on, a machine is old or new, and the next try succeeds.

Samples; `make test-power` and `make test-full` have all verbs and many more points.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks.disk import keep_mounts_to_ourselves
from tests.disks.levels import KINDS, levels
from tests.disks.log import Entry, flushes, pages, read_log, replay
from tests.disks.losses import losses, record
from tests.kill.tracer import NoSync
from tests.kill.verbs import BY_NAME, Scene, scene


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    keep_mounts_to_ourselves()
    with scene(tmp_path_factory.mktemp("disks") / "scene") as made:
        yield made


def test_a_sample_of_power_losses_leaves_the_old_or_the_new(
    machines: Scene, tmp_path: Path
) -> None:
    recording = record(machines, BY_NAME["kargs"], tmp_path / "work")
    found = list(losses(machines, recording, 2, tmp_path / "work"))
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
    (found,) = levels(machines, verb, kind, tmp_path / "work", most=1)
    assert found.wrong == ()
    assert (found.state, bool(found.error)) == ("old", True)


def test_an_fsync_that_is_left_out_is_found(machines: Scene, tmp_path: Path) -> None:
    """The last one, of the history: it makes durable, too, what boots."""
    blow = NoSync(0, where="history.jsonl")
    recording = record(machines, BY_NAME["uninstall"], tmp_path / "work", blow)
    assert recording.left_out.startswith("fsync ")
    *_, last = losses(machines, recording, 0, tmp_path / "work")
    assert last.wrong == ("the verb was done, and what it did is not on the disk",)
