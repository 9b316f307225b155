"""How a run speaks on stderr: to a person, with one display of all steps, or to a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layer import spans
from layer.commands._speech import Manner, columns, is_drawn_on, say, shown_on
from layer.errors import LayerError, Unsolvable
from layer.report import Reporter
from layer.tables import folded
from layer.words import lasted, size

if TYPE_CHECKING:
    from layer.commands._display import Display

SCHEMA = 1
_PAUSE = 0.1  # seconds between two lines on one thing


class Voice(Reporter):
    """A reporter that tells the end of the run, too."""

    def end(self, status: int, error: LayerError | None = None) -> None:
        """The run is over, with this exit status, and an error where it failed."""

    def profile(self, measured: spans.Profile) -> None:
        """Where the run's time went, told before its end where --profile was said."""


class Narrator(Voice):
    """Tells a person; on a terminal what is under way is drawn while it lasts."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._display: Display | None = None
        self._began: float | None = None
        self._through: set[str] = set()

    def step(self, text: str) -> None:
        """One line a phase."""
        if self._display is not None:
            self._display.step(text)
        elif not self._manner.is_quiet:
            self._tell_time()
            say(f"{text}...", err=True)

    def part(self, text: str, phase: str) -> None:
        """One line, or what the display says of the phase."""
        if self._display is not None:
            self._display.part(text, phase)
        else:
            self.step(text)

    def note(self, text: str) -> None:
        """One line; with --quiet, too."""
        self._say(f"note: {text}")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Has a display on a terminal, which stays, with the time that each step took."""
        with self._drawing(is_passing=False):
            yield

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """Has a display on a terminal, which is gone afterwards."""
        with self._drawing(is_passing=True):
            if self._display is not None:
                self._display.step("Downloading")
            yield

    def progress(self, name: str, done: int, total: int, unit: str = "bytes") -> None:
        """Moves what is drawn."""
        if self._display is not None:
            self._display.progress(name, done, total, unit)
        is_file = unit == "bytes" and 0 < total <= done
        if is_file and self._manner.is_verbose and name not in self._through:
            self._through.add(name)
            self._say(f"  {name}  {size(total)}")

    def profile(self, measured: spans.Profile) -> None:
        """A table."""
        from layer.commands._profile import table

        say(table(measured), err=True)

    def end(
        self,
        status: int,  # noqa: ARG002
        error: LayerError | None = None,
    ) -> None:
        """An error and its hint; commands that were tried say more than any hint."""
        self._tell_time()
        if error is None:
            return
        width = columns(err=True)
        say(folded(f"error: {error.message}", width), err=True)
        if error.suggestions:
            say("hint: each of these was tried and can be done:", err=True)
            for suggestion in error.suggestions:  # whole, as they are to be copied
                say(f"  {suggestion}", err=True)
        elif error.hint or error.usual_hint:
            say(folded(f"hint: {error.hint or error.usual_hint}", width), err=True)

    @contextmanager
    def _drawing(self, *, is_passing: bool) -> Iterator[None]:
        if self._display is not None or self._manner.is_quiet or not is_drawn_on(sys.stderr):
            yield
            return
        from layer.commands._display import Display  # takes long to load

        self._tell_time()
        self._began = None  # the display tells it
        self._display = Display(is_passing=is_passing)
        try:
            yield
        finally:
            self._display.close()
            self._display = None

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.note(shown_on(sys.stderr, text))
        else:
            say(text, err=True)

    def _tell_time(self) -> None:
        """With --verbose, what the step took that is over now."""
        now = time.monotonic()
        if self._manner.is_verbose and self._began is not None:
            say(f"  {lasted(now - self._began)}", err=True)
        self._began = now if self._manner.is_verbose else None


class JsonLines(Voice):
    """Tells a program: one JSON object a line, docs/formats.md says which."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._told: dict[str, tuple[float, int, int]] = {}
        self._deployed: str | None = None
        from importlib.metadata import version  # takes long to load, and a person never needs it

        made_by = f"layer {version('layer')}"
        self._tell("begin", {"schema": SCHEMA, "made-by": made_by, "command": list(command)})

    def step(self, text: str) -> None:
        """One line a phase."""
        self._tell("step", {"text": text})

    def note(self, text: str) -> None:
        """One line."""
        self._tell("note", {"text": text})

    def progress(self, name: str, done: int, total: int, unit: str = "bytes") -> None:
        """The first, the last, and some between."""
        now, (when, *last) = time.monotonic(), self._told.get(name, (-_PAUSE, -1, -1))
        if [done, total] == last or (done != total and now - when < _PAUSE):
            return
        self._told[name] = (now, done, total)
        event = "download" if unit == "bytes" else "progress"
        rest = {} if unit == "bytes" else {"unit": unit}
        self._tell(event, {"name": name, "done": done, "total": total or None, **rest})

    def deployed(self, checksum: str) -> None:
        """Kept for the end."""
        self._deployed = checksum

    def profile(self, measured: spans.Profile) -> None:
        """One line."""
        from layer.commands._profile import as_json

        self._tell("profile", as_json(measured))

    def end(self, status: int, error: LayerError | None = None) -> None:
        """The last line."""
        shown = None if error is None else _as_json(error)
        self._tell("end", {"status": status, "error": shown, "deployed": self._deployed})

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        say(json.dumps({"event": event, **values}), err=True)


def _as_json(error: LayerError) -> dict[str, Any]:
    return {
        "message": error.message,
        "hint": error.hint or error.usual_hint or None,
        "facts": list(error.facts) if isinstance(error, Unsolvable) else [],
        "suggestions": [
            {"command": list(each.command), "effect": each.effect} for each in error.suggestions
        ],
    }


def voice() -> Voice:
    """How this run speaks."""
    found = click.get_current_context().find_root().obj
    return found.voice if isinstance(found, Speaking) else Narrator(Manner())


class Speaking:
    """Holds the voice of a run, which the first options may change, and tells its end."""

    def __init__(self) -> None:
        self.manner = Manner()
        self.voice: Voice = Narrator(self.manner)
        self._profile_file: Path | None = None

    def measure(self, file: Path | None) -> None:
        """Tells at the end where the time went; in `file`, if there is one."""
        from layer.commands import _profile

        _profile.start()
        self._profile_file = file

    def end(self, status: int, error: LayerError | None = None) -> None:
        """The run is over, with this exit status, and an error where it failed."""
        measured = spans.finish()
        if measured is not None and self._profile_file is None:
            self.voice.profile(measured)
        elif measured is not None and self._profile_file is not None:
            self._write(measured, self._profile_file)
        self.voice.end(status, error)

    def _write(self, measured: spans.Profile, file: Path) -> None:
        from layer.commands._profile import as_json

        try:
            file.write_text(f"{json.dumps(as_json(measured), indent=2)}\n")
        except OSError as problem:
            self.voice.note(f"the profile is not written: {problem}")
