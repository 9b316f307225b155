"""The syntax of `.repo` files and dnf.conf: sections of settings, and variables in them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from layer.frozen import dataclass

# The id names a directory of the cache, so it may be neither "." nor "..".
_ID = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^{}]*))?\})")


@dataclass(frozen=True, slots=True)
class Section:
    """An `[id]`, the line it stands in, and its settings."""

    id: str
    line: int
    settings: Mapping[str, str]


def repository_variables(release: str = "", *, arch: str = "") -> dict[str, str]:
    """The variables that every `.repo` file knows, as far as they are known.

    $releasever with its parts $releasever_major and $releasever_minor, $arch and $basearch.
    """
    major, _, minor = release.partition(".")
    variables = {
        "releasever": release,
        "releasever_major": major,
        "releasever_minor": minor,
        "arch": arch,
        "basearch": _base_arch(arch),
    }
    return {name: value for name, value in variables.items() if value}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with `$name` and `${name}` replaced; unknown ones stay as they are.

    `${name:-word}` is `word` where the variable is unknown or empty, `${name:+word}` where it
    is neither; so dnf has it.
    """

    def value(found: re.Match[str]) -> str:
        known = variables.get(found[1] or found[2])
        match found[3]:
            case ":-":
                return known or found[4]
            case ":+":
                return found[4] if known else ""
        return found[0] if known is None else known

    return _VARIABLE.sub(value, text)


def parse_sections(text: str, source: str, errors: list[str]) -> list[Section]:
    """The sections in their order; what is wrong is added to `errors`, with its line."""
    sections: dict[str, Section] = {}
    settings: dict[str, str] | None = None
    key = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        where = f"{source}, line {number}"
        if not stripped or stripped.startswith(("#", ";")):
            continue
        if line[0].isspace() and settings is not None and key:
            settings[key] += "\n" + stripped
        elif stripped.startswith("["):
            settings, key = {}, ""
            section = _section(stripped, number, settings)
            if section is None:
                errors.append(f"{where}: not a repository id: {stripped}")
            elif section.id in sections:
                first = sections[section.id].line
                errors.append(f"{where}: repository {section.id} is already in line {first}")
            else:
                sections[section.id] = section
        elif "=" not in stripped:
            errors.append(f"{where}: neither [id] nor key=value: {stripped}")
        elif settings is None:
            errors.append(f"{where}: a setting before the first [id]: {stripped}")
        else:
            key, _, value = stripped.partition("=")
            key = key.strip()
            settings[key] = value.strip()
    return list(sections.values())


def _base_arch(arch: str) -> str:
    """The name that repositories of this architecture go by, as dnf has it."""
    if re.fullmatch(r"i[3-6]86|athlon|geode", arch):
        return "i386"
    return "armhfp" if arch.startswith("armv7h") else arch.partition("_v")[0]


def _section(text: str, line: int, settings: Mapping[str, str]) -> Section | None:
    name = text[1:-1].strip()
    if not text.endswith("]") or not _ID.fullmatch(name):
        return None
    return Section(name, line, settings)
