"""How a run speaks on stderr: to a person, with one display of downloads, or to a program."""

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
from layer.errors import LayerError, Unsolvable
from layer.report import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SCHEMA = 1
_PAUSE = 0.1  # seconds between two lines, or two drawings, on one thing


class Voice(Reporter):
    """A reporter that tells the end of the run, too."""

    def end(self, status: int, error: LayerError | None = None) -> None:
        """The run is over, with this exit status, and an error where it failed."""

    def profile(self, measured: spans.Profile) -> None:
        """Where the run's time went, told before its end where --profile was said."""


class Narrator(Voice):
    """Tells a person; on a terminal, downloads are drawn while they last."""

    def __init__(self) -> None:
        self._bars: _Bars | None = None

    def step(self, text: str) -> None:
        """One line a phase."""
        click.echo(f"{text}...", err=True)

    def note(self, text: str) -> None:
        """One line."""
        click.echo(f"note: {text}", err=True)

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """Has a display on a terminal, which is gone afterwards."""
        if not sys.stderr.isatty() or self._bars is not None:
            yield
            return
        self._bars = _Bars()
        try:
            yield
        finally:
            self._bars.close()
            self._bars = None

    def progress(self, name: str, done: int, total: int, unit: str = "bytes") -> None:
        """Moves a bar, where there are any."""
        if self._bars is not None and unit == "bytes":
            self._bars.update(name, done, total)

    def profile(self, measured: spans.Profile) -> None:
        """A table."""
        from layer.commands._profile import table

        click.echo(table(measured), err=True)

    def end(
        self,
        status: int,  # noqa: ARG002
        error: LayerError | None = None,
    ) -> None:
        """An error and its hint; commands that were tried say more than any hint."""
        if error is None:
            return
        click.echo(f"error: {error.message}", err=True)
        if error.suggestions:
            click.echo("hint: each of these was tried and can be done:", err=True)
            for suggestion in error.suggestions:
                click.echo(f"  {suggestion}", err=True)
        elif error.hint:
            click.echo(f"hint: {error.hint}", err=True)


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
        click.echo(json.dumps({"event": event, **values}), err=True)


def _as_json(error: LayerError) -> dict[str, Any]:
    return {
        "message": error.message,
        "hint": error.hint,
        "facts": list(error.facts) if isinstance(error, Unsolvable) else [],
        "suggestions": [
            {"command": list(each.command), "effect": each.effect} for each in error.suggestions
        ],
    }


class _Bars:
    """One display: all downloads together, and those that are under way.

    It is drawn when something moves, and by no thread, so that Ctrl-C finds nothing to wait for.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._sizes: dict[str, tuple[int, int]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._drawn = 0.0
        self._all = self._progress.add_task("all", total=None)
        self._progress.start()

    def update(self, name: str, done: int, total: int) -> None:
        """Moves what belongs to a name, and takes it away when it is through."""
        is_through = total > 0 and done >= total
        self._sizes[name] = (done, total)
        if name not in self._tasks and not is_through:
            self._tasks[name] = self._progress.add_task(name)
        if is_through and name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        elif name in self._tasks:
            self._progress.update(self._tasks[name], completed=done, total=total or None)
        sizes = self._sizes.values()
        of_all, expected = sum(done for done, _ in sizes), sum(max(pair) for pair in sizes)
        ended = sum(0 < total <= done for done, total in sizes)
        head = f"{ended} of {len(self._sizes)} files"
        self._progress.update(self._all, completed=of_all, total=expected, description=head)
        now = time.monotonic()
        if is_through or now - self._drawn >= _PAUSE:
            self._drawn = now
            self._progress.refresh()

    def close(self) -> None:
        """Takes the display away."""
        self._progress.stop()


def voice() -> Voice:
    """How this run speaks."""
    found = click.get_current_context().find_root().obj
    return found.voice if isinstance(found, Speaking) else Narrator()


class Speaking:
    """Holds the voice of a run, which the first options may change, and tells its end."""

    def __init__(self) -> None:
        self.voice: Voice = Narrator()
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
