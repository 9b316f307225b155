"""Repositories as `.repo` files describe them, in the syntax of yum and dnf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from layer.errors import InvalidInput
from layer.model import Repository

# Settings that layer cannot honour yet and that change what may be installed or whom
# the machine talks to, with what ignoring them would mean. All others that are not
# read here are ignored, as dnf ignores what it does not know.
_UNSUPPORTED = {
    "excludepkgs": "excluded packages would be installed",
    "exclude": "excluded packages would be installed",
    "includepkgs": "packages that are not included would be installed",
    "proxy": "the proxy would be bypassed",
    "sslcacert": "servers of other authorities would be trusted",
}
_MIRRORS = ("metalink", "mirrorlist")
_DEFAULT_PRIORITY = 99
_DEFAULT_COST = 1000

_BOOLEANS = {
    **dict.fromkeys(("1", "yes", "true", "on"), True),
    **dict.fromkeys(("0", "no", "false", "off"), False),
}
# The id names a directory of the cache, so it may be neither "." nor "..".
_ID = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class _Section:
    id: str
    line: int
    settings: Mapping[str, str]


def parse_repositories(
    text: str, source: str, variables: Mapping[str, str]
) -> tuple[Repository, ...]:
    """Return the repositories of a `.repo` file in its order.

    `$name` and `${name}` are replaced from `variables`, unknown ones stay as
    they are. InvalidInput names `source` and every line or key that is wrong.
    """
    errors: list[str] = []
    repositories = []
    for section in _parse_sections(_expand(text, variables), source, errors):
        if section.id == "main":  # dnf's own settings; never a repository
            continue
        repositories.append(_repository(section, source, errors))
    if errors:
        raise InvalidInput("\n".join(errors), "correct the file, or remove it")
    return tuple(repositories)


def repository_variables(release: str = "", *, arch: str = "") -> dict[str, str]:
    """The variables that `.repo` files know: $releasever, $arch and $basearch, as far as known."""
    variables = {"releasever": release, "arch": arch, "basearch": _base_arch(arch)}
    return {name: value for name, value in variables.items() if value}


def is_safe_href(href: str) -> bool:
    """Whether a reference in metadata stays below its repository, also once a URL is decoded.

    Metadata can be hostile, and both libsolv and curl (for file://) follow `..`.
    """
    decoded = unquote(href)
    return (
        bool(href)
        and not _UNPRINTABLE.search(href + decoded)
        and not any(mark in href for mark in "?#")
        and not urlsplit(href).scheme
        and not decoded.startswith("/")
        and ".." not in decoded.split("/")
    )


def is_base_url(url: str) -> bool:
    """Whether packages can be fetched from below this URL: file:///path or http(s)://host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "file":
        return parts.netloc in ("", "localhost") and parts.path.startswith("/")
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _base_arch(arch: str) -> str:
    """The name that repositories of this architecture go by, as dnf has it."""
    if re.fullmatch(r"i[3-6]86|athlon|geode", arch):
        return "i386"
    return "armhfp" if arch.startswith("armv7h") else arch.partition("_v")[0]


def _expand(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return variables.get(found[1] or found[2], found[0])

    return _VARIABLE.sub(value, text)


def _parse_sections(text: str, source: str, errors: list[str]) -> list[_Section]:
    sections: dict[str, _Section] = {}
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


def _section(text: str, line: int, settings: Mapping[str, str]) -> _Section | None:
    name = text[1:-1].strip()
    if not text.endswith("]") or not _ID.fullmatch(name):
        return None
    return _Section(name, line, settings)


def _repository(section: _Section, source: str, errors: list[str]) -> Repository:
    settings = section.settings
    where = f"{source}, [{section.id}]"
    is_enabled = _boolean(settings, "enabled", True, where, errors)
    urls = _words(settings, "baseurl")
    if is_enabled and not urls and not any(settings.get(key) for key in _MIRRORS):
        errors.append(f"{where}: baseurl is missing")
    return Repository(
        id=section.id,
        name=settings.get("name", section.id),
        base_urls=urls,
        is_enabled=is_enabled,
        source=source,
        priority=_number(settings, "priority", _DEFAULT_PRIORITY, where, errors),
        unsupported=_unsupported(settings, urls),
        metalink=_list_url(settings, "metalink", where, errors),
        mirrorlist=_list_url(settings, "mirrorlist", where, errors),
        # As Fedora's dnf.conf has it: who wants packages that nobody vouches for says so.
        checks_packages=_boolean(settings, "gpgcheck", True, where, errors),
        checks_metadata=_boolean(settings, "repo_gpgcheck", False, where, errors),
        keys=_keys(settings, where, errors),
        excludes=_words(settings, "exclude") + _words(settings, "excludepkgs"),
        includes=_words(settings, "includepkgs"),
        cost=_number(settings, "cost", _DEFAULT_COST, where, errors),
    )


def _boolean(
    settings: Mapping[str, str], key: str, default: bool, where: str, errors: list[str]
) -> bool:
    text = settings.get(key)
    if text is None:
        return default
    found = _BOOLEANS.get(text.lower())
    if found is None:
        errors.append(f"{where}: {key} must be 0 or 1, not {text!r}")
        return default
    return found


def _keys(settings: Mapping[str, str], where: str, errors: list[str]) -> tuple[str, ...]:
    keys = _words(settings, "gpgkey")
    errors.extend(
        f"{where}: gpgkey must be a file:///, http:// or https:// URL, not {key!r}"
        for key in keys
        if not is_base_url(key)
    )
    return keys


def _list_url(settings: Mapping[str, str], key: str, where: str, errors: list[str]) -> str:
    url = settings.get(key, "").strip()
    if url and not is_base_url(url):
        errors.append(f"{where}: {key} must be an http:// or https:// URL, not {url!r}")
    return url


def _words(settings: Mapping[str, str], key: str) -> tuple[str, ...]:
    """A list, whose items are parted by blanks, commas or lines."""
    return tuple(word for word in re.split(r"[\s,]+", settings.get(key, "")) if word)


def _number(
    settings: Mapping[str, str], key: str, default: int, where: str, errors: list[str]
) -> int:
    text = settings.get(key, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        errors.append(f"{where}: {key} must be a number, not {text!r}")
        return default
    return int(text)


def _unsupported(settings: Mapping[str, str], urls: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for key, danger in _UNSUPPORTED.items():
        value = settings.get(key, "")
        if value and (key, value) != ("proxy", "_none_"):
            found.append(f"{key}={value} ({danger})")
    bad_urls = [url for url in urls if not is_base_url(url)]
    found.extend(f"baseurl={url} (only file://, http:// and https://)" for url in bad_urls)
    return tuple(found)
