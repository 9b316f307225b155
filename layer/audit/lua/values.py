"""What a value of a Lua script is known to be, and what is known at one place of the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from layer.audit.grammar import Node
from layer.audit.state import UNKNOWN, Guard, GuardKind
from layer.frozen import dataclass

OTHER = Guard(GuardKind.OTHER)


@dataclass(frozen=True, slots=True)
class Text:
    """A string; pieces that only a run would tell are UNKNOWN."""

    text: str

    @property
    def is_known(self) -> bool:
        """Whether the text is the string."""
        return UNKNOWN not in self.text


@dataclass(frozen=True, slots=True)
class Number:
    """A number, None where only a run would tell which."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""

    is_true: bool


@dataclass(frozen=True, slots=True)
class Nil:
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that the script made; `items` are its list, None where it may have changed.

    `named` are its other fields with constant names.
    """

    items: tuple[Value, ...] | None
    named: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that only a run would tell; whether it is true hangs on `guards`."""

    guards: tuple[Guard, ...] = (OTHER,)


@dataclass(frozen=True, slots=True)
class Child:
    """What fork gives: parent and child both go on, each on its own way."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A file that is open for reading."""


@dataclass(frozen=True, slots=True)
class Library:
    """A table of functions that rpm's Lua brings, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The local variables in force; `activation` is the function they belong to, 0 the script."""

    names: tuple[tuple[str, str], ...] = ()  # (name, slot)
    parent: Frame | None = None
    activation: int = 0
    is_repeated: bool = False

    def find(self, name: str) -> tuple[str, Frame] | None:
        """The slot of a local variable, and where it is declared."""
        frame: Frame | None = self
        while frame is not None:
            for known, slot in reversed(frame.names):
                if known == name:
                    return slot, frame
            frame = frame.parent
        return None


@dataclass(frozen=True, slots=True)
class Closure:
    """A function of the script; its own variables belong to the activation `number`."""

    number: int
    node: Node = field(compare=False)
    frame: Frame = field(compare=False)


@dataclass(frozen=True, slots=True)
class Function:
    """One of these functions: rpm's by name, or the script's."""

    choices: tuple[str | Closure, ...]


Value = Text | Number | Truth | Nil | Table | Asked | Child | Handle | Library | Function
ANY = Asked()


def truth(value: Value) -> bool | None:
    """Whether a condition holds, None where only a run would tell."""
    match value:
        case Truth(is_true):
            return is_true
        case Nil():
            return False
        case Text() | Number() | Table():
            return True
        case Function(choices) if not any(isinstance(choice, str) for choice in choices):
            return True
        case _:
            return None


def guards_of(value: Value) -> tuple[Guard, ...]:
    """What a condition hangs on that nobody can decide."""
    match value:
        case Asked(guards):
            return guards
        case Function() | Library():
            return (Guard(GuardKind.TOOL),)  # whether this rpm has it
        case _:
            return (OTHER,)


def either(values: Sequence[Value]) -> Value:
    """What is known of a value that is one of these."""
    first = values[0]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, Function) for value in values):
        choices = (c for value in values if isinstance(value, Function) for c in value.choices)
        return Function(tuple(dict.fromkeys(choices)))
    return ANY


@dataclass(slots=True)
class Place:
    """What is known at one place: variables by slot, and what this place hangs on.

    `ends` is "" for a place that is reached, else "jump" or "exit". `is_lost` says that the
    meaning of rpm's own functions may have changed.
    """

    variables: dict[str, Value] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    ends: str = ""
    is_lost: bool = False

    def copy(self) -> Place:
        """One way of several from here."""
        return replace(self, variables=dict(self.variables))

    def become(self, other: Place) -> None:
        """From here on as there."""
        self.variables, self.guards = other.variables, other.guards
        self.ends, self.is_lost = other.ends, other.is_lost


def join(place: Place, ways: Sequence[Place], guards: tuple[Guard, ...]) -> None:
    """Makes `place` what is known after one of `ways`, nobody knows which.

    Where some of them left, what follows hangs on the condition too.
    """
    going = [way for way in ways if not way.ends]
    place.is_lost = any(way.is_lost for way in ways)
    if not going:
        place.ends = "exit" if all(way.ends == "exit" for way in ways) else "jump"
        return
    names = {name for way in going for name in way.variables}
    place.variables = {
        name: either([way.variables.get(name, Nil()) for way in going])
        if all(name in way.variables for way in going)
        else ANY
        for name in names
    }
    place.ends = ""
    kept = [guard for way in going for guard in way.guards if guard not in guards]
    if len(going) < len(ways):
        kept += guards
    place.guards = tuple(dict.fromkeys((*place.guards, *kept)))
