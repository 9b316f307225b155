"""Verbs on a filesystem that is filled to a level: bytes, inodes, a /boot of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.disks.disk import make_disk, mounted
from tests.kill import checks
from tests.kill.tracer import Traced, trace
from tests.kill.verbs import Scene, Verb
from tests.kill.worker import program, unclear
from tests.snapshot import state

_MEBIBYTES = 96
_BOOT_MEBIBYTES = 8
_INODES = 8192
_FILLING = "filling"
_ENOUGH = 2  # levels, one after the other, at which the verb could be done


@dataclass(frozen=True)
class Kind:
    """What there is too little of: `step` more of it at each level."""

    name: str
    step: int


KINDS = (
    Kind("bytes", 128 << 10),
    Kind("inodes", 24),
    Kind("boot", 64 << 10),
    Kind("read-only", 0),
)


@dataclass(frozen=True)
class Level:
    """What came of a verb that found so much; `state` is old or new, `wrong` what must not be."""

    free: int
    state: str
    error: str
    wrong: tuple[str, ...]


def levels(
    scene: Scene, verb: Verb, kind: Kind, folder: Path, *, most: int, stride: int = 1
) -> Iterator[Level]:
    """The verb at each level, each time on a fresh disk, until there is room enough."""
    folder.mkdir(parents=True)
    start, boot, place = (folder / name for name in ("start", "boot", "mount"))
    make_disk(start, _MEBIBYTES, "mkfs.ext4", "-q", "-m", "0", "-N", str(_INODES))
    make_disk(boot, _BOOT_MEBIBYTES, "mkfs.ext4", "-q", "-m", "0")
    with mounted(start, place), mounted(boot, folder / "boot-mount"):
        subprocess.run(["cp", "-a", f"{scene.snapshot(verb.machine)}/.", place], check=True)
        if kind.name == "boot":
            subprocess.run(["cp", "-a", f"{place}/boot/.", folder / "boot-mount"], check=True)
            subprocess.run(["rm", "-r", place / "boot"], check=True)
            (place / "boot").mkdir()
    done = 0
    for number in range(0, most * stride, stride):
        found = _at_level(scene, verb, kind, kind.step * number, folder)
        yield found
        done = done + 1 if found.state == "new" else 0
        if done == _ENOUGH or not kind.step:
            return


@contextmanager
def _all(disk: Path, boot: Path, place: Path, kind: Kind) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(mounted(disk, place))
        if kind.name == "boot":
            stack.enter_context(mounted(boot, place / "boot"))
        yield


def _at_level(scene: Scene, verb: Verb, kind: Kind, free: int, folder: Path) -> Level:
    place, disk, boot = folder / "mount", folder / "disk", folder / "copy-of-boot"
    for name, copy in (("start", disk), ("boot", boot)):
        subprocess.run(["cp", "--sparse=always", folder / name, copy], check=True)
    wrong: list[str] = []
    with _all(disk, boot, place, kind):
        old = checks.boot_set(place)
        _take(kind, place, free)
        before = state(place)
        done = _run(scene, verb, place, folder)
        found = checks.boot_set(place)
        wrong += unclear(done)
        if done.status:
            after = state(place)
            differ = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
            wrong += [f"changed: {path}" for path in differ if _counts(place, path)]
        _give_back(kind, place)
        wrong += checks.faults(place)
        again = _run(scene, verb, place, folder)
        if again.status and not (verb.done and verb.done in again.output):
            wrong.append(f"run again: status {again.status}: {again.output}")
        wrong += [f"after another: {fault}" for fault in checks.faults(place)]
        if done.status and checks.boot_set(place) == old:
            wrong.append("run again: it changed nothing")
    errors = [line for line in done.output.splitlines() if line.startswith("error: ")]
    return Level(free, "old" if found == old else "new", " ".join(errors), tuple(wrong[:5]))


def _counts(place: Path, path: str) -> bool:
    """Whether it means anything: what no link leads to yet is libostree's, and made anew."""
    words = path.split("/")
    if words[0] != "ostree" or words[1].count(".") != 2:
        return True
    link = place / "ostree" / words[1].rpartition(".")[0]
    return link.is_symlink() and str(link.readlink()) == words[1]


def _run(scene: Scene, verb: Verb, place: Path, folder: Path) -> Traced:
    return trace(program(scene.command(verb.words, place)), place, folder / "output")


def _take(kind: Kind, place: Path, free: int) -> None:
    top = place / "boot" if kind.name == "boot" else place
    if kind.name == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    elif kind.name == "inodes":
        folder = top / _FILLING
        folder.mkdir()
        for number in range(os.statvfs(top).f_ffree - free):
            (folder / str(number)).touch()
    else:
        _fill(top, free)


def _fill(top: Path, free: int) -> None:
    """Takes all bytes but `free`; what names and indexes need counts, too."""
    with (top / _FILLING).open("wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while _free(top) > free:
                    out.write(bytes(min(size, max(1, _free(top) - free))))
                    os.fsync(out.fileno())


def _free(top: Path) -> int:
    found = os.statvfs(top)
    return found.f_bavail * found.f_frsize


def _give_back(kind: Kind, place: Path) -> None:
    if kind.name == "read-only":
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        return
    top = place / "boot" if kind.name == "boot" else place
    subprocess.run(["rm", "-rf", top / _FILLING], check=True)
