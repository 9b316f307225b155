"""What presets say of units, systemd.preset(5): the first line that fits a name decides."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from layer.frozen import dataclass

ENABLE, DISABLE, IGNORE = "enable", "disable", "ignore"
_WORDS = (ENABLE, DISABLE, IGNORE)
_COMMENTS = ("#", ";")
# What `systemctl preset` knows: the types that can be enabled.
SUFFIXES = (
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".target",
    ".mount",
    ".automount",
    ".slice",
)


@dataclass(frozen=True, slots=True)
class PresetLine:
    """A line of a preset file: the word and the pattern of units' names."""

    word: str
    pattern: str


def parse_presets(texts: Mapping[str, str]) -> tuple[PresetLine, ...]:
    """The lines of preset files, by the files' names, whose order counts; others are passed over.

    Names of instances behind the pattern say nothing of whether.
    """
    found = []
    for _, text in sorted(texts.items()):
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] in _WORDS and not line.startswith(_COMMENTS):
                found.append(PresetLine(words[0], words[1]))
    return tuple(found)


def decide(unit: str, lines: tuple[PresetLine, ...]) -> str:
    """`enable`, `disable` or `ignore`; a unit that no line names is enabled."""
    return next((line.word for line in lines if fnmatchcase(unit, line.pattern)), ENABLE)
