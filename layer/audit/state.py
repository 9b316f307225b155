"""What is known of a shell while its script is read: variables, arguments, functions, guards."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import field

from layer.audit.grammar import Node
from layer.frozen import dataclass
from layer.words import is_number

UNKNOWN = "\0"
"""Stands in texts for whatever only a run would tell; no script can hold this character."""

NUMBER = UNKNOWN + "\2"
"""Stands in texts for a number that only a run would tell; no script that is read holds it."""


_MOST_TEXTS = 4  # that are followed of one variable


class TooLong(Exception):
    """A script that calls and loops more than any real one; it is judged as a whole."""


class GuardKind(enum.Enum):
    """What an undecided condition asks about."""

    ACCOUNT = "account"
    PATH = "path"
    TOOL = "tool"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that decides at run time whether commands run; `about` is a name or a path."""

    kind: GuardKind
    about: str = ""


DOUBT = (Guard(GuardKind.OTHER),)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command; pieces that only a run would tell are UNKNOWN.

    `has_pattern` says that the shell would look for files that match, `is_quoted` that
    the word stays one word whatever its unknown pieces are.
    """

    text: str
    is_quoted: bool = False
    has_pattern: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the text is the word."""
        return UNKNOWN not in self.text and not self.has_pattern


@dataclass(slots=True)
class State:
    """The shell at one place of its script.

    `arguments` are the positional ones, None where not even their number is known.
    `touched` names variables in the order in which they were set; `fed` is what standard
    input holds, None where it is the script's own. `ends` is "" for a place that is
    reached, else "jump" (return, break, continue) or "exit". `maybe` has the few texts of
    which a variable holds one, where it is not known which.
    """

    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] | None = None
    functions: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    touched: list[str] = field(default_factory=list)
    fed: str | None = None
    ends: str = ""
    maybe: dict[str, frozenset[str]] = field(default_factory=dict)

    def copy(self) -> State:
        """A shell of its own that begins with the same; what it touches is noted here too."""
        return State(
            dict(self.variables),
            self.arguments,
            dict(self.functions),
            self.guards,
            self.touched,
            self.fed,
            self.ends,
            dict(self.maybe),
        )

    def ways(self, name: str) -> tuple[State, ...]:
        """A shell for each of the texts that a variable may hold."""
        ways = []
        for text in sorted(self.maybe[name]):
            way = self.copy()
            way.assign(name, text)
            way.guards = (*way.guards, *DOUBT)
            ways.append(way)
        return tuple(ways)

    def undecided(self, node: Node) -> str:
        """A variable of which this statement needs the text, "" where all are known or none is."""
        if not self.maybe or node.kind == "function_definition":
            return ""
        for part in node.walk():
            if part.kind == "variable_name" and part.text in self.maybe:
                return part.text
        return ""

    def value(self, name: str) -> str:
        """What a variable or a positional argument holds."""
        if not is_number(name):
            return self.variables.get(name, UNKNOWN)
        if self.arguments is None or name == "0":
            return UNKNOWN
        number = int(name)
        if any(UNKNOWN in text for text in self.arguments[: number - 1]):
            # An unquoted word that is not known may have been several.
            return UNKNOWN
        return self.arguments[number - 1] if number <= len(self.arguments) else ""

    def assign(self, name: str, text: str) -> None:
        """Sets a variable."""
        self.touched.append(name)
        self.variables[name] = text
        self.maybe.pop(name, None)

    def forget(self, names: Sequence[str]) -> None:
        """From here on these may hold anything."""
        for name in names:
            self.variables[name] = UNKNOWN
            self.maybe.pop(name, None)
            if name == ARGUMENTS:
                self.arguments = None


ARGUMENTS = "@"
"""In `touched`: the positional arguments were set."""


def join(state: State, ways: Sequence[State], guards: tuple[Guard, ...]) -> None:
    """Makes `state` what is known after one of `ways` was taken, nobody knows which.

    Where some of them left the script, what follows hangs on the condition too.
    """
    going = [way for way in ways if not way.ends]
    if not going:
        state.ends = "exit" if all(way.ends == "exit" for way in ways) else "jump"
        state.functions = _common_functions(ways)
        return
    state.ends = ""
    state.variables = _common([way.variables for way in going])
    state.maybe = _few(going)
    arguments = {way.arguments for way in going}
    state.arguments = arguments.pop() if len(arguments) == 1 else None
    state.functions = _common_functions(going)
    kept = [guard for way in going for guard in way.guards if guard not in guards]
    if len(going) < len(ways):
        kept += guards  # the condition outlives its branch
    state.guards = tuple(dict.fromkeys((*state.guards, *kept)))


def _common(ways: Sequence[Mapping[str, str]]) -> dict[str, str]:
    names = {name for way in ways for name in way}
    first = ways[0]
    return {
        name: first.get(name, UNKNOWN)
        if all(way.get(name, UNKNOWN) == first.get(name, UNKNOWN) for way in ways)
        else UNKNOWN
        for name in names
    }


def _few(ways: Sequence[State]) -> dict[str, frozenset[str]]:
    """The variables of which each way knows few texts, and all together few, but not one."""
    found: dict[str, frozenset[str]] = {}
    for name in ways[0].variables:
        texts: set[str] = set()
        for way in ways:
            texts |= way.maybe.get(name, {way.variables.get(name, UNKNOWN)})
        if 1 < len(texts) <= _MOST_TEXTS and not any(UNKNOWN in text for text in texts):
            found[name] = frozenset(texts)
    return found


def _common_functions(ways: Sequence[State]) -> dict[str, tuple[Node, ...]]:
    """Every body that a name may have; an empty one where it may have none."""
    names = {name for way in ways for name in way.functions}
    found: dict[str, tuple[Node, ...]] = {}
    for name in names:
        bodies = [way.functions.get(name, ()) for way in ways]
        merged = tuple(dict.fromkeys(body for each in bodies for body in each))
        found[name] = bodies[0] if all(b == bodies[0] for b in bodies) else (*merged, MAYBE)
    return found


MAYBE = Node("maybe", "", "", 0, 0, 0, False, ())
"""Among the bodies of a function: it is not sure which of them holds, or that any does."""


def arrive(state: State) -> None:
    """The end of a loop or a function, at which jumps come down."""
    if state.ends == "jump":
        state.ends = ""
