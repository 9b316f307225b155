"""Commands in place of one that cannot be done: each is tried before anybody is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from pathlib import Path

from layer.change import Change
from layer.errors import LayerError, Suggestion
from layer.frozen import dataclass
from layer.host import Host
from layer.model import Commit
from layer.report import Reporter

_MOST_TRIALS = 12
_MOST_WORK = 3.0  # seconds of processor
_MOST_WAITING = 10.0  # seconds by the clock: a disabled repository may be slow, or large


@dataclass(frozen=True, slots=True)
class Command:
    """A verb that layers packages, as it was told; `decide` is what it calls.

    `words` say where to, `flags` are such as no trial changes. `base` is the one to come, where
    that is not the present one.
    """

    host: Host
    verb: str
    decide: Callable[[Command], Change] = field(repr=False)
    words: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    skip_broken: bool = False
    base: Commit | None = None

    @property
    def line(self) -> tuple[str, ...]:
        """The words of a shell, with all that says where it works, as it was said now."""
        packages = self.packages
        if self.verb != "install":
            packages = tuple(word for name in packages for word in ("--install", name))
        preference = self.host.options.preference
        return (
            *_beginning(self.host, self.verb),
            *(word for glob in preference.excludes for word in ("--exclude", glob)),
            *(["--best"] if preference.is_best else []),
            *self.flags,
            *(["--skip-broken"] if self.skip_broken else []),
            *self.words,
            *packages,
            *(word for name in self.uninstall for word in ("--uninstall", name)),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """A command that may work, and what is different in it.

    `is_fallback`: it is of no use where a trial before it came to something.
    """

    command: Command
    effect: str
    is_fallback: bool = False


class Patience(Reporter):
    """Says nothing, and gives trials up that take too long."""

    def __init__(self) -> None:
        self._work = time.process_time() + _MOST_WORK
        self._end = time.monotonic() + _MOST_WAITING

    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.process_time() < self._work and time.monotonic() < self._end


def suggestions(
    command: Command, trials: Callable[[Command], Iterable[Trial]]
) -> tuple[Suggestion, ...]:
    """Those trials of a command that come to something, of the first ones.

    A note says so where time was too short for all of them.
    """
    reporter, patience = command.host.reporter, Patience()
    host = command.host
    # What is newest was fetched for the command itself.
    options = replace(host.options, refresh=False)
    quiet = replace(command, host=replace(host, reporter=patience, options=options))
    found = tuple(_successes(trials(quiet), patience))
    if not patience.goes_on():
        reporter.note("not everything that may help was tried: that would take longer")
    return found


def outcome(command: Command) -> Change | None:
    """What is decided; None where it cannot be, or changes nothing."""
    try:
        change = command.decide(command)
    except LayerError:
        return None
    return None if change.is_empty else change


def _successes(trials: Iterable[Trial], patience: Patience) -> Iterator[Suggestion]:
    found = False
    for number, trial in enumerate(trials):
        if number == _MOST_TRIALS or not patience.goes_on():
            return
        if (found and trial.is_fallback) or outcome(trial.command) is None:
            continue
        found = True
        yield Suggestion(trial.command.line, trial.effect)


def _beginning(host: Host, verb: str) -> tuple[str, ...]:
    options = host.options
    folders = (str(folder) for folder in options.repository_directories)
    return (
        "layer",
        verb,
        *(["--sysroot", str(host.sysroot.path)] if host.sysroot.path != Path("/") else []),
        *(["--stateroot", options.stateroot] if options.stateroot else []),
        *(word for folder in folders for word in ("--repo-dir", folder)),
        *(word for name in options.choice.only for word in ("--repo", name)),
        *(
            word
            for name, is_on in options.choice.switched
            for word in ("--enablerepo" if is_on else "--disablerepo", name)
        ),
        *(["--cachedir", str(options.cache)] if options.cache else []),
        *(["--cache-only"] if options.cache_only else []),
        *(word for name in options.accept_unscripted for word in ("--accept-unscripted", name)),
    )
