"""Values of settings, as dnf writes them: truths, numbers, times, rates, lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from layer.frozen import dataclass

_BOOLEANS = {
    **dict.fromkeys(("1", "yes", "true", "on"), True),
    **dict.fromkeys(("0", "no", "false", "off"), False),
}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
NEVER = -1


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a section and where they stand, with those that stand in for them."""

    values: Mapping[str, str]
    where: str
    defaults: Mapping[str, str] = field(default_factory=dict)
    defaults_where: str = ""


class Values:
    """Reads settings as what they mean; what is wrong is added to `errors`, the default taken."""

    def __init__(self, settings: Settings, errors: list[str]) -> None:
        self._settings = settings
        self._errors = errors

    def text(self, key: str, default: str = "") -> str:
        """As it is written; the section's own, else what stands in for it."""
        found = self._settings.values.get(key)
        return self._settings.defaults.get(key, default) if found is None else found

    def words(self, key: str) -> tuple[str, ...]:
        """A list, whose items are parted by blanks, commas or lines."""
        return tuple(word for word in re.split(r"[\s,]+", self.text(key)) if word)

    def gathered(self, *keys: str) -> tuple[str, ...]:
        """The lists of all keys, those of the section after those that stand in."""
        both = (self._settings.defaults, self._settings.values)
        texts = " ".join(values.get(key, "") for values in both for key in keys)
        return tuple(dict.fromkeys(word for word in re.split(r"[\s,]+", texts) if word))

    def boolean(self, key: str, *, default: bool) -> bool:
        """0 or 1, or one of dnf's other words."""
        text = self.text(key)
        found = _BOOLEANS.get(text.lower(), default if not text else None)
        if found is None:
            self.wrong(key, f"0 or 1, not {text!r}")
            return default
        return found

    def number(self, key: str, default: int, *, lowest: int = 0) -> int:
        """A whole number."""
        text = self.text(key) or str(default)
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < lowest:
            self.wrong(key, f"a number, not {text!r}")
            return default
        return int(text)

    def seconds(self, key: str, default: int, *, may_be_never: bool = False) -> int:
        """A time, such as 90, 1.5h or 2d; NEVER for `never` and -1."""
        text = self.text(key).lower()
        if may_be_never and text in ("never", "-1"):
            return NEVER
        return self._scaled(key, text, _SECONDS, default, "a time such as 90, 6h or 2d")

    def rate(self, key: str, default: int, *, whole: int = 0) -> int:
        """Bytes a second, such as 500k; where `whole` is given, a percentage of it as well."""
        text = self.text(key).lower()
        part = re.fullmatch(r"([0-9]{1,3})%", text)
        if part:
            return whole * int(part[1]) // 100
        return self._scaled(key, text, _BYTES, default, "a rate such as 500k or 2M")

    def choice(self, key: str, choices: Mapping[str, str], default: str) -> str:
        """What one of the words means."""
        text = self.text(key).lower()
        if text and text not in choices:
            self.wrong(key, f"one of {', '.join(sorted(choices))}, not {text!r}")
        return choices.get(text, default)

    def wrong(self, key: str, expected: str) -> None:
        """Says what a setting must be, and where it stands."""
        settings = self._settings
        where = settings.where if key in settings.values else settings.defaults_where
        self._errors.append(f"{where}: {key} must be {expected}")

    def _scaled(
        self, key: str, text: str, units: Mapping[str, int], default: int, expected: str
    ) -> int:
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([a-z]?)", text)
        if found and found[2] in units:
            return int(float(found[1]) * units[found[2]])
        if text:
            self.wrong(key, f"{expected}, not {text!r}")
        return default
