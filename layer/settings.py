"""What an administrator sets about layer itself, in /etc/layer/layer.toml."""

from __future__ import annotations

import tomllib

from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.model import Recycling

PATH = "etc/layer/layer.toml"
_CHOICES = {
    "scriptlets": ("stop", "warn"),
    "automatic-updates": ("none", "check", "download", "stage"),
    "recycle": tuple(Recycling),
}
_NUMBERS = {"keep": (1, 100)}
_SWITCHES = ("install-weak-deps",)


@dataclass(frozen=True, slots=True)
class Settings:
    """`scriptlets`: whether lines that nothing stands in for `stop` a change, or `warn`; or empty.

    `keep` is how many deployments stay beside the default, booted and pinned ones, 0 for as
    many as have to; `automatic_updates` what the timer does about a newer base: `none`,
    `check`, `download` or `stage`. `install_weak_deps`: what packages recommend comes with them.
    `recycle`: what is looked at before a tree that nothing boots becomes the next deployment's.
    """

    scriptlets: str = ""
    automatic_updates: str = "none"
    keep: int = 0
    install_weak_deps: bool = False
    recycle: str = Recycling.SAMPLED


def parse_settings(text: str, source: str) -> Settings:
    """The settings that a TOML text says; InvalidInput names everything that is wrong."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: {error}") from error
    known = {*_CHOICES, *_NUMBERS, *_SWITCHES}
    problems = [f"{key}: unknown key" for key in sorted(values) if key not in known]
    problems += [
        f"{key}: must be one of {', '.join(words)}"
        for key, words in _CHOICES.items()
        if key in values and values[key] not in words
    ]
    problems += [
        f"{key}: must be a number from {low} to {high}"
        for key, (low, high) in _NUMBERS.items()
        if key in values and not (type(values[key]) is int and low <= values[key] <= high)
    ]
    problems += [
        f"{key}: must be true or false"
        for key in _SWITCHES
        if not isinstance(values.get(key, False), bool)
    ]
    if problems:
        raise InvalidInput(f"{source}:\n  " + "\n  ".join(problems), "layer(1) lists the settings")
    return Settings(**{key.replace("-", "_"): value for key, value in values.items()})
