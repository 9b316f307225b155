"""What an administrator sets about layer itself, in /etc/layer/layer.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from layer.errors import InvalidInput

PATH = "etc/layer/layer.toml"
_CHOICES = {"scriptlets": ("stop", "warn")}


@dataclass(frozen=True, slots=True)
class Settings:
    """`scriptlets`: whether lines that nothing stands in for `stop` a change, or `warn`."""

    scriptlets: str = "stop"


def parse_settings(text: str, source: str) -> Settings:
    """The settings that a TOML text says; InvalidInput names everything that is wrong."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{source}: {error}") from error
    problems = [f"{key}: unknown key" for key in sorted(values) if key not in _CHOICES]
    problems += [
        f"{key}: must be one of {', '.join(words)}"
        for key, words in _CHOICES.items()
        if key in values and values[key] not in words
    ]
    if problems:
        raise InvalidInput(f"{source}:\n  " + "\n  ".join(problems), "layer(1) lists the settings")
    return Settings(**values)
