"""One point: a copy of the machine, the verb that is killed, and what is found afterwards."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import layer
from tests.kill import checks
from tests.kill.calls import BY_NUMBER, TAKING
from tests.kill.tracer import Blow, Place, Traced, trace
from tests.kill.verbs import BY_NAME, Scene, Verb, copy
from tests.world import remove

MOST_SHOWN = 5  # faults of one point


@dataclass(frozen=True)
class Fault:
    """What happens at a point: SIGKILL, or an error there and, from then on, at `lasting`."""

    name: str
    errno: int = 0
    lasting: frozenset[str] = frozenset()


KILL = Fault("kill")
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
    children: int
    old: tuple[checks.Booted, ...]
    new: tuple[checks.Booted, ...]
    paths: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What one kill left: `state` is old, new or neither; `wrong` says all that must not be."""

    verb: str
    number: int
    struck: Place | None
    state: str
    wrong: tuple[str, ...] = ()


def load() -> None:
    """Imports all of the program once, for all processes that are forked from this one."""
    for module in pkgutil.walk_packages(layer.__path__, "layer."):
        if module.name != "layer.__main__":
            importlib.import_module(module.name)
    importlib.import_module("layer.__main__")


def program(arguments: list[str]) -> Callable[[], None]:
    """The real program, in a process that has loaded it already."""

    def run() -> None:
        from layer.__main__ import main

        sys.argv = ["layer", *arguments]
        random.seed()
        main(arguments)

    return run


def expect(scene: Scene, verb: Verb, scratch: Path) -> Expected:
    """Runs the verb undisturbed, and once more, as after each kill."""
    sysroot = _fresh(scene, verb, scratch)
    old = checks.boot_set(sysroot)
    done = run(scene, verb.words, sysroot, scratch)
    assert done.status == 0, done.output
    new = checks.boot_set(sysroot)
    assert old != new, f"{verb.name} changes nothing:\n{done.output}"
    again = run(scene, verb.words, sysroot, scratch)
    assert _is_success(verb, again), again.output
    assert checks.boot_set(sysroot) == new
    wrong = tuple(checks.faults(sysroot))
    assert not wrong, wrong
    paths = checks.leftovers(sysroot)
    remove([sysroot])
    return Expected(verb.name, tuple(done.places), done.children, old, new, paths)


def strike(
    scene: Scene, expected: Expected, number: int, scratch: Path, fault: Fault = KILL
) -> Outcome:
    """Strikes the verb at its `number`-th change; says what is wrong then, and after another."""
    verb = BY_NAME[expected.verb]
    sysroot = _fresh(scene, verb, scratch)
    blow = Blow(number, errno=fault.errno, lasting=fault.lasting)
    struck = run(scene, verb.words, sysroot, scratch, blow)
    wrong = list(checks.faults(sysroot))
    if fault != KILL:
        wrong += _unclear(struck)
    state, found = "neither", ()
    try:
        found = checks.boot_set(sysroot)
        state = _state(found, expected)
    except AssertionError:
        pass  # `faults` says so
    if state == "neither":
        wrong.append(f"neither the old nor the new deployments: {[b.checksum for b in found]}")
    wrong += _after_another(scene, verb, expected, sysroot, scratch)
    remove([sysroot])
    return Outcome(verb.name, number, struck.struck, state, tuple(wrong[:MOST_SHOWN]))


def run(
    scene: Scene, words: tuple[str, ...], sysroot: Path, scratch: Path, blow: Blow | None = None
) -> Traced:
    """Runs `layer` with these words on a sysroot."""
    output = scratch / f"output-{os.getpid()}"
    return trace(program(scene.command(words, sysroot)), sysroot, output, blow)


def _unclear(done: Traced) -> list[str]:
    """What is wrong with how an error is told: in one line, and with a status."""
    if done.status == 0:
        return []  # it could be done without
    told = [line for line in done.output.splitlines() if line.startswith("error: ")]
    if done.status == 1 and len(told) == 1 and "Traceback" not in done.output:
        return []
    return [f"unclear: status {done.status}: {done.output}"]


def _after_another(
    scene: Scene, verb: Verb, expected: Expected, sysroot: Path, scratch: Path
) -> list[str]:
    """What is wrong once the same was run again."""
    done = run(scene, verb.words, sysroot, scratch)
    if not _is_success(verb, done):
        return [f"run again: status {done.status}: {done.output}"]
    wrong = [f"after another: {fault}" for fault in checks.faults(sysroot)]
    try:
        if checks.boot_set(sysroot) != expected.new:
            wrong.append("run again: it made other deployments")
    except AssertionError as error:
        wrong.append(f"run again: {error}")
    left = checks.leftovers(sysroot)
    wrong += [f"left over: {path}" for path in sorted(left - expected.paths)]
    wrong += [f"gone: {path}" for path in sorted(expected.paths - left)]
    return wrong


def _is_success(verb: Verb, done: Traced) -> bool:
    return done.status == 0 or bool(verb.done and verb.done in done.output)


def _state(found: tuple[checks.Booted, ...], expected: Expected) -> str:
    if found == expected.old:
        return "old"
    return "new" if found == expected.new else "neither"


def _fresh(scene: Scene, verb: Verb, scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    sysroot = scratch / f"sysroot-{os.getpid()}"
    remove([sysroot])
    copy(scene.snapshot(verb.machine), sysroot)
    return sysroot
