"""What a disk holds when the power goes: at each flush, and with half of what came after it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.disks.disk import FILESYSTEMS, make_disk, mounted, recorded
from tests.disks.log import Entry, flushes, pages, read_log, replay
from tests.kill import checks
from tests.kill.tracer import Blow, trace
from tests.kill.verbs import Scene, Verb
from tests.kill.worker import program

_MEBIBYTES = {"ext4": 192, "xfs": 320, "btrfs": 320}
# No commit of the journal by the clock: it would do what a forgotten fsync does not.
_UNTIMED = {"ext4": "commit=600", "xfs": "", "btrfs": "commit=600"}
_CHECKS = {
    "ext4": ("e2fsck", "-fn"),
    "xfs": ("xfs_repair", "-n"),
    "btrfs": ("btrfs", "check", "--readonly"),
}


@dataclass(frozen=True)
class Recording:
    """A verb on a disk: the `entries` that were made until it returned, and what boots.

    `old` before, `new` afterwards. `left_out`: the call for durability that was not made.
    `filesystem`: what is on the disk.
    """

    verb: Verb
    start: Path
    log: Path
    entries: tuple[Entry, ...]
    old: tuple[checks.Booted, ...]
    new: tuple[checks.Booted, ...]
    left_out: str = ""
    filesystem: str = "ext4"


@dataclass(frozen=True)
class Loss:
    """The power went after so many entries; `is_torn`: half of those until the next flush came.

    What was found on the disk is old, new or neither; `wrong` says all that must not be.
    """

    number: int
    of: int
    is_torn: bool
    state: str
    wrong: tuple[str, ...]


def record(
    scene: Scene,
    verb: Verb,
    folder: Path,
    blow: Blow | None = None,
    filesystem: str = "ext4",
) -> Recording:
    """Runs the verb on a recorded disk, in `folder`."""
    folder.mkdir(parents=True)
    start, image, log, place = (folder / n for n in ("start", "image", "log", "mount"))
    make_disk(start, _MEBIBYTES[filesystem], *FILESYSTEMS[filesystem])
    with mounted(start, place):
        subprocess.run(["cp", "-a", f"{scene.snapshot(verb.machine)}/.", place], check=True)
    _copy(start, image)
    with recorded(image, log) as device, mounted(device, place, _UNTIMED[filesystem]):
        old = checks.boot_set(place)
        run = program(scene.command(verb.words, place))
        done = trace(run, place, folder / "output", blow)
        assert done.status == 0, done.output
        new = checks.boot_set(place)
        entries = read_log(log)
    assert old != new, f"{verb.name} changes nothing"
    image.unlink()
    left_out = f"{done.struck.call} {done.struck.where}" if done.struck else ""
    return Recording(verb, start, log, entries, old, new, left_out, filesystem)


def losses(
    scene: Scene, recording: Recording, most: int, folder: Path, seed: str = ""
) -> Iterator[Loss]:
    """Takes the power away at `most` of the flushes, each twice, and when the verb is done."""
    entries = recording.entries
    ends = flushes(entries)
    chance = random.Random(f"{seed} {recording.verb.name}")
    chosen = sorted({*chance.sample(ends, min(most, len(ends))), len(entries)})
    disk, written = folder / "disk", 0
    _copy(recording.start, disk)
    for number in chosen:
        replay(recording.log, entries[written:number], disk)
        written = number
        yield _loss(scene, recording, number, (), disk, folder)
        later = next((end for end in ends if end > number), len(entries))
        torn = tuple(pages(entries[number:later], chance))
        if torn:
            yield _loss(scene, recording, number, torn, disk, folder)
    disk.unlink()


def _loss(
    scene: Scene,
    recording: Recording,
    number: int,
    torn: Sequence[Entry],
    disk: Path,
    folder: Path,
) -> Loss:
    copy, place = folder / "copy", folder / "mount"
    _copy(disk, copy)
    replay(recording.log, torn, copy)
    wrong: list[str] = []
    with mounted(copy, place):
        wrong += checks.faults(place)
        state = _state(place, recording)
        if state == "neither":
            wrong.append("neither the old nor the new deployments")
        if state == "old" and number == len(recording.entries):
            wrong.append("the verb was done, and what it did is not on the disk")
        wrong += _after_another(scene, recording, place, folder)
    check = _CHECKS[recording.filesystem]
    done = subprocess.run([*check, copy], capture_output=True, text=True, check=False)
    if done.returncode:
        wrong.append(f"{check[0]}: {done.stdout.strip()}")
    copy.unlink()
    return Loss(number, len(recording.entries), bool(torn), state, tuple(wrong[:5]))


def _state(place: Path, recording: Recording) -> str:
    try:
        found = checks.boot_set(place)
    except (AssertionError, OSError, KeyError):
        return "neither"  # `faults` says why
    return {recording.old: "old", recording.new: "new"}.get(found, "neither")


def _after_another(scene: Scene, recording: Recording, place: Path, folder: Path) -> Iterator[str]:
    """What is wrong once the same was run again on what was left."""
    verb = recording.verb
    done = trace(program(scene.command(verb.words, place)), place, folder / "output")
    if done.status and not (verb.done and verb.done in done.output):
        yield f"run again: status {done.status}: {done.output}"
        return
    for fault in checks.faults(place):
        yield f"after another: {fault}"
    if _state(place, recording) != "new":
        yield "run again: it made other deployments"


def _copy(source: Path, destination: Path) -> None:
    subprocess.run(["cp", "--sparse=always", source, destination], check=True)
