"""The verbs that are killed, and the machines on which they are. A new verb is a line here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testdata.distro.tiny import tiny_rpm
from tests.world import Machine, World, base_packages, make_world, ostree, remove

OTHER_REF = "tiny/2/x86_64/base"


@dataclass(frozen=True)
class Verb:
    """A command line on a machine; `done` is what it is refused with once it has been done."""

    name: str
    machine: str
    words: tuple[str, ...]
    done: str = ""


VERBS = (
    Verb("install", "layered", ("install", "-y", "--idempotent", "apple", "daemon")),
    Verb("uninstall", "layered", ("uninstall", "-y", "--idempotent", "pear")),
    Verb("upgrade", "layered", ("upgrade", "-y")),
    Verb("rebase", "layered", ("rebase", "-y", f"tiny:{OTHER_REF}")),
    Verb("override", "layered", ("override", "remove", "-y", "tiny-libc"), "taken away already"),
    Verb("reset", "layered", ("reset", "-y")),
    Verb("cleanup", "cluttered", ("cleanup", "-b", "-m", "-r")),
    Verb("kargs", "layered", ("kargs", "-y", "--append-if-missing", "one=1")),
)
BY_NAME = {verb.name: verb for verb in VERBS}


@dataclass(frozen=True)
class Scene:
    """A directory of machines that are copied and never worked on, and what they fetch from."""

    path: Path
    repositories: Path

    def snapshot(self, machine: str) -> Path:
        """The machine of a name."""
        return self.path / machine

    def command(self, words: tuple[str, ...], sysroot: Path) -> list[str]:
        """The words after `layer`, with the options that lead to a sysroot."""
        where = ["--sysroot", str(sysroot)]
        if words[0] != "kargs":
            where += ["--repo-dir", str(self.repositories)]
        split = 2 if words[0] == "override" else 1
        return [*words[:split], *where, *words[split:]]


_MACHINES: dict[str, Callable[[Machine], object]] = {
    "layered": lambda _machine: None,
    "cluttered": lambda machine: (machine.install("daemon"), machine.uninstall("old-and-new")),
}


@contextmanager
def scene(path: Path) -> Iterator[Scene]:
    """Builds the machines in a new directory; newer packages and bases are there for them."""
    folder = path / "world"
    folder.mkdir(parents=True)
    with make_world(folder) as world:
        origin = world.machine(path / "origin")
        origin.install("pear", "old-and-new")
        for name, prepare in _MACHINES.items():
            copy(origin.path, path / name)
            prepare(Machine(path / name, world))
        _move_on(world)
        yield Scene(path, world.repo_dir)
    remove([path / name for name in ("origin", *_MACHINES)])
    shutil.rmtree(path)


def copy(source: Path, destination: Path) -> None:
    """Copies a sysroot with its hardlinks."""
    subprocess.run(["cp", "-a", "--reflink=auto", source, destination], check=True)


def _move_on(world: World) -> None:
    world.publish(tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="2"))
    world.publish(*base_packages("2"))
    made = world.compose()
    ostree("refs", f"--repo={world.path}/served", "--create", OTHER_REF, made.checksum)
    ostree("summary", f"--repo={world.path}/served", "--update")
