"""GLib's keyfiles, in which OSTree and rpm-ostree keep origins: sections, keys, lists."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable

from layer.errors import InvalidInput

_LIST_ITEM = re.compile(r"((?:[^;\\]|\\.)*);?")
_ESCAPED = {"s": " ", "n": "\n", "t": "\t", "r": "\r"}


def parser() -> configparser.ConfigParser:
    """An empty keyfile."""
    keyfile = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), interpolation=None, default_section=""
    )
    keyfile.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    return keyfile


def set_value(keyfile: configparser.ConfigParser, section: str, key: str, value: str) -> None:
    """Puts a value, and its section where it is missing."""
    if not keyfile.has_section(section):
        keyfile.add_section(section)
    keyfile.set(section, key, value)


def set_lists(
    keyfile: configparser.ConfigParser, lists: Iterable[tuple[str, str, list[str]]]
) -> None:
    """Puts the lists that have items: section, key, items."""
    for section, key, items in lists:
        if items:
            set_value(keyfile, section, key, join_list(items))


def split_list(text: str) -> list[str]:
    """A keyfile list: items end with `;`, and `\\;` is a semicolon (GKeyFile).

    InvalidInput for an item that would not be read again, where it stood at the beginning.
    """
    items = [
        re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), match[1])
        for match in _LIST_ITEM.finditer(text)
        if match[1]
    ]
    for item in items:
        if item[0].isspace() and item[0] not in _ESCAPED.values():
            raise InvalidInput(f"an item of a list begins with {item[0]!a}, which has no escape")
    return items


def join_list(items: Iterable[str]) -> str:
    """The text of a list, sorted."""
    return "".join(format_item(item) for item in sorted(items))


def format_item(text: str) -> str:
    """An item of a list with its end."""
    text = text.replace("\\", "\\\\").replace(";", "\\;")
    for letter, character in _ESCAPED.items():
        if letter != "s":
            text = text.replace(character, f"\\{letter}")
    # Spaces that begin a value would be taken for the keyfile's own.
    return (f"\\s{text[1:]}" if text.startswith(" ") else text) + ";"
