"""Runs the triggers that a change of a tree fires, or replays what they once wrote.

A trigger's output is kept in the store under a key of all that goes into it,
so that the same inputs never run it twice. What does run sees the tree as an
overlay over a checkout that resembles it; nothing is set up before something
must run.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from layer import spans
from layer.errors import StoreError, TriggerFailed
from layer.frozen import dataclass
from layer.model import Commit, LeftToBoot, NearTree, Tree, TreeDiff, TriggerRun
from layer.overlay import Effect, Folder, WriteRules, apply_effect, link_difference, read_effect
from layer.report import SILENT, Reporter
from layer.sandbox.box import Sandbox, SandboxedCommand, SandboxOptions
from layer.sandbox.process import Finished
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, diff, empty_tree, files_of, lookup
from layer.trigger_inputs import Moment, Program, find_program, key_of
from layer.triggers.format import Trigger
from layer.triggers.match import (
    Demand,
    Firing,
    Job,
    fires_on_demand,
    jobs,
    on_demand,
    with_existing,
)

__all__ = ["SandboxOptions", "TriggerOutcome", "run_triggers"]

_BY_SIGNAL = 128  # what a shell and bubblewrap add to a signal's number
# Triggers whose commands wait for nothing but time, with the reason why a tree needs none of it.
_SLEEPLESS = {
    "fonts": "fc-cache sleeps 2 s at its end, so that later changes have later mtimes; ours are 0",
}
_PHASE = "Running triggers"
_LINES = 20  # of a failed trigger's output that are shown


@dataclass(frozen=True, slots=True)
class TriggerOutcome:
    """The tree with what the triggers wrote, the runs in their order, and who wrote which path.

    `left_to_boot` is what is to run on the machine that boots the tree.
    """

    tree: Tree
    runs: tuple[TriggerRun, ...] = ()
    written: tuple[tuple[str, str], ...] = ()
    left_to_boot: tuple[LeftToBoot, ...] = ()


@spans.phase("triggers")
def run_triggers(
    store: ObjectStore,
    near: NearTree,
    *,
    before: Tree,
    tree: Tree,
    triggers: Sequence[Trigger],
    epoch: int,
    scratch: Path,
    reporter: Reporter = SILENT,
    options: SandboxOptions | None = None,
    demand: Demand | None = None,
) -> TriggerOutcome:
    """Runs, in their order, the triggers that the difference from `before` to `tree` fires.

    And the one that is on `demand`, whatever differs.

    Must be called inside a transaction of the store. `scratch` is an empty
    directory on the store's filesystem that the caller removes; after a
    TriggerFailed, whose hint is a command line that replays the failure, it
    may be kept for that. `epoch` in seconds is the time that commands see.
    """
    difference = diff(store, before, tree)
    changed = set(_all_paths(difference))
    writers: dict[str, str] = {}
    runs: list[TriggerRun] = []
    left: list[LeftToBoot] = []
    with _Bench(store, near, scratch, options) as bench:
        firings = [(t, fires_on_demand(t, difference, demand)) for t in triggers]
        for trigger, firing in firings:
            for planned in jobs_in(store, tree, trigger, firing):
                job = on_demand(trigger, planned, demand)
                program = find_program(store, tree, trigger)
                moment = Moment(before, tree, tuple(sorted(changed)))
                key = key_of(store, trigger, job, program, moment, epoch=epoch)
                task = Task(trigger, job, program, key, epoch)
                run, effect = _carry_out(store, bench, task, tree, reporter)
                runs.append(run)
                left += task.left_to_boot
                after = apply_effect(store, tree, effect)
                made = diff(store, tree, after)
                changed.update(_all_paths(made))
                writers.update(dict.fromkeys((*made.added, *made.changed), trigger.name))
                writers = {path: who for path, who in writers.items() if path not in made.removed}
                tree = after
    return TriggerOutcome(tree, tuple(runs), tuple(sorted(writers.items())), tuple(left))


def _all_paths(difference: TreeDiff) -> tuple[str, ...]:
    return (*difference.added, *difference.changed, *difference.removed)


@dataclass(frozen=True, slots=True)
class Task:
    """A trigger's job with the program that the tree has for it, None where it has none."""

    trigger: Trigger
    job: Job
    program: Program | None
    key: str
    epoch: int

    def outcome(self, status: str, *, was_cached: bool = False) -> TriggerRun:
        """The record of this job."""
        return TriggerRun(self.trigger.name, self.key, status, self.job.values, was_cached)

    @property
    def title(self) -> str:
        """The trigger, and what it runs for."""
        return " ".join((self.trigger.name, *self.job.values[:3]))

    @property
    def left_to_boot(self) -> tuple[LeftToBoot, ...]:
        """What of it is to run at boot."""
        if self.trigger.phase != "boot" or self.program is None:
            return ()
        may_fail = self.trigger.on_failure == "warn"
        commands = tuple((*_environment(command), *command.argv) for command in self.commands)
        timeout = self.trigger.timeout
        return (LeftToBoot(self.trigger.name, self.key, commands, timeout, may_fail),)

    @property
    def ref(self) -> str:
        """What names the kept output."""
        return kept_ref(self.trigger.name, self.key)

    @property
    def rules(self) -> WriteRules:
        """What it may write."""
        return WriteRules(self.job.writes, self.job.scratch)

    @property
    def commands(self) -> Iterator[SandboxedCommand]:
        """What to run, one after the other."""
        assert self.program is not None
        for command in self.job.commands:
            yield SandboxedCommand(
                argv=(f"/{self.program.path}", *command[1:]),
                epoch=self.epoch,
                timeout=self.trigger.timeout,
                env=self.trigger.env,
                needs_proc=self.trigger.needs_proc,
                is_strict=self.trigger.dlopens_payload,
                is_sleepless=self.trigger.name in _SLEEPLESS,
            )


def _environment(command: SandboxedCommand) -> tuple[str, ...]:
    """The start of a command line that sets variables for a command."""
    pairs = tuple(f"{name}={value}" for name, value in command.env)
    return ("/usr/bin/env", *pairs) if pairs else ()


def kept_ref(name: str, key: str) -> str:
    """The ref of the commit that holds what a trigger wrote under a key."""
    return f"layer/trigger/{name}/{key}"


def jobs_in(
    store: ObjectStore, tree: Tree, trigger: Trigger, firing: Firing | None
) -> tuple[Job, ...]:
    """What there is to run where all of `match.exists` is there."""
    if firing is None:
        return ()
    due = with_existing(trigger, firing, lambda path: lookup(store, tree, path) is not None)
    return jobs(trigger, due) if due.matches else ()


def _carry_out(
    store: ObjectStore, bench: _Bench, task: Task, tree: Tree, reporter: Reporter
) -> tuple[TriggerRun, Effect]:
    trigger = task.trigger
    if trigger.phase != "build":
        return task.outcome("deferred"), Effect()
    if task.program is None:
        if trigger.missing_tool == "abort":
            raise TriggerFailed(
                f"trigger {trigger.name} needs {trigger.tool}, which the tree does not have",
                "install the package that has it, too",
            )
        reporter.note(f"trigger {trigger.name}: the tree has no {trigger.tool}")
        return task.outcome("no tool"), Effect()
    commit = store.find_commit(task.ref)
    if commit is not None:
        spans.tally("triggers not executed, as their output is known")
        reporter.part(f"Trigger {task.title}: as before", _PHASE)
        return task.outcome("done", was_cached=True), _read_kept(store, commit)
    reporter.part(f"Running trigger {task.title}", _PHASE)
    spans.tally("triggers executed")
    effect = bench.run(task, tree, reporter)
    if effect is None:
        return task.outcome("failed"), Effect()
    _keep(store, task, effect)
    return task.outcome("done"), effect


class Layers:
    """The lower layers of an overlay that shows one tree after the other as /usr."""

    def __init__(self, store: ObjectStore, near: NearTree, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch
        self._lowers = [near.path / "usr"] if near.path else []
        self._shown = _usr(store, near.root) if near.path else None
        self._differences = 0

    def lay(self, tree: Tree) -> tuple[Path, ...]:
        """The directories that show `tree`: only what differs is linked, on top."""
        usr = _usr(self._store, tree)
        if usr is None:
            raise TriggerFailed("the tree has no usr")
        if usr != self._shown:
            folder = self._scratch / f"difference-{self._differences}"
            self._differences += 1
            link_difference(self._store, self._shown, usr, folder)
            self._lowers.insert(0, folder)
            self._shown = usr
        return tuple(self._lowers)


class _Bench:
    """Where commands run: opens the sandbox when the first must, and lays trees over each other."""

    def __init__(
        self, store: ObjectStore, near: NearTree, scratch: Path, options: SandboxOptions | None
    ) -> None:
        self._store = store
        self._scratch = scratch
        self._options = options
        self._stack = ExitStack()
        self._sandbox: Sandbox | None = None
        self._layers = Layers(store, near, scratch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, task: Task, tree: Tree, reporter: Reporter) -> Effect | None:
        """What the task's commands do to `tree`; None where one failed and that is no matter."""
        if self._sandbox is None:
            sandbox = Sandbox(self._scratch, self._options)
            self._sandbox = self._stack.enter_context(sandbox)
        overlay = self._sandbox.overlay(self._layers.lay(tree))
        for command in task.commands:
            finished = self._sandbox.run(overlay, command)
            if fact_of(task.trigger, finished):
                failure = _failure(task, finished, self._sandbox.replay(overlay, command))
                if task.trigger.on_failure == "abort":
                    raise failure
                reporter.note(failure.message)
                return None
        try:
            return read_effect(self._store, tree, overlay.upper, task.rules)
        except TriggerFailed as error:
            raise TriggerFailed(
                f"trigger {task.trigger.name} {error.message}",
                f"add the paths to io.writes or io.scratch of {task.trigger.source}",
            ) from error


def _usr(store: ObjectStore, tree: Tree) -> Tree | None:
    usr = lookup(store, tree, "usr")
    return usr if isinstance(usr, Tree) else None


def _failure(task: Task, finished: Finished, replay: str) -> TriggerFailed:
    return TriggerFailed(
        "\n  ".join(
            [
                f"trigger {task.trigger.name} {fact_of(task.trigger, finished)}",
                *last_lines(finished),
            ]
        ),
        f"as long as its scratch directory is kept, this replays it:\n{replay}",
    )


def fact_of(trigger: Trigger, finished: Finished) -> str:
    """How a command failed, as the end of a sentence; "" where it did not."""
    if finished.is_timeout:
        return f"did not end within {trigger.timeout} s"
    if finished.reached:
        return finished.reached
    if finished.status > _BY_SIGNAL:
        return f"was killed by {_signal_name(finished.status - _BY_SIGNAL)}"
    return f"failed with status {finished.status}" if finished.status else ""


def last_lines(finished: Finished) -> tuple[str, ...]:
    """The end of what a command printed."""
    return tuple(finished.output.rstrip().splitlines()[-_LINES:])


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _keep(store: ObjectStore, task: Task, effect: Effect) -> None:
    """The effect as a commit: its tree holds what was written, the metadata says the rest."""
    editor = TreeEditor(store, empty_tree(store))
    for folder in effect.folders:
        editor.put_directory(folder.path, folder.attributes)
    for path, checksum in effect.files:
        editor.put_file(path, checksum)
    commit = store.write_commit(
        editor.write(),
        parent=None,
        timestamp=task.epoch,
        subject=f"Output of trigger {task.trigger.name}",
        metadata={
            "layer.trigger.removed": json.dumps(effect.removed),
            "layer.trigger.made": json.dumps([f.path for f in effect.folders if f.is_made]),
            "layer.trigger.altered": json.dumps([f.path for f in effect.folders if not f.is_made]),
        },
    )
    store.set_ref(task.ref, commit)


def _read_kept(store: ObjectStore, checksum: str) -> Effect:
    commit = store.read_commit(checksum)
    made, altered, removed = (
        _paths(commit, f"layer.trigger.{name}") for name in ("made", "altered", "removed")
    )
    folders = []
    for path in sorted({*made, *altered}):
        found = lookup(store, commit.root, path)
        if not isinstance(found, Tree):
            raise StoreError(f"commit {checksum} lacks {path}", "remove its layer/trigger ref")
        folders.append(Folder(path, found.attributes, path in made))
    return Effect(tuple(files_of(store, commit.root)), tuple(folders), removed)


def _paths(commit: Commit, key: str) -> tuple[str, ...]:
    paths = json.loads(str(commit.metadata.get(key, "null")))
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise StoreError(f"commit {commit.checksum} has no {key}", "remove its layer/trigger ref")
    return tuple(paths)
