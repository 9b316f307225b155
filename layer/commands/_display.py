"""What is being done, drawn on a terminal while it lasts: a line for each step."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from layer.commands._speech import fitted
from layer.words import count, lasted, size

_PAUSE = 0.1  # seconds between two drawings
_ROOMY = 60  # columns from which there is a bar
_STEP, _BAR, _TIME = 24, 8, 9  # columns of a line: `Writing the rpm database`, `12 min 5 s`
_LEAST = 10  # that are left for what is done now


class Display:
    """The steps of a run, the last of which is under way, and what it is at just now.

    It is drawn when something moves, and by no thread, so that Ctrl-C finds nothing to wait for.
    One that `is_passing` is gone when it ends; else its lines stay.
    """

    def __init__(self, *, is_passing: bool) -> None:
        console = Console(stderr=True, highlight=False, emoji=False)
        self._progress = Progress(
            *_line_of(console.width),
            console=console,
            auto_refresh=False,
            transient=is_passing,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._step = ""
        self._row: TaskID | None = None
        self._parts = 0
        self._whole = ""  # what there was to do, once it is done
        self._sizes: dict[str, tuple[int, int]] = {}
        self._drawn = 0.0
        self._progress.start()

    def step(self, text: str) -> None:
        """The step that is under way is done, and the next one begins."""
        self._finish()
        self._step, self._parts, self._whole = text, 0, ""
        self._sizes = {}
        self._row = self._progress.add_task(_plain(text), total=None, amount="", now="")
        self._draw(is_due=True)

    def part(self, text: str, phase: str) -> None:
        """A part of a step begins, of which nobody knows how many it has."""
        if phase != self._step:
            self.step(phase)
        self._parts += 1
        self._whole = str(self._parts)
        self._change(amount=self._whole, now=text, is_due=True)

    def progress(self, name: str, done: int, total: int, unit: str) -> None:
        """So much of a step is done; in bytes it is so much of one of its files."""
        if unit != "bytes":
            is_due = unit == "packages"
            self._whole = f"{done} of {total} {unit}"
            self._change(done, total, amount=self._whole, now=name, is_due=is_due)
            return
        self._sizes[name] = (done, total)
        sizes = self._sizes.values()
        of_all, expected = sum(done for done, _ in sizes), sum(max(pair) for pair in sizes)
        now = [each for each, (done, total) in self._sizes.items() if not 0 < total <= done]
        more = f" and {len(now) - 1} more" if len(now) > 1 else ""
        self._whole = f"{size(of_all)}, {count(len(self._sizes), 'file')}"
        self._change(
            of_all,
            expected,
            amount=f"{size(of_all)} of {size(expected)}",
            now=f"{now[0]}{more}" if now else name,
            is_due=0 < total <= done,
        )

    def note(self, text: str) -> None:
        """Lines above the display, which stay."""
        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def close(self) -> None:
        """Nothing is drawn any more."""
        self._finish()
        self._progress.refresh()
        self._progress.stop()

    def _finish(self) -> None:
        if self._row is not None:
            task = next(task for task in self._progress.tasks if task.id == self._row)
            total = task.total or 1
            self._progress.update(
                self._row, total=total, completed=total, amount=_plain(self._whole), now=""
            )

    def _change(
        self,
        done: int = 0,
        total: int | None = None,
        *,
        amount: str,
        now: str,
        is_due: bool,
    ) -> None:
        if self._row is None:
            return
        self._progress.update(
            self._row, completed=done, total=total or None, amount=_plain(amount), now=_plain(now)
        )
        self._draw(is_due=is_due)

    def _draw(self, *, is_due: bool) -> None:
        now = time.monotonic()
        if is_due or now - self._drawn >= _PAUSE:
            self._drawn = now
            self._progress.refresh()


class _Time(ProgressColumn):
    """How long a step has taken, once it is done."""

    def render(self, task: Task) -> Text:
        took = lasted(task.finished_time or 0.0) if task.finished else ""
        return Text(took.rjust(_TIME), style="progress.elapsed", no_wrap=True)


class _Now(ProgressColumn):
    """How much of a step is done, and what is done just now; once it is done, how much it was."""

    def render(self, task: Task) -> Text:
        now = f"  {task.fields['now']}" if task.fields["now"] else ""
        return Text.assemble(task.fields["amount"], (now, "dim"), overflow="ellipsis", no_wrap=True)


def _line_of(width: int) -> tuple[ProgressColumn, ...]:
    """The columns of a line, which fit the terminal; what is done now has the rest of it."""

    def cut(columns: int) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", max_width=columns)

    bar = (BarColumn(_BAR, table_column=Column(min_width=_BAR)),) if width >= _ROOMY else ()
    step = min(_STEP, width // 3)
    rest = width - step - len(bar) * (_BAR + 1) - _TIME - 2
    first = TextColumn("{task.description}", markup=False, table_column=cut(step))
    return (first, *bar, _Now(table_column=cut(max(rest, _LEAST))), _Time())


def _plain(text: str) -> str:
    return fitted(text, sys.stderr.encoding)
