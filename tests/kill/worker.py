"""One point: a copy of the machine, the verb that is killed, and what is found afterwards."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import layer
from layer import pipeline
from layer.model import Deployment
from layer.store.sysroot import Sysroot
from tests.kill import checks
from tests.kill.calls import BY_NUMBER, TAKING
from tests.kill.tracer import Blow, Place, Traced, trace
from tests.kill.verbs import BY_NAME, Scene, Verb, copy
from tests.live import Living, become, living, pid_namespace
from tests.world import Machine, remove

MOST_SHOWN = 5  # faults of one point
# Of a machine that runs, all that is not thrown away with it.
SEEN = (Path("/sysroot"), Path("/boot"), Path("/etc"), Path("/var"), Path("/usr"))
_SANDBOX = "layer-?/mount/"
_HARNESS = "/tests/live.py"  # in a traceback: what makes the machine that runs
# After an error, not after a kill: a spare that could not be recycled is kept, and so is a cache.
_MAY_STAY = ("ostree/layer", "ostree/deploy/tiny/var/cache/layer/.solv/")


@dataclass(frozen=True)
class Fault:
    """What happens at a point: SIGKILL, or an error there and, from then on, at `lasting`.

    `in_child`: at the changes of what the program has started; SIGKILL is the program's alone.
    """

    name: str
    errno: int = 0
    lasting: frozenset[str] = frozenset()
    in_child: bool = False


KILL = Fault("kill")
ORPHANS = Fault("orphans", in_child=True)
FAULTS = (
    Fault("full", errno.ENOSPC, TAKING),
    Fault("read-only", errno.EROFS, frozenset(call.name for call in BY_NUMBER.values())),
    Fault("broken", errno.EIO),
)


@dataclass(frozen=True)
class Expected:
    """What a verb does when nobody disturbs it."""

    verb: str
    places: tuple[Place, ...]
    children: tuple[Place, ...]
    old: tuple[object, ...]
    new: tuple[object, ...]
    paths: frozenset[str]

    def changes(self, fault: Fault) -> tuple[Place, ...]:
        """The changes at which a fault may strike."""
        return self.children if fault.in_child else self.places


@dataclass(frozen=True)
class Outcome:
    """What one kill left: `state` is old, new or neither; `wrong` says all that must not be."""

    verb: str
    number: int
    struck: Place | None
    state: str
    wrong: tuple[str, ...] = ()


def load(is_reordered: bool = False) -> None:
    """Imports all of the program once, for all processes that are forked from this one.

    `is_reordered`: what keeps a commit is written after the boot entries that need it, which
    the kills must find: a test of the test.
    """
    for module in pkgutil.walk_packages(layer.__path__, "layer."):
        if module.name != "layer.__main__":
            importlib.import_module(module.name)
    importlib.import_module("layer.__main__")
    if is_reordered:
        _reorder()


def _reorder() -> None:
    keep, write = pipeline.keep, Sysroot.write
    late: list[tuple[object, ...]] = []

    def remember(*arguments: object) -> None:
        late.append(arguments)

    def write_first(self: Sysroot, *arguments: Any, **options: Any) -> tuple[Deployment, ...]:
        written = write(self, *arguments, **options)
        with self.store.transaction():
            for words in late:
                keep(*words)  # type: ignore[arg-type]
        return written

    pipeline.keep = remember  # type: ignore[assignment]
    Sysroot.write = write_first  # type: ignore[method-assign]


def program(arguments: list[str]) -> Callable[[], None]:
    """The real program, in a process that has loaded it already."""

    def run() -> None:
        from layer.__main__ import main

        sys.argv = ["layer", *arguments]
        random.seed()
        main(arguments)

    return run


@dataclass(frozen=True)
class Site:
    """A copy of a machine at work: runs the verb's words on it, and tells its state."""

    scene: Scene
    verb: Verb
    sysroot: Path
    output: Path
    running: Living | None = None

    def run(self, words: tuple[str, ...], blow: Blow | None = None) -> Traced:
        """Runs `layer` with these words."""
        arguments = self.scene.command(words, self.sysroot)
        if self.running is None:
            return trace(program(arguments), self.sysroot, self.output, blow)
        pid = self.running.pid
        command = ["python3", "-m", "layer", *arguments]
        return trace(
            lambda: become(pid, "own", command), SEEN, self.output, blow, pid_namespace(pid)
        )

    def state(self) -> tuple[object, ...]:
        """What boots next, and what a running machine sees; AssertionError for no whole one."""
        found = checks.boot_set(self.sysroot)
        if self.running is None:
            return found
        usr = Path(f"/proc/{self.running.pid}/root/usr")
        return (*found, *sorted(path.name for path in (usr / "bin").iterdir()))


@contextmanager
def site(scene: Scene, verb: Verb, scratch: Path) -> Iterator[Site]:
    """A fresh one, removed in the end."""
    scratch.mkdir(parents=True, exist_ok=True)
    sysroot = scratch / f"sysroot-{os.getpid()}"
    folder = scratch / f"running-{os.getpid()}"
    remove([sysroot, folder])
    copy(scene.snapshot(verb.machine), sysroot)
    with ExitStack() as stack:
        stack.callback(remove, [sysroot, folder])
        running = None
        if verb.is_live:
            machine = Machine(sysroot, scene.world)
            running = stack.enter_context(living(machine, folder, index=1))
        found = Site(scene, verb, sysroot, scratch / f"output-{os.getpid()}", running)
        if verb.first:
            done = found.run(verb.first)
            assert done.status == 0, done.output
        yield found


def expect(scene: Scene, verb: Verb, scratch: Path) -> Expected:
    """Runs the verb undisturbed, and once more, as after each kill."""
    with site(scene, verb, scratch) as place:
        old = place.state()
        done = place.run(verb.words)
        assert done.status == 0, done.output
        new = place.state()
        assert old != new, f"{verb.name} changes nothing:\n{done.output}"
        again = place.run(verb.words)
        assert _is_success(verb, again), again.output
        assert place.state() == new
        wrong = tuple(checks.faults(place.sysroot))
        assert not wrong, wrong
        paths = checks.leftovers(place.sysroot)
    return Expected(verb.name, tuple(done.places), tuple(done.children), old, new, paths)


def strike(
    scene: Scene, expected: Expected, number: int, scratch: Path, fault: Fault = KILL
) -> Outcome:
    """Strikes the verb at its `number`-th change; says what is wrong then, and after another."""
    verb = BY_NAME[expected.verb]
    with site(scene, verb, scratch) as place:
        blow = Blow(number, fault.in_child, fault.errno, fault.lasting)
        struck = place.run(verb.words, blow)
        wrong = list(checks.faults(place.sysroot))
        wrong += [f"written by an orphan: {stray}" for stray in struck.strays if _lasts(stray)]
        if fault.errno:
            wrong += unclear(struck)
        state, found = "neither", ()
        try:
            found = place.state()
            state = _named(found, expected)
        except AssertionError:
            pass  # `faults` says so
        if state == "neither":
            wrong.append(f"neither the old nor the new deployments: {found}")
        wrong += _after_another(place, expected, () if fault.errno == 0 else _MAY_STAY)
    return Outcome(verb.name, number, struck.struck, state, tuple(wrong[:MOST_SHOWN]))


def _lasts(place: Place) -> bool:
    """Whether a change is of the disk: mounts of the sandbox lie in memory, seen by it alone."""
    return _SANDBOX not in f"{place.where}/"


def unclear(done: Traced) -> list[str]:
    """What is wrong with how an error is told: in one line, and with a status."""
    if done.status == 0 or _HARNESS in done.output:
        return []  # it could be done without; or it had not begun
    told = [line for line in done.output.splitlines() if line.startswith("error: ")]
    if done.status == 1 and len(told) == 1 and "Traceback" not in done.output:
        return []
    return [f"unclear: status {done.status}: {done.output}"]


def _after_another(place: Site, expected: Expected, spared: tuple[str, ...]) -> list[str]:
    """What is wrong once the same was run again; paths that begin like `spared` may differ."""
    done = place.run(place.verb.words)
    if not _is_success(place.verb, done):
        return [f"run again: status {done.status}: {done.output}"]
    wrong = [f"after another: {fault}" for fault in checks.faults(place.sysroot)]
    try:
        if place.state() != expected.new:
            wrong.append("run again: it made other deployments")
    except AssertionError as error:
        wrong.append(f"run again: {error}")
    left = checks.leftovers(place.sysroot)
    for word, paths in (("left over", left - expected.paths), ("gone", expected.paths - left)):
        wrong += [f"{word}: {path}" for path in sorted(paths) if not path.startswith(spared)]
    return wrong


def _is_success(verb: Verb, done: Traced) -> bool:
    return done.status == 0 or bool(verb.done and verb.done in done.output)


def _named(found: tuple[object, ...], expected: Expected) -> str:
    if found == expected.old:
        return "old"
    return "new" if found == expected.new else "neither"
