"""The verbs that are killed, and the machines on which they are. A new verb is a line here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.world import Machine, World, base_packages, make_world, ostree, remove

OTHER_REF = "tiny/2/x86_64/base"


@dataclass(frozen=True)
class Verb:
    """A command line on a machine; `done` is what it is refused with once it has been done.

    `first`: what is done before it, undisturbed. `is_live`: the machine runs the second of its
    deployments, and the verb is about what it sees.
    """

    name: str
    machine: str
    words: tuple[str, ...]
    done: str = ""
    first: tuple[str, ...] = ()
    is_live: bool = False


VERBS = (
    Verb("install", "layered", ("install", "-y", "--idempotent", "apple", "daemon")),
    Verb("uninstall", "layered", ("uninstall", "-y", "--idempotent", "pear")),
    Verb("upgrade", "layered", ("upgrade", "-y")),
    Verb("rebase", "layered", ("rebase", "-y", f"tiny:{OTHER_REF}")),
    Verb("override", "layered", ("override", "remove", "-y", "tiny-libc"), "taken away already"),
    Verb("reset", "layered", ("reset", "-y")),
    Verb("cleanup", "cluttered", ("cleanup", "-b", "-m", "-r")),
    Verb("kargs", "layered", ("kargs", "-y", "--append-if-missing", "one=1")),
    # Of the tree that nothing boots any more, and of the one that clean-up puts aside.
    Verb("recycle", "cluttered", ("install", "-y", "--idempotent", "apple")),
    Verb("recycle spare", "spare", ("install", "-y", "--idempotent", "apple")),
    Verb("apply-live", "live", ("apply-live",), is_live=True),
    Verb(
        "live reset",
        "live",
        ("apply-live", "--reset"),
        "nothing is live",
        first=("apply-live",),
        is_live=True,
    ),
)
BY_NAME = {verb.name: verb for verb in VERBS}


@dataclass(frozen=True)
class Scene:
    """A directory of machines that are copied and never worked on, and what they fetch from."""

    path: Path
    world: World

    def snapshot(self, machine: str) -> Path:
        """The machine of a name."""
        return self.path / machine

    def command(self, words: tuple[str, ...], sysroot: Path) -> list[str]:
        """The words after `layer`, with the options that lead to a sysroot."""
        if words[0] == "apply-live":  # of the machine that runs
            return list(words)
        where = ["--sysroot", str(sysroot)]
        if words[0] != "kargs":
            where += ["--repo-dir", str(self.world.repo_dir)]
        split = 2 if words[0] == "override" else 1
        return [*words[:split], *where, *words[split:]]


_MACHINES: dict[str, Callable[[Machine], object]] = {
    "layered": lambda _machine: None,
    "cluttered": lambda machine: (machine.install("daemon"), machine.uninstall("old-and-new")),
    "spare": lambda machine: (
        machine.install("daemon"),
        machine.uninstall("old-and-new"),
        machine.layer("cleanup", "-b"),
    ),
    "live": lambda machine: machine.install("apple", "configured"),
}


@contextmanager
def scene(path: Path) -> Iterator[Scene]:
    """Builds the machines in a new directory; newer packages and bases are there for them."""
    folder = path / "world"
    folder.mkdir(parents=True)
    try:
        with make_world(folder) as world:
            configured = FileSpec("/etc/configured.conf", b"setting=1\n", config=True)
            world.publish(tiny_rpm("configured", "/usr/bin/configured", configured, arch="x86_64"))
            origin = world.machine(path / "origin")
            origin.install("pear", "old-and-new")
            for name, prepare in _MACHINES.items():
                copy(origin.path, path / name)
                prepare(Machine(path / name, world))
            _move_on(world)
            yield Scene(path, world)
    finally:
        remove([path / name for name in ("origin", *_MACHINES)])
        shutil.rmtree(path)


def copy(source: Path, destination: Path) -> None:
    """Copies a sysroot with its hardlinks."""
    subprocess.run(["cp", "-a", "--reflink=auto", source, destination], check=True)


def _move_on(world: World) -> None:
    world.publish(tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="2"))
    world.publish(*base_packages("2"))
    world.publish(
        tiny_rpm(
            "tiny-kernel",
            FileSpec("/usr/lib/modules/6.1/vmlinuz", b"newer kernel\n" * (1 << 14)),
            FileSpec("/usr/lib/modules/6.1/initramfs.img", b"newer initramfs\n" * (1 << 14)),
            version="2",
            arch="x86_64",
        )
    )
    made = world.compose()
    ostree("refs", f"--repo={world.path}/served", "--create", OTHER_REF, made.checksum)
    ostree("summary", f"--repo={world.path}/served", "--update")
