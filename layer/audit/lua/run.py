"""One pass over one Lua script: where it is, and who is told what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from typing import Protocol

from layer.audit.grammar import Node
from layer.audit.lua.values import ANY, Closure, Frame, Function, Place, Value
from layer.audit.notes import Notes
from layer.audit.ruling import Call, Ruling
from layer.audit.state import Guard, TooLong
from layer.audit.verdict import Verdict
from layer.frozen import dataclass

_MOST_STEPS = 20_000
_SIMPLE = frozenset(
    [
        "function_call",
        "assignment_statement",
        "variable_declaration",
        "return_statement",
        "goto_statement",
    ]
)
NEVER = "it does not run at a first installation"


class Shell(Protocol):
    """Reads a text as a shell would that is started from Lua."""

    def __call__(self, text: str, guards: tuple[Guard, ...], *, is_fed: bool) -> None:
        """Notes what its commands do; `is_fed` where the script writes its input."""


@dataclass(slots=True)
class Run:
    """`count` is rpm's argument arg[2], None where it is not known; `varargs` what `...` holds.

    `changes_tables` says that the script changes tables somewhere, `assigned` which names
    its functions assign to.
    """

    notes: Notes
    rule: Callable[[Call], Ruling]
    shell: Shell
    own_files: frozenset[str]
    count: int | None
    walk: Callable[[Run, Sequence[Node]], None]
    evaluate: Callable[[Run, Node], Value]
    values: Callable[[Run, Sequence[Node]], tuple[list[Value], bool]]
    changes_tables: bool = False
    assigned: frozenset[str] = frozenset()
    place: Place = field(default_factory=Place)
    frame: Frame = field(default_factory=Frame)
    varargs: tuple[Value, ...] | None = None
    depth: int = 0
    steps: int = 0
    defined: dict[int, Node] = field(default_factory=dict)
    escaped: set[int] = field(default_factory=set)

    def step(self) -> None:
        """Counts what is done, so that no script keeps the reader for ever."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TooLong

    def note(self, verdict: Verdict, reason: str, by: str = "") -> None:
        """A verdict on the statement in work."""
        assert self.notes.here is not None
        self.notes.add(self.notes.here, verdict, reason, by)

    def doubt(self, reason: str) -> None:
        """Whatever statement is in work is not understood."""
        self.note(Verdict.UNKNOWN, reason)

    def lose(self) -> None:
        """From here on any name may mean anything."""
        self.place.is_lost = True
        self.place.variables = {}

    def skip(self, node: Node, reason: str = NEVER) -> None:
        """Nothing in this node runs."""
        for part in simple_parts(node):
            self.notes.add(part, Verdict.NOT_APPLICABLE, reason)

    # --- variables

    def declare(self, name: Node, value: Value) -> None:
        """A new local variable."""
        slot = f"{name.text}@{name.start}"
        self.frame = replace(self.frame, names=(*self.frame.names, (name.text, slot)))
        self.place.variables[slot] = value

    def assign(self, name: str, value: Value) -> None:
        """Gives a variable a value, a global one where no local has the name."""
        found = self.frame.find(name)
        if found is not None and self._is_shared(found[1]):
            self.doubt("layer does not follow a variable that functions share")
            self.lose()
        self.place.variables[found[0] if found else name] = value

    def value(self, name: str) -> Value | None:
        """What a variable holds; None for a global one that the script has not set."""
        found = self.frame.find(name)
        if found is None:
            return self.place.variables.get(name)
        return ANY if self._is_shared(found[1]) else self.place.variables.get(found[0], ANY)

    def _is_shared(self, home: Frame) -> bool:
        """Whether the variable may be that of another call than the last."""
        if home.activation == self.frame.activation:
            return False
        return home.activation != 0 or home.is_repeated

    def forget(self, names: frozenset[str]) -> None:
        """These may hold anything, and so may what functions set."""
        gone = names | self.assigned
        for slot in self.place.variables:
            if slot.partition("@")[0] in gone:
                self.place.variables[slot] = ANY
        for name in gone:
            self.place.variables.setdefault(name, ANY)

    # --- functions of the script

    def define(self, node: Node) -> Function:
        """A function with what it sees of the variables around it."""
        self.defined.setdefault(node.start, node)
        return Function((Closure(node.start + 1, node, self.frame),))

    def called(self, closure: Closure) -> None:
        """A function is called after all."""
        self.defined.pop(closure.node.start, None)


def simple_parts(node: Node) -> Iterator[Node]:
    """The statements and calls in a node that are not made of others."""
    if node.kind in _SIMPLE:
        yield node
    else:
        for child in node.children:
            yield from simple_parts(child)
