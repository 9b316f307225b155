"""What a trigger runs for one occasion, and how it failed."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.model import LeftToBoot, TriggerRun
from layer.overlay import WriteRules
from layer.sandbox.box import SandboxedCommand
from layer.sandbox.process import Finished
from layer.trigger_inputs import Program
from layer.triggers.format import Trigger
from layer.triggers.match import Job

_BY_SIGNAL = 128  # what a shell and bubblewrap add to a signal's number
# Triggers whose commands wait for nothing but time, with the reason why a tree needs none of it.
_SLEEPLESS = {
    "fonts": "fc-cache sleeps 2 s at its end, so that later changes have later mtimes; ours are 0",
}
_LINES = 20  # of a failed trigger's output that are shown


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


def failure_of(task: Task, finished: Finished, replay: str) -> TriggerFailed:
    """What to raise where a command failed; `replay` is a command line that does it again."""
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
