"""Path patterns: anchored at the tree's root, with `*`, `**` and `{capture}`.

`*` is any run of characters but "/", `**` crosses directories, `{name}` is one
or more characters but "/" and remembers them. Nothing else is special, and the
characters that are special elsewhere (`?`, `[`, backslash) are refused, so that
no pattern silently means something else than its author thought.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from layer.errors import InvalidInput
from layer.frozen import dataclass

_TOKEN = re.compile(
    r"(?P<directories>(?<=/)\*\*/)|(?P<globstar>\*\*)|(?P<star>\*)"
    r"|\{(?P<capture>[a-z][a-z0-9_]*)\}|(?P<text>[^*{}]+)"
)
_FOREIGN = "?[]\\"


class PartKind(enum.Enum):
    """What a piece of a pattern matches."""

    TEXT = "text"
    STAR = "star"
    GLOBSTAR = "globstar"
    DIRECTORIES = "directories"  # a whole "**/": any number of directories, none too
    CAPTURE = "capture"


_DEEP = {PartKind.GLOBSTAR, PartKind.DIRECTORIES}
_WILD = {PartKind.STAR, PartKind.GLOBSTAR, PartKind.CAPTURE}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a pattern: literal text, a wildcard, or a capture's name."""

    kind: PartKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, as written and in pieces."""

    text: str
    parts: tuple[Part, ...]

    def __hash__(self) -> int:
        # All of the parts take ten times as long, and globs are looked up for each path.
        return hash((self.text, self.parts[0].text))

    @property
    def names(self) -> frozenset[str]:
        """The captures in it."""
        return frozenset(part.text for part in self.parts if part.kind is PartKind.CAPTURE)

    @property
    def prefix(self) -> str:
        """The literal text that every match begins with."""
        first = self.parts[0]
        return first.text if first.kind is PartKind.TEXT else ""

    @property
    def is_deep(self) -> bool:
        """It matches at any depth, because of a `**`."""
        return any(part.kind in _DEEP for part in self.parts)


@dataclass(frozen=True, slots=True)
class Descent:
    """How to find a pattern's matches: a name or a regular expression for each directory level.

    Where the pattern has a `**`, the steps end at the directories below which anything may match.
    """

    steps: tuple[str | re.Pattern[str], ...]
    is_deep: bool


def parse_glob(text: str) -> Glob:
    """InvalidInput, saying why, where the pattern is malformed or can match no path under usr."""
    fault = _fault(text)
    if fault:
        raise InvalidInput(f"bad pattern {text!r}: {fault}")
    parts = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise InvalidInput(f"bad pattern {text!r}: unbalanced brace or bad capture name")
        parts.append(_part(token))
        position = token.end()
    for one, two in itertools.pairwise(parts):
        if one.kind in _WILD and two.kind in _WILD:
            raise InvalidInput(f"bad pattern {text!r}: two wildcards side by side")
    return Glob(text, tuple(parts))


def match(glob: Glob, path: str) -> Mapping[str, str] | None:
    """The captured words where `path` matches, else None."""
    found = _regex(glob).fullmatch(path)
    return found.groupdict() if found else None


def matches(glob: Glob, paths: Iterable[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The paths that match, with the captured words."""
    fullmatch = _regex(glob).fullmatch
    return ((path, found.groupdict()) for path in paths if (found := fullmatch(path)))


def bind(glob: Glob, values: Mapping[str, str]) -> Glob:
    """The pattern with these captures replaced by their words, taken literally."""
    parts = tuple(
        Part(PartKind.TEXT, values[part.text])
        if part.kind is PartKind.CAPTURE and part.text in values
        else part
        for part in glob.parts
    )
    return Glob(glob.text, _joined(parts))


def literal(text: str) -> Glob:
    """The pattern that matches this one path."""
    return Glob(text, (Part(PartKind.TEXT, text),))


@functools.cache
def descent(glob: Glob) -> Descent:
    """The pattern level by level."""
    levels: list[list[Part]] = [[]]
    for part in glob.parts:
        if part.kind is PartKind.TEXT:
            first, *others = part.text.split("/")
            levels[-1].append(Part(PartKind.TEXT, first))
            levels += [[Part(PartKind.TEXT, other)] for other in others]
        elif part.kind in _DEEP:
            return Descent(tuple(_step(level) for level in levels[:-1]), True)
        else:
            levels[-1].append(part)
    return Descent(tuple(_step(level) for level in levels), False)


def _fault(text: str) -> str:
    names = text.split("/")
    if names[0] != "usr" or len(names) < 2:
        # A tree has nothing but usr to match: /etc of the running system is usr/etc there.
        return 'it must begin with "usr/" (/etc is usr/etc in a tree)'
    if any(name in {"", ".", ".."} for name in names):
        return 'a component is empty, "." or ".."'
    if "***" in text:
        return "at most two stars in a row"
    foreign = sorted({character for character in text if character in _FOREIGN})
    if foreign:
        return f"{' '.join(foreign)} has no meaning here; only *, ** and {{name}} have"
    return ""


def _part(token: re.Match[str]) -> Part:
    kind = PartKind(token.lastgroup)
    return Part(kind, token[kind.value] if kind in {PartKind.TEXT, PartKind.CAPTURE} else "")


def _joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Neighbouring texts made one, so that `prefix` is as long as it can be."""
    joined: list[Part] = []
    for part in parts:
        if joined and part.kind is PartKind.TEXT and joined[-1].kind is PartKind.TEXT:
            joined[-1] = Part(PartKind.TEXT, joined[-1].text + part.text)
        else:
            joined.append(part)
    return tuple(joined)


@functools.cache
def _regex(glob: Glob) -> re.Pattern[str]:
    return _compile(glob.parts)


def _step(level: Sequence[Part]) -> str | re.Pattern[str]:
    if all(part.kind is PartKind.TEXT for part in level):
        return "".join(part.text for part in level)
    return _compile(level)


def _compile(parts: Sequence[Part]) -> re.Pattern[str]:
    seen: set[str] = set()
    return re.compile("".join(_expression(part, seen) for part in parts), re.DOTALL)


def _expression(part: Part, seen: set[str]) -> str:
    match part.kind:
        case PartKind.TEXT:
            return re.escape(part.text)
        case PartKind.STAR:
            return "[^/]*"
        case PartKind.GLOBSTAR:
            return ".*"
        case PartKind.DIRECTORIES:
            return "(?:.+/)?"
        case PartKind.CAPTURE if part.text in seen:
            return f"(?P={part.text})"
        case PartKind.CAPTURE:
            seen.add(part.text)
            return f"(?P<{part.text}>[^/]+)"
