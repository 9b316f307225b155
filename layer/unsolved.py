"""What keeps what is asked for from being layered, for people: few lines, each a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layer.blockers import Blocker
from layer.errors import Unsolvable
from layer.model import Request
from layer.words import joined

_MOST_LINES = 10


class Unsolved(Unsolvable):
    """Requests that cannot be layered; `blockers` are all that were found, sorted.

    `new` are the requests that were made just now. The message has ten lines at most, `facts`
    have all of them.
    """

    def __init__(
        self, blockers: Sequence[Blocker], new: Iterable[Request], hint: str | None
    ) -> None:
        self.new = frozenset(new)
        self.blockers = tuple(sorted(blockers, key=lambda one: [r.text for r in one.requests]))
        lines = [line for blocker in self.blockers for line in _told(blocker, self.new)]
        is_of_group = any(blocker.members for blocker in self.blockers)
        # Else a heading would say nothing that its only fact does not.
        if len(lines) == 2 and not is_of_group:
            lines = [lines[1].strip()]
        shown = lines
        if len(lines) > _MOST_LINES:
            rest = len(lines) - _MOST_LINES + 1
            shown = [*lines[: _MOST_LINES - 1], f"  and {rest} lines more: --json-progress has all"]
        super().__init__("\n".join(shown), hint, facts=tuple(line.strip() for line in lines))


def _told(blocker: Blocker, new: frozenset[Request]) -> Iterable[str]:
    yield f"{_heading(blocker, new)}:"
    yield from (f"  {fact}" for fact in blocker.facts or blocker.reason.splitlines())


def _heading(blocker: Blocker, new: frozenset[Request]) -> str:
    asked = joined([r.label for r in blocker.requests if r in new])
    layered = joined([r.label for r in blocker.requests if r not in new])
    if asked and layered:
        return f"{asked} cannot be layered beside {layered}"
    together = " together" if len(blocker.requests) > 1 else ""
    if asked:
        return f"{asked} cannot be layered{together}"
    return f"{layered}, asked for before, cannot be layered{together} any more"
