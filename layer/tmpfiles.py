"""The lines of tmpfiles.d(5): writing names safely, and reading which paths are taken."""

from __future__ import annotations

import re

from layer.frozen import dataclass

# What systemd 252 does, seen: fields are unquoted, and a backslash only takes the meaning from
# the next character; the argument, which is the rest of the line, is not unquoted, and
# C escapes are resolved in it. In both, specifiers begin with %. A line ends at LF, CR or NUL,
# within quotes too; only the four ASCII blanks part fields.
_LINE_END = re.compile(r"[\n\r\0]")
_NEEDS_QUOTES = re.compile(r"[\s\"'\\]")
_TO_ESCAPE = re.compile(r"[\s\\\x00-\x1f\x7f]", re.ASCII)

_FIELD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^ \t"'\\])+""", re.DOTALL)
_QUOTED = re.compile(r"""\\(.)|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'""", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

# The types that make their path where it is missing; the others adjust, clean or remove.
_MAKERS = frozenset("fFwdDvqQpLcbC")


def can_name(path: str) -> bool:
    """Whether a line can name the path at all."""
    return not _LINE_END.search(path)


def format_line(kind: str, path: str, attributes: str, argument: str = "") -> str:
    """One line; `attributes` are mode, user and group, and are written as they are."""
    tail = f" - {_escape(argument)}" if argument else ""
    return f"{kind} {_quote(path)} {attributes}{tail}\n"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of tmpfiles.d: its type's letter, the path that it means, its fields as written."""

    kind: str
    path: str
    fields: tuple[str, ...]

    @property
    def makes(self) -> bool:
        """Whether the path is made where it is missing."""
        return self.kind in _MAKERS

    @property
    def user(self) -> str:
        """The owner that it names, "" for none."""
        name = _unquote(self.fields[3]).lstrip(":") if len(self.fields) > 3 else ""
        return "" if name == "-" else name

    def owned_by(self, user: str) -> str:
        """The same line with another owner."""
        filled = (*self.fields, "-", "-")[: max(len(self.fields), 4)]
        return " ".join((*filled[:3], user, *filled[4:])) + "\n"


def parse_lines(text: str) -> tuple[Line, ...]:
    """The lines of a tmpfiles.d file that name a path."""
    found = []
    for row in _LINE_END.split(text):
        fields = _FIELD.findall(row)
        if len(fields) >= 2 and not row.lstrip().startswith("#"):
            path = _normal(_unquote(fields[1]).replace("%%", "%"))
            found.append(Line(_unquote(fields[0])[:1], path, tuple(fields)))
    return tuple(found)


def declared_paths(text: str) -> frozenset[str]:
    """The absolute paths that a tmpfiles.d file makes, as far as it names them without patterns."""
    return frozenset(line.path for line in parse_lines(text) if line.makes)


def _quote(path: str) -> str:
    path = path.replace("%", "%%")
    if not _NEEDS_QUOTES.search(path):
        return path
    inside = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"'


def _escape(argument: str) -> str:
    escaped = _TO_ESCAPE.sub(lambda found: f"\\x{ord(found[0]):02x}", argument)
    return escaped.replace("%", "%%")


def _unquote(field: str) -> str:
    return _QUOTED.sub(
        lambda found: found[1] or _ESCAPED.sub(r"\1", found[2] or found[3] or ""), field
    )


def _normal(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["var", "run"]:
        parts = ["run", *parts[2:]]
    return "/" + "/".join(parts)
