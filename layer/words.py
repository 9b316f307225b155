"""Words: texts that other programs look for, to the letter (rpm-ostree's own), and numerals."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

REBOOT = 'Changes queued for next boot. Run "systemctl reboot" to start a reboot'
NO_UPGRADE = "No upgrade available."
_LONGEST_SHOWN = 400  # characters
_NEARNESS = 0.7  # of two words, as difflib has it: one letter of six, one of four
_NUMBER = re.compile(r"[0-9]{1,18}")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that JSON may hold, and no path
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def count(number: int, noun: str) -> str:
    """`1 package`, `2 packages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def is_number(text: str) -> bool:
    """Whether it is a whole number in plain digits: str.isdigit takes \u00b2 for one, too."""
    return _NUMBER.fullmatch(text) is not None


def joined(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([*filter(None, [", ".join(words[:-1])]), *words[-1:]])


def did_you_mean(
    wanted: Iterable[str], names: Iterable[str], *, otherwise: str = "", rest: str = ""
) -> str:
    """A hint: `did you mean strace or ltrace?`, the names that the words are like, and the rest.

    Where they are like none it is the rest, or what is said otherwise.
    """
    from difflib import get_close_matches  # slow to load, and seldom needed

    there = sorted({*names})
    near = [each for word in wanted for each in get_close_matches(word, there, 2, _NEARNESS)]
    meant = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else otherwise
    return " ".join(filter(None, (meant, rest)))


def size(number: int) -> str:
    """A number of bytes in powers of 1,000, such as `1.3 MB`."""
    value = float(number)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{number} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes all")


def lasted(seconds: float) -> str:
    """A length of time as people say it: `0.4 s`, `12 s`, `2 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def instant(seconds: int) -> str:
    """A time since the epoch, in UTC, such as `2024-02-29T12:00:00Z`."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_utf8(text: str) -> bool:
    """Whether a word of the command line was written in UTF-8, as all names of packages are."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "ignore") == text


def printable(text: str) -> str:
    """Text as it can be shown on one line: what is no UTF-8 or cannot be printed is escaped."""
    text = _NO_BYTE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(path: str) -> str:
    """A path as it can be read on one line; of one that would fill the screen, its two ends."""
    if len(path) > _LONGEST_SHOWN:
        half = _LONGEST_SHOWN // 2
        path = f"{path[:half]}\u2026{path[-half:]}"
    return printable(path)


def without_passwords(text: str) -> str:
    """A text in which no URL says its password any more."""
    return re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)
