"""What is written down about each command while a script is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from layer.audit.grammar import Node
from layer.audit.verdict import Judged, Verdict

_COMPOUND = frozenset(
    [
        "if_statement",
        "case_statement",
        "for_statement",
        "while_statement",
        "function_definition",
        "function_declaration",
    ]
)


class Notes:
    """The verdict on each command; the heaviest stands where a command is judged more than once."""

    def __init__(self, slot: str) -> None:
        self.here: Node | None = None
        self._slot = slot
        self._found: dict[tuple[int, int], Judged] = {}
        self._pinned: Node | None = None
        self._defined: dict[tuple[int, int], Node] = {}

    def enter(self, node: Node) -> None:
        """Doubts from here on are about this statement."""
        self.here = node

    def add(self, node: Node, verdict: Verdict, reason: str, by: str = "") -> None:
        """One verdict on one command."""
        node = self._pinned or node
        key = (node.start, node.end)
        before = self._found.get(key)
        if before is None or before.verdict.weight < verdict.weight:
            text = node.text.strip()
            if node.kind in _COMPOUND:
                text = text.partition("\n")[0] + " ..."
            self._found[key] = Judged(self._slot, node.line, text, verdict, reason, by)

    @contextmanager
    def pinned(self, node: Node) -> Iterator[None]:
        """All that is judged inside stands for this one command: a script in its arguments."""
        before, self._pinned = self._pinned, self._pinned or node
        yield
        self._pinned = before

    def defined(self, node: Node) -> None:
        """A function of the script itself."""
        if self._pinned is None:
            self._defined[node.start, node.end] = node

    def called(self, body: Node) -> None:
        """A function with this body is called."""
        for key, node in list(self._defined.items()):
            if body in node.children:
                del self._defined[key]

    @property
    def uncalled(self) -> tuple[Node, ...]:
        """The functions that nothing calls."""
        return tuple(self._defined.values())

    @property
    def judged(self) -> tuple[Judged, ...]:
        """All verdicts in the order of the script."""
        return tuple(self._found[key] for key in sorted(self._found))
