"""Where a run's time goes: phases that the work enters, and what they cost together.

Phases may lie in one another; what an inner one takes is not the outer one's, so that all of them
and the rest are the whole run. Where nobody asked for a profile, entering one does nothing.
"""

from __future__ import annotations

import resource
import threading
import time
from contextlib import ContextDecorator
from types import TracebackType

from layer.frozen import dataclass

# In the order in which they are shown, with what is told of them in man/layer.1.
PHASES = (
    "start",
    "solve",
    "plan",
    "download",
    "import",
    "merge",
    "triggers",
    "rpmdb",
    "labels",
    "commit",
    "deploy",
    "cleanup",
)
REST = "rest"


@dataclass(frozen=True, slots=True)
class Span:
    """A phase of a run: seconds by the clock, seconds of processor with those of children."""

    name: str
    clock: float
    processor: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A run's phases, which make up all of it, and how often something was done in it."""

    spans: tuple[Span, ...]
    counts: tuple[tuple[str, int], ...]

    @property
    def clock(self) -> float:
        """Seconds that the run took."""
        return sum(span.clock for span in self.spans)

    @property
    def processor(self) -> float:
        """Seconds of processor that it took."""
        return sum(span.processor for span in self.spans)


class phase(ContextDecorator):  # noqa: N801  # used as the functions of contextlib are
    """What is inside, or the function it stands over, is of this phase; other threads' is not."""

    def __init__(self, name: str) -> None:
        assert name in PHASES, name
        self._name = name

    def __enter__(self) -> None:
        if _meter is not None:
            _meter.enter(self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if _meter is not None:
            _meter.leave()


def tally(what: str, number: int = 1) -> None:
    """Counts something that was done, in words for a person."""
    if _meter is not None:
        _meter.counts[what] = _meter.counts.get(what, 0) + number


def start(elapsed: float) -> None:
    """From here on this run is measured, whose process began `elapsed` seconds ago."""
    global _meter  # each step would else hand it to the next, for nothing on most days
    _meter = _Meter(elapsed)


def finish() -> Profile | None:
    """What was measured, None where nothing was; the measuring ends."""
    global _meter
    meter, _meter = _meter, None
    return None if meter is None else meter.profile()


class _Meter:
    """The phases that are open, the innermost last, and what each has cost until now."""

    def __init__(self, elapsed: float) -> None:
        self.counts: dict[str, int] = {}
        self._open = [REST]
        self._costs = {"start": (elapsed, _processor())}
        self._thread = threading.get_ident()
        self._since = (time.perf_counter(), _processor())

    def enter(self, name: str) -> None:
        if threading.get_ident() == self._thread:
            self._charge()
            self._open.append(name)

    def leave(self) -> None:
        if threading.get_ident() == self._thread:
            self._charge()
            self._open.pop()

    def profile(self) -> Profile:
        """The phases that were entered, in their order, and the rest."""
        self._charge()
        spans = [Span(n, *self._costs[n]) for n in (*PHASES, REST) if n in self._costs]
        return Profile(tuple(spans), tuple(sorted(self.counts.items())))

    def _charge(self) -> None:
        """Puts what passed since the last time on the innermost phase's account."""
        now = (time.perf_counter(), _processor())
        clock, processor = self._costs.get(self._open[-1], (0.0, 0.0))
        self._costs[self._open[-1]] = (
            clock + now[0] - self._since[0],
            processor + now[1] - self._since[1],
        )
        self._since = now


def _processor() -> float:
    """Seconds of processor that this process took, with its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


_meter: _Meter | None = None
