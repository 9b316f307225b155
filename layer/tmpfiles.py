"""The lines of tmpfiles.d(5): writing names safely, and reading which paths are taken."""

from __future__ import annotations

import re

# systemd unquotes a field and resolves C escapes, then expands %-specifiers; of the
# argument (the rest of the line) it resolves escapes only. Escapes are right in both.
_SPECIAL = re.compile(r"[\s\\\"'\x00-\x1f\x7f]")
_FIELD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^\s"'\\])+""")
_QUOTED = re.compile(r"""(\\.)|["']""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)
_LETTERS = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t", "v": "\v",
}  # fmt: skip

# The types that make their path where it is missing; the others adjust, clean or remove.
_MAKERS = frozenset("fFwdDvqQpLcbC")


def escape(text: str) -> str:
    """A path or an argument so that systemd reads exactly `text`."""
    return _SPECIAL.sub(_hexadecimal, text).replace("%", "%%")


def line(kind: str, path: str, attributes: str, argument: str = "") -> str:
    """One line; `path` is absolute, `attributes` are mode, user and group, and are not escaped."""
    tail = f" - {escape(argument)}" if argument else ""
    return f"{kind} {escape(path)} {attributes}{tail}\n"


def declared_paths(text: str) -> frozenset[str]:
    """The absolute paths that a tmpfiles.d file makes, as far as it names them without patterns."""
    paths = set()
    for row in text.splitlines():
        fields = _FIELD.findall(row)
        if len(fields) < 2 or row.lstrip().startswith("#"):
            continue
        if _unquote(fields[0])[:1] in _MAKERS:
            paths.add(_normal(_unquote(fields[1]).replace("%%", "%")))
    return frozenset(paths)


def _hexadecimal(found: re.Match[str]) -> str:
    # Blanks outside ASCII are none to systemd.
    character = found[0]
    return f"\\x{ord(character):02x}" if character.isascii() else character


def _unquote(field: str) -> str:
    without = _QUOTED.sub(lambda found: found[1] or "", field)
    return _ESCAPE.sub(_resolve, without)


def _resolve(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2]:
        return chr(int(found[2], 8))
    return _LETTERS.get(found[3], found[3])


def _normal(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["var", "run"]:
        parts = ["run", *parts[2:]]
    return "/" + "/".join(parts)
