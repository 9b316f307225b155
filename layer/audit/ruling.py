"""A command with its words, and what is decided about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from layer.audit.state import Guard, GuardKind, Word
from layer.audit.verdict import Alternative, Mode, Rewrites, Settings, Verdict
from layer.frozen import dataclass
from layer.model import PackageFile

ANYTHING = Guard(GuardKind.OTHER)
_FOLDER = re.compile(r"(/usr)?/s?bin/")
_SET_ID = 0o6000
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Call:
    """A command that would run. `fed` is its standard input, None where it is the script's own;
    `guards` are the conditions that nobody can decide and that it hangs on."""

    words: tuple[Word, ...]
    fed: str | None = None
    guards: tuple[Guard, ...] = ()

    @property
    def name(self) -> str:
        """The program without the folder that programs are in."""
        return _FOLDER.sub("", self.words[0].text, count=1)

    @property
    def texts(self) -> tuple[str, ...]:
        """The words behind the name."""
        return tuple(word.text for word in self.words[1:])

    @property
    def is_known(self) -> bool:
        """Whether every word is what it will be."""
        return all(word.is_known for word in self.words)

    @property
    def line(self) -> str:
        """One text for expressions: the name without folder, "" as '', white space as U+0001."""
        return " ".join((self.name, *(_SPACE.sub("\1", text) or "''" for text in self.texts)))

    def hangs_only_on(self, kinds: Sequence[GuardKind], paths: Sequence[str] = ()) -> bool:
        """Whether all it hangs on is whether the thing that it makes is there already."""
        return all(
            guard.kind in kinds or (guard.kind is GuardKind.PATH and _is_about(guard.about, paths))
            for guard in self.guards
        )


def _is_about(asked: str, paths: Sequence[str]) -> bool:
    return any(f"{path}/".startswith(f"{asked.rstrip('/')}/") for path in paths)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, the status that the command would end with, and what its success asks about."""

    verdict: Verdict
    reason: str
    by: str = ""
    status: bool | None = None
    guard: Guard = ANYTHING


def unknown(reason: str) -> Ruling:
    """Somebody must look at it."""
    return Ruling(Verdict.UNKNOWN, reason)


def rewritten(reason: str) -> Ruling:
    """It is declared instead."""
    return Ruling(Verdict.REWRITTEN, reason, guard=Guard(GuardKind.TOOL))


@dataclass(slots=True)
class Gathered:
    """What one package's commands are rewritten to, as it is found; `files` are its own by path."""

    files: Mapping[str, PackageFile] = field(default_factory=dict)
    sysusers: list[str] = field(default_factory=list)
    tmpfiles: list[str] = field(default_factory=list)
    capabilities: list[tuple[str, str]] = field(default_factory=list)
    certain: set[str] = field(default_factory=set)  # paths with a mode that hangs on nothing
    links: list[tuple[str, str]] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)
    shells: list[str] = field(default_factory=list)
    enabled: set[tuple[str, str]] = field(default_factory=set)  # (system or user, unit)
    disabled: list[tuple[str, str]] = field(default_factory=list)
    settings: list[Settings] = field(default_factory=list)

    def file(self, path: str) -> PackageFile | None:
        """The package's own file at this path, whichever side of the merged /usr it is said on."""
        found = self.files.get(path) or self.files.get(path.removeprefix("/usr"))
        return found or self.files.get(f"/usr{path}")

    @property
    def rewrites(self) -> Rewrites:
        """All of it, each thing once."""
        return Rewrites(
            tuple(dict.fromkeys(self.sysusers)),
            tuple(dict.fromkeys(self.tmpfiles)),
            tuple(dict.fromkeys(self.capabilities)),
            tuple(dict.fromkeys(self.links)),
            tuple(dict.fromkeys(self.alternatives)),
            tuple(dict.fromkeys(self._modes())),
            tuple(dict.fromkeys(self.shells)),
            tuple(dict.fromkeys(unit for unit in self.disabled if unit not in self.enabled)),
            tuple(dict.fromkeys(self.settings)),
        )

    def _modes(self) -> Iterator[Mode]:
        """Attributes of files, without set-id bits where there are capabilities.

        A script makes a program setuid where it cannot give it these. A tree always can, and the
        program shall not run with all of root's power, too. A mode that hangs on nothing is no
        such other way: chmod leaves capabilities alone and setcap the mode, so it has both.
        """
        able = {path for path, _ in self.capabilities}
        for mode in self.modes:
            if mode.path in able - self.certain and mode.mode is not None:
                mode = replace(mode, mode=mode.mode & ~_SET_ID)
            yield mode


@dataclass(frozen=True, slots=True)
class Options:
    """A command's options in order, flags with "" as value, and its other words."""

    given: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Whether one of these was given."""
        return any(name in names for name, _ in self.given)

    def value(self, *names: str) -> str:
        """The last value given to one of these, "" for none."""
        return next((value for name, value in reversed(self.given) if name in names), "")


def parse_options(
    texts: Sequence[str], flags: frozenset[str], valued: frozenset[str]
) -> Options | None:
    """Reads options as getopt does; None where there is one that is not among the known."""
    given: list[tuple[str, str]] = []
    words: list[str] = []
    queue = list(texts)
    while queue:
        text = queue.pop(0)
        if text == "--":
            words += queue
            break
        if not text.startswith("-") or text == "-":
            words.append(text)
            continue
        name, equals, value = text.partition("=")
        if text.startswith("--") or text in flags | valued:
            if name in flags and not equals:
                given.append((name, ""))
            elif name in valued and (equals or queue):
                given.append((name, value if equals else queue.pop(0)))
            else:
                return None
        elif not _short(text, queue, flags, valued, given):
            return None
    return Options(tuple(given), tuple(words))


def _short(
    text: str,
    queue: list[str],
    flags: frozenset[str],
    valued: frozenset[str],
    given: list[tuple[str, str]],
) -> bool:
    """`-rM`, `-u70`: letters one by one, the rest as the value of one that takes any."""
    for place, letter in enumerate(text[1:], 1):
        name = f"-{letter}"
        if name in flags:
            given.append((name, ""))
        elif name in valued and (text[place + 1 :] or queue):
            given.append((name, text[place + 1 :] or queue.pop(0)))
            return True
        else:
            return False
    return True
