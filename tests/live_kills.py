"""Live changes that are struck while they change files and mounts, and what comes of that.

A change of files or mounts is a call of the kernel, as `tests.kill` counts them; mounts count
where they are at /usr.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from layer import bootplan
from tests.kill.table import aligned, points
from tests.kill.tracer import Blow, Place, Traced, trace
from tests.kill.verbs import copy
from tests.kill.worker import SEEN
from tests.live import ON_TOP, Living, become, live_of, living, pid_namespace, tree
from tests.world import Machine, World, remove

_FIRST = """
from layer.host import Host
Host.require_pending = lambda self: self.sysroot.deployments()[1]
"""
_PROGRAM = "from layer.__main__ import main\nmain()"
_RECOVER = """
from pathlib import Path
from layer import living
from layer.host import open_host
host = open_host(Path("/"))
with host.locked():
    print(living.recover(host))
"""
_OLD_BOOT = 2  # the deployment that runs; before it those that are to be live, the second first
_AT_ONCE = 25  # points on one machine, which boots in between
_UNDONE, _FINISHED, _NOTHING = "undone", "finished", "nothing"


@dataclass(frozen=True)
class Step:
    """Words after `layer`, and lines of Python that run before it."""

    words: tuple[str, ...]
    driver: str = ""


_APPLY = Step(("apply-live", "--allow-replacement"))
_APPLY_FIRST = replace(_APPLY, driver=_FIRST)


@dataclass(frozen=True)
class Life:
    """A step that is struck, and the steps before it."""

    name: str
    struck: Step
    before: tuple[Step, ...] = ()


_RESET = Step(("apply-live", "--reset"))
_APPLY_ON_TOP = replace(_APPLY, driver=ON_TOP)
LIVES = {
    life.name: life
    for life in (
        Life("apply", _APPLY),
        Life("apply beneath", _APPLY, (_APPLY_FIRST,)),
        Life("apply on top", _APPLY_ON_TOP, (_APPLY_FIRST,)),
        Life("reset", _RESET, (_APPLY,)),
        Life("reset of two", _RESET, (_APPLY_FIRST, _APPLY_ON_TOP)),
    )
}


@dataclass(frozen=True)
class Whom:
    """Who is struck, and at whose changes: those of the program, or of what it has started."""

    name: str
    in_child: bool = False
    is_alone: bool = False


KINDS = (
    Whom("layer"),
    Whom("layer, at a child's", in_child=True),
    Whom("a child", in_child=True, is_alone=True),
)


@dataclass(frozen=True)
class Outcome:
    """What a blow left: what /usr showed, what the next call did, and all that must not be."""

    number: int
    struck: Place | None
    seen: str
    done: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """All blows of one kind to one life; `places` are its changes when nobody strikes."""

    life: Life
    whom: Whom
    places: tuple[Place, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Its line of the table."""
        seen = Counter(one.seen for one in self.outcomes)
        done = Counter(one.done for one in self.outcomes)
        struck = [one for one in self.outcomes if one.struck]
        counted = [seen[name] for name in ("old", "new", "between")]
        counted += [done[name] for name in (_UNDONE, _FINISHED, _NOTHING)]
        wrong = sum(bool(one.wrong) for one in self.outcomes)
        head = (len(self.places), len(struck), len({one.struck for one in struck}))
        return (self.life.name, self.whom.name, *map(str, (*head, *counted, wrong)))


_HEAD = ("verb", "killed", "changes", "struck", "places", "old", "new", "between")


def as_text(rows: Sequence[Row]) -> str:
    """The table, and below it what went wrong."""
    cells = [(*_HEAD, "undone", "finished", "nothing to do", "wrong"), *(row.cells for row in rows)]
    sums = [str(sum(int(row.cells[n]) for row in rows)) for n in range(2, len(cells[0]))]
    lines = [aligned([*cells, ("all", "", *sums)])]
    for row in rows:
        for one in row.outcomes:
            if one.wrong:
                where = f"{one.struck.call} {one.struck.where}" if one.struck else "its end"
                lines += ["", f"{row.life.name}, {row.whom.name}, at {one.number}, {where}:"]
                lines += [f"  {wrong}" for wrong in one.wrong]
    return "\n".join(lines)


def make_machine(world: World, path: Path) -> None:
    """A machine with two deployments that can be live before the one that is to run."""
    machine = world.machine(path)
    base = machine.pending()
    first = machine.install("daemon", "served")
    for number in ("0", "1"):
        machine.layer("pin", number)
    machine.uninstall("served")
    second = machine.install("web")
    host = machine.host()
    with host.locked():
        found = {one.checksum: one for one in host.sysroot.deployments()}
        wanted = [found[one.checksum] for one in (second, first, base)]
        host.sysroot.write(bootplan.BootPlan(tuple(wanted)))


def strike_lives(
    machine: Path,
    world: World,
    scratch: Path,
    *,
    most: int | None = None,
    lives: Sequence[Life],
    kinds: Sequence[Whom] = KINDS,
    jobs: int = 1,
) -> tuple[Row, ...]:
    """Strikes each life at `most` of its changes, or at each, of each kind."""
    # Forked from a process with threads, a traced one may wait for ever.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        expected = list(pool.map(partial(expect, machine, world, scratch), lives))
        work = []
        for life, found in zip(lives, expected, strict=True):
            for whom in kinds:
                places = found.children if whom.in_child else found.places
                telling = _telling(places)
                some = points([places[n - 1] for n in telling], most or len(telling), life.name)
                chosen = tuple(telling[n - 1] for n in some)
                work += [
                    (life, whom, chosen[begin : begin + _AT_ONCE], found)
                    for begin in range(0, len(chosen), _AT_ONCE)
                ]
        random.Random(0).shuffle(work)
        done = list(pool.map(partial(_strike_some, machine, world, scratch), work))
    rows = []
    for life, found in zip(lives, expected, strict=True):
        for whom in kinds:
            outcomes = [
                one
                for job, some in zip(work, done, strict=True)
                if job[:2] == (life, whom)
                for one in some
            ]
            places = found.children if whom.in_child else found.places
            rows.append(Row(life, whom, tuple(places), tuple(outcomes)))
    return tuple(rows)


@dataclass(frozen=True)
class State:
    """All that a live change changes: what is seen in /usr, its commit, /etc, /var and mounts."""

    usr: tuple[str, ...]
    commit: str | None
    whole: tuple[object, ...]


@dataclass(frozen=True)
class Expected:
    """What a life changes when nobody strikes, and the changes of it.

    `between` are states before the old one that still lie below it.
    """

    booted: State
    old: State
    new: State
    between: tuple[State, ...]
    places: tuple[Place, ...]
    children: tuple[Place, ...]


def expect(machine: Path, world: World, scratch: Path, life: Life) -> Expected:
    """Leads it once."""
    with _site(machine, world, scratch) as running:
        booted = _state(running)
        states = [booted, *_begin(running, life)]
        old = states[-1]
        done = _run(running, life.struck, scratch)
        assert done.status == 0, done.output
        new = _state(running)
        assert old != new, done.output
        between = tuple(states[1:-1])
        return Expected(booted, old, new, between, tuple(done.places), tuple(done.children))


def _telling(places: Sequence[Place]) -> list[int]:
    """The numbers of all changes; of those in a checkout, that nobody knows yet, one of a kind."""
    found = {}
    for number, place in enumerate(places, 1):
        found[place if "/layer-live/" in f"/{place.where}" else number] = number
    return sorted(found.values())


_Work = tuple[Life, Whom, tuple[int, ...], Expected]


def _strike_some(machine: Path, world: World, scratch: Path, work: _Work) -> list[Outcome]:
    life, whom, numbers, found = work
    with _site(machine, world, scratch) as running:
        outcomes = [_strike(running, life, whom, number, found, scratch) for number in numbers]
        running.boot()
        running.layer("boot-complete")
        assert not (running.machine.path / "ostree/layer-live").exists()
    return outcomes


@contextmanager
def _site(machine: Path, world: World, scratch: Path) -> Iterator[Living]:
    scratch.mkdir(parents=True, exist_ok=True)
    sysroot, folder = (scratch / f"{name}-{os.getpid()}" for name in ("sysroot", "running"))
    copy(machine, sysroot)
    try:
        with living(Machine(sysroot, world), folder, index=_OLD_BOOT) as running:
            yield running
    finally:
        remove([sysroot, folder])


def _begin(running: Living, life: Life) -> list[State]:
    """The steps before the struck one; the state after each."""
    states = []
    for step in life.before:
        running.layer(*step.words, driver=step.driver)
        states.append(_state(running))
    return states


def _strike(
    running: Living, life: Life, whom: Whom, number: int, found: Expected, scratch: Path
) -> Outcome:
    _begin(running, life)
    done = _run(running, life.struck, scratch, Blow(number, whom.in_child, is_alone=whom.is_alone))
    # Programs see the new /usr in a namespace of their own; mount(8) may end what it has begun.
    strays = [stray for stray in done.strays if stray.call != "mount"]
    wrong = [f"written by an orphan: {stray.call} {stray.where}" for stray in strays]
    if "Traceback" in done.output or (whom.is_alone and done.status not in (0, 1)):
        wrong.append(f"status {done.status}: {done.output}")
    usr = _usr(running)
    known = [("old", found.old), ("new", found.new), *(("between", s) for s in found.between)]
    seen, expected = next(((n, s) for n, s in known if s.usr == usr), ("other", found.new))
    if seen == "other":
        wrong.append(f"neither of two is seen: {usr}")
    status = next(d for d in running.status()["deployments"] if d["booted"])
    if status.get("live-replaced") != expected.commit:
        wrong.append(f"{seen} is seen, and status says {status.get('live-replaced')}")
    said = running.python(_RECOVER)
    told = said.stdout.strip()
    if said.returncode or bool(told) != bool(status.get("live-inprogress")):
        wrong.append(f"the next call: {told}{said.stderr}, where status had {status}")
    if told and whom.is_alone:
        wrong.append(f"left to the next call: {told}")
    called = next((word for word in (_UNDONE, _FINISHED) if told.endswith(word)), _NOTHING)
    state = _state(running)
    fits = {_UNDONE: [found.old], _FINISHED: [found.new], _NOTHING: [found.old, found.new]}
    if state not in fits[called]:
        wrong.append(f"{called}, and not whole: {_differences(state, expected)}")
    wrong += _reset(running, state, found.booted)
    return Outcome(number, done.struck, seen, called, tuple(wrong))


def _reset(running: Living, state: State, booted: State) -> list[str]:
    """Takes back what is live; what is wrong then."""
    if state.commit is not None:
        running.layer("apply-live", "--reset")
        state = _state(running)
    wrong = [f"a reset left: {_differences(state, booted)}"] if state != booted else []
    left = [name for name in ("live.json", "live") if (running.var / "lib/layer" / name).exists()]
    left += [path.name for path in running.machine.path.glob("ostree/repo/refs/heads/layer/live/*")]
    return wrong + [f"left over: {name}" for name in left]


def _run(running: Living, step: Step, scratch: Path, blow: Blow | None = None) -> Traced:
    words = ["python3", "-B", "-c", f"{step.driver}\n{_PROGRAM}", *step.words]
    return trace(
        lambda: become(running.pid, "own", words),
        (*SEEN, Path("/run")),
        scratch / f"output-{os.getpid()}",
        blow,
        pid_namespace(running.pid),
    )


def _usr(running: Living) -> tuple[str, ...]:
    usr = Path(f"/proc/{running.pid}/root/usr")
    found = [*(usr / "bin").iterdir(), *(usr / "lib/systemd/system").glob("*")]
    return tuple(sorted(path.name for path in found))


def _state(running: Living) -> State:
    # Whoever checks out once more gives it another number; each process has its own machine.
    numbers = re.compile(r"(layer-live/[0-9a-f]+|/sysroot)-\d+")
    mounts = [numbers.sub(r"\1", line) for line in running.mounts()]
    whole = (tree(running.etc), tree(running.var), mounts)
    return State(_usr(running), live_of(running), whole)


def _differences(state: State, expected: State) -> str:
    """What of one is not in the other, in short."""
    found = [f"commit {state.commit}"] if state.commit != expected.commit else []
    for mine, other in zip(state.whole, expected.whole, strict=True):
        if isinstance(mine, dict) and isinstance(other, dict):
            found += sorted(k for k in {*mine, *other} if mine.get(k) != other.get(k))
        elif mine != other:
            found.append(f"{mine} for {other}")
    return ", ".join(map(str, found))
