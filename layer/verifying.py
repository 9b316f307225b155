"""Whether triggers do the same whatever must not matter, and read only what they declare.

Every trigger is run over a tree as if all of it were new, again and again, with one circumstance
changed at a time. Nothing that they write is kept.
"""

from __future__ import annotations

import enum
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path

from layer.circumstances import folders_of, lay_names, lay_times
from layer.errors import InvalidInput, NotFound, TriggerFailed
from layer.frozen import dataclass
from layer.host import Host, require_root
from layer.lock import read_record
from layer.model import Commit, NearTree, Tree, TreeDiff
from layer.overlay import Effect, read_effect
from layer.pipeline import TRIGGER_EPOCH
from layer.querying import pending, require_subject
from layer.running import jobs_in
from layer.sandbox.box import Overlay, Sandbox, SandboxOptions
from layer.sandbox.process import find_program as find_host_program
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, files_of, lookup
from layer.takeover import below
from layer.tracing import STRACE, Declared, parse_trace, undeclared
from layer.trigger_inputs import find_program
from layer.trigger_set import read_trigger_set
from layer.trigger_task import Task, fact_of, last_lines
from layer.triggers.format import Trigger
from layer.triggers.globs import literal, match
from layer.triggers.match import fires, is_excluded, matching
from layer.workbench import Layers

_DAYS = 400
_FAKETIME = ("lib*/faketime/libfaketime.so.1", "lib/*/faketime/libfaketime.so.1")
_FAKETIME_INSIDE = "/run/libfaketime.so.1"
_NOT_LOADED = "cannot be preloaded"  # as ld.so says it


class Circumstance(enum.Enum):
    """What is changed from one run to another, in words that follow on "differs"."""

    AGAIN = "when run again"
    ORDER = "where directories list their entries in another order"
    REVERSE = "where directories list their entries the other way round"
    CLOCK = f"{_DAYS} days later"
    TIMES = "with other mtimes of its inputs"


class Result(enum.Enum):
    """What verification found of a trigger."""

    DETERMINISTIC = "deterministic"
    DIFFERS = "not deterministic"
    READS = "reads undeclared"
    FAILED = "failed"
    NO_TOOL = "no tool"
    NO_INPUT = "no input"


@dataclass(frozen=True, slots=True)
class Difference:
    """Paths that differ under a circumstance; where the trigger failed there, what it said."""

    circumstance: Circumstance
    paths: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """A trigger, what was found of it, and what could not be tested.

    `runs` counts its jobs; `undeclared` are paths that it reads beyond match, needs and io.reads;
    `expected` says what changes its output as its file has foretold, and why that may be.
    """

    name: str
    runs: int = 0
    has_tool: bool = True
    failure: str = ""
    differences: tuple[Difference, ...] = ()
    undeclared: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """The worst of it."""
        if not self.has_tool:
            return Result.NO_TOOL
        if self.failure:
            return Result.FAILED
        if self.differences:
            return Result.DIFFERS
        if self.undeclared:
            return Result.READS
        return Result.DETERMINISTIC if self.runs else Result.NO_INPUT

    @property
    def is_good(self) -> bool:
        """Whether its output may be kept for the same inputs, as far as could be tested."""
        return not (self.failure or self.differences or self.undeclared)


def verify(host: Host, names: Sequence[str], word: str | None = None) -> Iterator[Verified]:
    """Verifies triggers over a commit's tree, by default the pending one, and by default all.

    Only triggers of the build phase can be. Needs root, and changes nothing.
    """
    require_root()
    subject = require_subject(host, word) if word else pending(host)
    commit, store = subject.commit, host.store
    listed = read_trigger_set(store, commit.root, host.local_triggers()).triggers
    chosen = _chosen(listed, names)
    written = _written(store, commit)
    paths = tuple(path for path, _ in files_of(store, commit.root))
    with host.scratch() as scratch, _nothing_kept(host):
        near = host.near(commit)
        for number, trigger in enumerate(chosen):
            host.reporter.step(f"Verifying trigger {trigger.name}")
            own = _own_output(trigger, written)
            tree = _without(store, commit.root, own)
            stage = Stage(store, near, scratch / str(number), host.options.sandbox)
            yield verify_one(stage, trigger, tree, tuple(p for p in paths if p not in own))
            shutil.rmtree(scratch / str(number))


def _chosen(listed: Sequence[Trigger], names: Sequence[str]) -> tuple[Trigger, ...]:
    phases = {trigger.name: trigger.phase for trigger in listed}
    for name in names:
        if name not in phases:
            raise NotFound(f"there is no trigger {name}", "`layer trigger list` shows all")
        if phases[name] != "build":
            raise InvalidInput(f"trigger {name} does not run at build, but at {phases[name]}")
    return tuple(t for t in listed if t.phase == "build" and (not names or t.name in names))


@contextmanager
def _nothing_kept(host: Host) -> Iterator[None]:
    """A transaction that is abandoned at its end."""
    with suppress(_Abandoned), host.store.transaction():
        yield
        raise _Abandoned


class _Abandoned(Exception):
    """Ends a transaction whose objects nobody needs."""


def _written(store: ObjectStore, commit: Commit) -> Mapping[str, str]:
    """The paths that triggers wrote in a commit and in its base; none where layer made neither."""
    written: dict[str, str] = {}
    base = below(store, commit)
    for one in [base, commit] if base else [commit]:
        if "layer.schema" in one.metadata:
            written |= dict(read_record(one).written)
    return written


def _own_output(trigger: Trigger, written: Mapping[str, str]) -> frozenset[str]:
    """What a trigger made; what it also reads it has only changed, and needs again."""
    return frozenset(
        path
        for path, writer in written.items()
        if writer == trigger.name and not any(match(glob, path) for glob in trigger.reads)
    )


def _without(store: ObjectStore, tree: Tree, paths: frozenset[str]) -> Tree:
    editor = TreeEditor(store, tree)
    for path in sorted(paths):
        if editor.lookup(path) is not None:
            editor.remove(path)
    return editor.write()


@dataclass(frozen=True, slots=True)
class _Played:
    """What a job did under a circumstance, or how it failed; and all that it printed."""

    effect: Effect
    failure: str = ""
    output: str = ""


@dataclass(slots=True)
class Stage:
    """What a trigger is run on: a store, a checkout near to the tree, a place of its own."""

    store: ObjectStore
    near: NearTree
    scratch: Path
    options: SandboxOptions | None = None
    tracer: Path | None = field(default_factory=lambda: find_host_program(STRACE[0]))
    clock: Path | None = field(default_factory=lambda: _find_faketime())

    @property
    def untested(self) -> tuple[str, ...]:
        """What the machine lacks the means for."""
        lacks = []
        if self.clock is None:
            lacks.append(f"{_DAYS} days later: this machine has no libfaketime")
        if self.tracer is None:
            lacks.append("undeclared reads: this machine has no strace")
        return tuple(lacks)


def _find_faketime() -> Path | None:
    found = sorted(path for pattern in _FAKETIME for path in Path("/usr").glob(pattern))
    return found[0] if found else None


def verify_one(stage: Stage, trigger: Trigger, tree: Tree, paths: tuple[str, ...]) -> Verified:
    """Verifies one trigger over a tree whose files are `paths`; in a transaction of the store."""
    jobs = jobs_in(stage.store, tree, trigger, fires(trigger, TreeDiff(added=paths)))
    program = find_program(stage.store, tree, trigger)
    stage.scratch.mkdir()
    if program is None or not jobs:
        return Verified(trigger.name, has_tool=program is not None or not jobs)
    lowers = Layers(stage.store, stage.near, stage.scratch).lay(tree)
    tasks = [Task(trigger, job, program, "", TRIGGER_EPOCH) for job in jobs]
    found = [_Rehearsal(stage, task, tree, paths, lowers).verify() for task in tasks]
    differing: dict[Circumstance, Difference] = {}
    for difference in (difference for one in found for difference in one.differences):
        known = differing.get(difference.circumstance, Difference(difference.circumstance))
        merged = tuple(sorted({*known.paths, *difference.paths}))
        failure = known.failure or difference.failure
        differing[difference.circumstance] = replace(known, paths=merged, failure=failure)
    return Verified(
        trigger.name,
        runs=len(found),
        failure=next((one.failure for one in found if one.failure), ""),
        differences=tuple(differing[c] for c in Circumstance if c in differing),
        undeclared=tuple(sorted({path for one in found for path in one.undeclared})),
        expected=tuple(sorted({text for one in found for text in one.expected})),
        untested=tuple(sorted({text for one in found for text in one.untested})),
    )


class _Rehearsal:
    """One job over one tree, under every circumstance."""

    def __init__(
        self,
        stage: Stage,
        task: Task,
        tree: Tree,
        paths: tuple[str, ...],
        lowers: tuple[Path, ...],
    ) -> None:
        self._stage = stage
        self._lowers = lowers
        self._task = task
        self._tree = tree
        self._inputs = _inputs(task, paths)
        self._traces: list[Path] = []

    def verify(self) -> Verified:
        """What was found of this job."""
        trigger, stage = self._task.trigger, self._stage
        untested = list(stage.untested)
        lowers = self._lowers
        with ExitStack() as stack:
            plain = stack.enter_context(self._sandbox("plain", stage.options))
            usual = self._play(plain, lowers)
            if usual.failure:
                return Verified(trigger.name, failure=usual.failure, untested=tuple(untested))
            differences, expected = [], []
            for circumstance, played in self._play_all(stack, plain, lowers):
                if _NOT_LOADED in played.output:
                    fact = "this machine's libfaketime does not fit the tree's C library"
                    untested.append(f"{circumstance.value}: {fact}")
                elif played.failure:
                    differences.append(Difference(circumstance, failure=played.failure))
                elif played.effect == usual.effect:
                    continue
                elif circumstance is Circumstance.TIMES and trigger.mtimes:
                    expected.append(f"{circumstance.value}: {trigger.mtimes}")
                else:
                    paths = _differing(usual.effect, played.effect)
                    differences.append(Difference(circumstance, paths))
        return Verified(
            trigger.name,
            differences=tuple(differences),
            undeclared=self._undeclared(),
            expected=tuple(expected),
            untested=tuple(untested),
        )

    def _play_all(
        self, stack: ExitStack, plain: Sandbox, lowers: tuple[Path, ...]
    ) -> Iterator[tuple[Circumstance, _Played]]:
        store, tree, stage = self._stage.store, self._tree, self._stage
        yield Circumstance.AGAIN, self._play(plain, lowers, is_traced=True)
        globs = (*self._task.job.include, *self._task.job.reads)
        folders = folders_of(globs, self._inputs)
        for circumstance in (Circumstance.ORDER, Circumstance.REVERSE):
            names = plain.directory(circumstance.name)
            is_reversed = circumstance is Circumstance.REVERSE
            lay_names(store, tree, folders, names, is_reversed=is_reversed)
            yield circumstance, self._play(plain, (*lowers, names))
        if stage.clock is not None:
            sandbox = stack.enter_context(self._sandbox("clock", _shifted(stage)))
            yield Circumstance.CLOCK, self._play(sandbox, lowers)
        copies = stage.scratch / "copies"
        lay_times(plain.overlay(lowers).merged, self._inputs, copies, now=TRIGGER_EPOCH)
        yield Circumstance.TIMES, self._play(plain, (copies, *lowers))
        shutil.rmtree(copies)

    def _sandbox(self, name: str, options: SandboxOptions | None) -> Sandbox:
        folder = self._stage.scratch / name
        folder.mkdir(exist_ok=True)
        return Sandbox(folder, options)

    def _play(
        self, sandbox: Sandbox, lowers: tuple[Path, ...], *, is_traced: bool = False
    ) -> _Played:
        overlay, output = sandbox.overlay(lowers), ""
        for number, command in enumerate(self._task.commands):
            if is_traced and self._stage.tracer is not None:
                trace = self._stage.scratch / f"trace-{number}"
                self._traces.append(trace)
                command = replace(command, wrapper=(*STRACE, f"--output={trace}", "--"))
            finished = sandbox.run(overlay, command)
            output += finished.output
            fact = fact_of(self._task.trigger, finished)
            if fact:
                return _Played(Effect(), "\n".join((fact, *last_lines(finished))), output)
        return self._read(overlay, output)

    def _read(self, overlay: Overlay, output: str) -> _Played:
        try:
            effect = read_effect(self._stage.store, self._tree, overlay.upper, self._task.rules)
        except TriggerFailed as error:
            return _Played(Effect(), error.message, output)
        return _Played(effect, output=output)

    def _undeclared(self) -> tuple[str, ...]:
        """What is there and was read, without being in the key that the output is kept under."""
        task = self._task
        found: set[str] = set()
        for command, trace in zip(task.commands, self._traces, strict=False):
            with trace.open(errors="surrogateescape") as lines:
                found.update(undeclared(parse_trace(lines, command.argv[0]), _declared(task)))
        assert task.program is not None
        there = {path: lookup(self._stage.store, self._tree, path.rstrip("/")) for path in found}
        # A directory that was opened and not listed was not read.
        return tuple(
            path
            for path, what in sorted(there.items())
            if (isinstance(what, Tree) and path.endswith("/"))
            or (isinstance(what, str) and what != task.program.checksum)
        )


def _inputs(task: Task, paths: tuple[str, ...]) -> tuple[str, ...]:
    found = {path for glob in task.job.reads for path, _ in matching(glob, paths)}
    for glob in task.job.include:
        found |= {p for p, _ in matching(glob, paths) if not is_excluded(task.trigger, p)}
    return tuple(sorted(found))


def _declared(task: Task) -> Declared:
    """All that goes into a job's key, and its scratch."""
    trigger, job = task.trigger, task.job
    assert task.program is not None
    always = (*job.reads, *trigger.needs, *job.writes, *job.scratch, literal(task.program.path))
    return Declared(job.include, trigger.exclude, always)


def _shifted(stage: Stage) -> SandboxOptions:
    assert stage.clock is not None
    return replace(
        stage.options or SandboxOptions(),
        extra_binds=((stage.clock, _FAKETIME_INSIDE),),
        # Without the last, it would show other mtimes of files, too.
        extra_env=(
            ("LD_PRELOAD", _FAKETIME_INSIDE),
            ("FAKETIME", f"+{_DAYS}d"),
            ("NO_FAKE_STAT", "1"),
        ),
    )


def _differing(one: Effect, other: Effect) -> tuple[str, ...]:
    folders = {folder.path for folder in {*one.folders} ^ {*other.folders}}
    files = {path for path, _ in {*one.files} ^ {*other.files}}
    return tuple(sorted({*files, *folders, *({*one.removed} ^ {*other.removed})}))
