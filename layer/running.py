"""Runs the triggers that a change of a tree fires, or replays what they once wrote.

A trigger's output is kept in the store under a key of all that goes into it,
so that the same inputs never run it twice. What does run sees the tree as an
overlay over a checkout that resembles it; nothing is set up before something
must run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from layer import spans
from layer.errors import StoreError, TriggerFailed
from layer.frozen import dataclass
from layer.model import Commit, LeftToBoot, NearTree, Tree, TreeDiff, TriggerRun
from layer.overlay import Effect, Folder, apply_effect
from layer.report import SILENT, Reporter
from layer.sandbox.box import SandboxOptions
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, diff, empty_tree, files_of, lookup
from layer.trigger_inputs import Moment, find_program, key_of
from layer.trigger_task import Task
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
from layer.workbench import Workbench

__all__ = ["SandboxOptions", "TriggerOutcome", "run_triggers"]

_PHASE = "Running triggers"


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
    due = [(t, fires_on_demand(t, difference, demand)) for t in triggers]
    work = _Work(store, before, tree, {*_all_paths(difference)}, demand, epoch)
    with Workbench(store, near, scratch, options) as bench:
        for number, (trigger, firing) in enumerate(due):
            for job in work.jobs(trigger, firing):
                task = work.task(trigger, job)
                run, effect = _carry_out(work, bench, task, due[number:], reporter)
                work.add(task, run, effect)
    return work.outcome


def _all_paths(difference: TreeDiff) -> tuple[str, ...]:
    return (*difference.added, *difference.changed, *difference.removed)


class _Work:
    """Where the work stands: the tree now, and how it came to be so."""

    def __init__(
        self,
        store: ObjectStore,
        before: Tree,
        tree: Tree,
        changed: set[str],
        demand: Demand | None,
        epoch: int,
    ) -> None:
        self.store = store
        self.tree = tree
        self._before = before
        self._changed = changed
        self._demand = demand
        self._epoch = epoch
        self._writers: dict[str, str] = {}
        self._runs: list[TriggerRun] = []
        self._left: list[LeftToBoot] = []
        self.ahead: set[str] = set()  # triggers that were begun before their turn

    def jobs(self, trigger: Trigger, firing: Firing | None) -> tuple[Job, ...]:
        """What a trigger is to do as the tree is now."""
        return jobs_in(self.store, self.tree, trigger, firing)

    def task(self, trigger: Trigger, planned: Job) -> Task:
        """The job, with the key of all that goes into it now."""
        job = on_demand(trigger, planned, self._demand)
        program = find_program(self.store, self.tree, trigger)
        moment = Moment(self._before, self.tree, tuple(sorted(self._changed)))
        key = key_of(self.store, trigger, job, program, moment, epoch=self._epoch)
        return Task(trigger, job, program, key, self._epoch)

    def add(self, task: Task, run: TriggerRun, effect: Effect) -> None:
        """The job was done: the tree is another one from now on."""
        self._runs.append(run)
        self._left += task.left_to_boot
        after = apply_effect(self.store, self.tree, effect)
        made = diff(self.store, self.tree, after)
        self._changed.update(_all_paths(made))
        writers = self._writers | dict.fromkeys((*made.added, *made.changed), task.trigger.name)
        self._writers = {path: who for path, who in writers.items() if path not in made.removed}
        self.tree = after

    @property
    def outcome(self) -> TriggerOutcome:
        """What came of it until now."""
        written = tuple(sorted(self._writers.items()))
        return TriggerOutcome(self.tree, tuple(self._runs), written, tuple(self._left))


def _begin_ahead(
    work: _Work, bench: Workbench, due: Sequence[tuple[Trigger, Firing | None]]
) -> None:
    """Begins all that waits for none of the triggers before it, of which the first has its turn."""
    waiting: list[Trigger] = []
    for trigger, firing in due:
        if firing is None or trigger.phase != "build":
            continue
        is_free = not any(_waits(trigger, other) for other in waiting)
        if is_free and trigger.name not in work.ahead:
            work.ahead.add(trigger.name)
            for job in work.jobs(trigger, firing):
                task = work.task(trigger, job)
                if task.program is not None and work.store.find_commit(task.ref) is None:
                    bench.begin(task, work.tree)
        waiting.append(trigger)


def _waits(trigger: Trigger, other: Trigger) -> bool:
    """Whether one says that the other comes first."""
    return other.name in trigger.after or trigger.name in other.before


def jobs_in(
    store: ObjectStore, tree: Tree, trigger: Trigger, firing: Firing | None
) -> tuple[Job, ...]:
    """What there is to run where all of `match.exists` is there."""
    if firing is None:
        return ()
    due = with_existing(trigger, firing, lambda path: lookup(store, tree, path) is not None)
    return jobs(trigger, due) if due.matches else ()


def _carry_out(
    work: _Work,
    bench: Workbench,
    task: Task,
    due: Sequence[tuple[Trigger, Firing | None]],
    reporter: Reporter,
) -> tuple[TriggerRun, Effect]:
    """Runs or replays a task; `due` are its trigger and those that come later."""
    trigger, store = task.trigger, work.store
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
    bench.begin(task, work.tree)
    _begin_ahead(work, bench, due)
    done = bench.take(task)
    if done.failure:
        reporter.note(done.failure)
        return task.outcome("failed"), done.effect
    _keep(store, task, done.effect)
    return task.outcome("done"), done.effect


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
