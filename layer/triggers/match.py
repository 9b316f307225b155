"""Which triggers a change of a tree fires, and with which arguments they run."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from layer.frozen import dataclass
from layer.model import TreeDiff
from layer.triggers.format import PLACEHOLDER, Trigger, placeholders
from layer.triggers.globs import Glob, bind, match, matches

_ARGUMENTS = 1 << 19  # characters; the kernel takes 2 MiB with the environment and the pointers

Binding = tuple[tuple[str, str], ...]
"""Captured names with their words, sorted."""


@dataclass(frozen=True, slots=True)
class Firing:
    """Why a trigger fires: the paths that matched, sorted, each with what it captured."""

    matches: tuple[tuple[str, Binding], ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """A trigger that is to run as if these paths had changed, with words after its own command."""

    trigger: str
    paths: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """Commands that run one after the other in one sandbox, and the words they run for.

    The patterns are the trigger's own, narrowed to the words of this job.
    """

    commands: tuple[tuple[str, ...], ...]
    values: tuple[str, ...]
    include: tuple[Glob, ...]
    reads: tuple[Glob, ...]
    writes: tuple[Glob, ...]
    scratch: tuple[Glob, ...]


def fires(trigger: Trigger, diff: TreeDiff) -> Firing | None:
    """What of `diff` the trigger waits for, or None."""
    matches: dict[str, Binding] = {}
    for change, paths in (
        ("add", diff.added),
        ("change", diff.changed),
        ("remove", diff.removed),
    ):
        if change in trigger.on:
            matches |= _matches(trigger, paths)
    return Firing(tuple(sorted(matches.items()))) if matches else None


def fires_on_demand(trigger: Trigger, diff: TreeDiff, demand: Demand | None) -> Firing | None:
    """The same, where the demanded trigger finds the demanded paths changed."""
    if demand is None or demand.trigger != trigger.name:
        return fires(trigger, diff)
    return fires(trigger, replace(diff, changed=(*diff.changed, *demand.paths)))


def on_demand(trigger: Trigger, job: Job, demand: Demand | None) -> Job:
    """The job with the demanded words after each of its commands."""
    if demand is None or demand.trigger != trigger.name:
        return job
    return replace(job, commands=tuple((*c, *demand.arguments) for c in job.commands))


def with_existing(trigger: Trigger, firing: Firing, is_there: Callable[[str], bool]) -> Firing:
    """What is left of a firing where all of `match.exists` is to be there."""
    return Firing(
        tuple(
            (path, binding)
            for path, binding in firing.matches
            if all(is_there(bind(glob, dict(binding)).prefix) for glob in trigger.exists)
        )
    )


def is_excluded(trigger: Trigger, path: str) -> bool:
    """Whether `match.exclude` takes the path out again."""
    return any(match(glob, path) is not None for glob in trigger.exclude)


def matching(glob: Glob, paths: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The paths, of sorted ones, that match, with what they capture."""
    prefix = glob.prefix
    start = bisect_left(paths, prefix)
    if start == len(paths) or not paths[start].startswith(prefix):
        return iter(())  # as most do: a pattern is compiled for a path that it may match
    end = bisect_right(paths, prefix, start, key=lambda path: path[: len(prefix)])
    return matches(glob, (paths[index] for index in range(start, end)))


def jobs(trigger: Trigger, firing: Firing) -> tuple[Job, ...]:
    """What there is to run, in order."""
    bindings = tuple(sorted({binding for _, binding in firing.matches}))
    match trigger.per:
        case "capture":
            return tuple(_job_for(trigger, binding) for binding in bindings)
        case "file":
            commands = tuple(
                _command(trigger, {**dict(binding), "file": f"/{path}"})
                for path, binding in firing.matches
            )
            return (_job(trigger, commands, tuple(path for path, _ in firing.matches)),)
        case "files":
            return (_job(trigger, tuple(_batches(trigger, firing)), ()),)
        case _:
            command, values = _command_for_all(trigger, bindings)
            return (_job(trigger, (command,), values),)


def _batches(trigger: Trigger, firing: Firing) -> Iterator[tuple[str, ...]]:
    """Commands that name each file once, as few as argument lists allow."""
    batch: list[str] = []
    room = _ARGUMENTS
    for path, _ in firing.matches:
        if batch and len(path) > room:
            yield _with_files(trigger, batch)
            batch, room = [], _ARGUMENTS
        batch.append(f"/{path}")
        room -= len(path)
    yield _with_files(trigger, batch)


def _with_files(trigger: Trigger, files: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        filled
        for argument in trigger.exec
        for filled in (
            [_filled(argument, {"file": file}) for file in files]
            if "file" in placeholders(argument)
            else [argument]
        )
    )


def _matches(trigger: Trigger, paths: tuple[str, ...]) -> Iterator[tuple[str, Binding]]:
    in_order = sorted(paths)  # a diff made by hand may have them in another order
    for glob in trigger.include:
        for path, words in matching(glob, in_order):
            if not is_excluded(trigger, path):
                yield path, tuple(sorted(words.items()))


def _job_for(trigger: Trigger, binding: Binding) -> Job:
    words = dict(binding)
    return Job(
        (_command(trigger, words),),
        tuple(words.values()),
        tuple(bind(glob, words) for glob in trigger.include),
        tuple(bind(glob, words) for glob in trigger.reads),
        tuple(bind(glob, words) for glob in trigger.writes),
        tuple(bind(glob, words) for glob in trigger.scratch),
    )


def _job(trigger: Trigger, commands: tuple[tuple[str, ...], ...], values: tuple[str, ...]) -> Job:
    return Job(commands, values, trigger.include, trigger.reads, trigger.writes, trigger.scratch)


def _command(trigger: Trigger, words: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_filled(argument, words) for argument in trigger.exec)


def _command_for_all(
    trigger: Trigger, bindings: tuple[Binding, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An argument with a capture becomes one for each distinct word; these again, sorted."""
    command: list[str] = []
    values: set[str] = set()
    for argument in trigger.exec:
        names = placeholders(argument)
        if not names:
            command.append(argument)
            continue
        words = {word for binding in bindings for name, word in binding if name == names[0]}
        filled = [_filled(argument, {names[0]: word}) for word in sorted(words)]
        command += filled
        values.update(filled)
    return tuple(command), tuple(sorted(values))


def _filled(argument: str, words: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), argument)
