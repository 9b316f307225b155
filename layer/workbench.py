"""Where triggers' commands run: overlays that show a tree, in sandboxes of threads of their own.

While one task runs, others may be begun before their turn, over the tree as it is then. What
they did counts only if nothing that goes into them has changed until they are asked for: the key
says so, as it does for outputs that were kept.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from layer import spans
from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.interrupts import uninterrupted
from layer.model import NearTree, Tree
from layer.overlay import Effect, link_difference, read_effect
from layer.sandbox.box import Sandbox, SandboxOptions
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.trigger_task import Task, fact_of, failure_of

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_MOST_THREADS = 4
_AGAIN = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Done:
    """What a task did; where it failed and that is no matter, why."""

    effect: Effect
    failure: str = ""


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


class Workbench:
    """Carries out tasks, several at once; a context that leaves nothing running.

    Its methods are called from one thread. Each of the threads that work has a sandbox of its own.
    """

    def __init__(
        self, store: ObjectStore, near: NearTree, scratch: Path, options: SandboxOptions | None
    ) -> None:
        self._store = store
        self._scratch = scratch
        self._options = options
        self._layers = Layers(store, near, scratch)
        self._pool: ThreadPoolExecutor | None = None
        self._begun: dict[str, Future[Done]] = {}
        self._own = threading.local()
        self._sandboxes: list[Sandbox] = []
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        self._is_over.set()
        with uninterrupted():
            self._pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in self._begun.values()):
                for sandbox in list(self._sandboxes):
                    sandbox.kill()
                time.sleep(_AGAIN)
            self._pool.shutdown()
            for sandbox in self._sandboxes:
                sandbox.close()

    def begin(self, task: Task, tree: Tree) -> None:
        """Has the task run over `tree`, as soon as a thread is free; once for each key."""
        if task.key in self._begun:
            return
        if self._pool is None:
            # With the logging that it brings it takes longer to load than a plan has to spare.
            from concurrent.futures import ThreadPoolExecutor

            threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
            self._pool = ThreadPoolExecutor(threads, "trigger")
        spans.tally("triggers executed")
        lowers = self._layers.lay(tree)
        self._begun[task.key] = self._pool.submit(self._carry_out, task, tree, lowers)

    def take(self, task: Task) -> Done:
        """What a task did that was begun; raises what it raised, once it has ended."""
        return self._begun[task.key].result()

    def _carry_out(self, task: Task, tree: Tree, lowers: Sequence[Path]) -> Done:
        sandbox = self._open_sandbox()
        overlay = sandbox.overlay(lowers)
        for command in task.commands:
            if self._is_over.is_set():
                return Done(Effect())  # which nobody asks for
            finished = sandbox.run(overlay, command)
            if fact_of(task.trigger, finished):
                failure = failure_of(task, finished, sandbox.replay(overlay, command))
                if task.trigger.on_failure == "abort":
                    raise failure
                return Done(Effect(), failure.message)
        try:
            return Done(read_effect(self._store, tree, overlay.upper, task.rules))
        except TriggerFailed as error:
            raise TriggerFailed(
                f"trigger {task.trigger.name} {error.message}",
                f"add the paths to io.writes or io.scratch of {task.trigger.source}",
            ) from error

    def _open_sandbox(self) -> Sandbox:
        """That of this thread."""
        sandbox: Sandbox | None = getattr(self._own, "sandbox", None)
        if sandbox is None:
            folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir=self._scratch))
            sandbox = self._own.sandbox = Sandbox(folder, self._options)
            self._sandboxes.append(sandbox)
        sandbox.open()
        return sandbox


def _usr(store: ObjectStore, tree: Tree) -> Tree | None:
    usr = lookup(store, tree, "usr")
    return usr if isinstance(usr, Tree) else None
