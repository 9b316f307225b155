"""Repositories as `.repo` files describe them, in the syntax of yum and dnf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import unquote, urlsplit

from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.repository import Access, Repository, Tls
from layer.sections import Section, expand, parse_sections
from layer.setting_values import Settings, Values
from layer.words import without_passwords

_MIRRORS = ("metalink", "mirrorlist")
_DEFAULT_PRIORITY = 99
_DEFAULT_COST = 1000
_DEFAULT_EXPIRE = 2 * 86400  # seconds
# What [main] of dnf.conf says for all repositories that do not say it themselves.
_INHERITED = (
    *("bandwidth", "exclude", "excludepkgs", "gpgcheck", "includepkgs", "ip_resolve"),
    *("max_parallel_downloads", "metadata_expire", "minrate", "password", "proxy"),
    *("proxy_auth_method", "proxy_password", "proxy_sslcacert", "proxy_sslclientcert"),
    *("proxy_sslclientkey", "proxy_sslverify", "proxy_username", "repo_gpgcheck", "retries"),
    *("skip_if_unavailable", "sslcacert", "sslclientcert", "sslclientkey", "sslverify"),
    *("sslverifystatus", "throttle", "timeout", "user_agent", "username"),
)
_FAMILIES = {"4": "4", "ipv4": "4", "6": "6", "ipv6": "6", "whatever": ""}
_AUTH_METHODS = {
    name: name
    for name in ("any", "none", "basic", "digest", "negotiate", "ntlm", "digest_ie", "ntlm_wb")
}
_PROXIES = re.compile(r"(?:(?:https?|socks[45]|socks4a|socks5h)://)?[^/\s]+/?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What stands in for settings that a repository does not have, and where that is said."""

    settings: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


NO_DEFAULTS = Defaults()


def parse_repositories(
    text: str, source: str, variables: Mapping[str, str], defaults: Defaults = NO_DEFAULTS
) -> tuple[Repository, ...]:
    """Return the repositories of a `.repo` file in its order.

    `$name` and `${name}` are replaced from `variables`, unknown ones stay as
    they are. InvalidInput names `source` and every line or key that is wrong.
    """
    errors: list[str] = []
    repositories = []
    for section in parse_sections(expand(text, variables), source, errors):
        if section.id == "main":  # dnf's own settings; never a repository
            continue
        repositories.append(_repository(section, source, defaults, errors))
    if errors:
        raise InvalidInput("\n".join(errors), "correct the file, or remove it")
    return tuple(repositories)


def parse_defaults(text: str, source: str, variables: Mapping[str, str]) -> Defaults:
    """What dnf.conf says in [main] for all repositories; InvalidInput as above."""
    errors: list[str] = []
    found: dict[str, str] = {}
    for section in parse_sections(expand(text, variables), source, errors):
        if section.id == "main":
            found = {k: v for k, v in section.settings.items() if k in _INHERITED}
    if errors:
        raise InvalidInput("\n".join(errors), "correct the file, or remove it")
    return Defaults(found, f"{source}, [main]")


def default_access(defaults: Defaults) -> Access:
    """How servers of no repository are reached; InvalidInput for a setting that is wrong."""
    errors: list[str] = []
    settings = Settings({}, defaults.where, defaults.settings, defaults.where)
    access = _access(Values(settings, errors))
    if errors:
        raise InvalidInput("\n".join(errors), "correct the file, or remove it")
    return access


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


def _repository(section: Section, source: str, defaults: Defaults, errors: list[str]) -> Repository:
    where = f"{source}, [{section.id}]"
    values = Values(Settings(section.settings, where, defaults.settings, defaults.where), errors)
    is_enabled = values.boolean("enabled", default=True)
    urls = values.words("baseurl")
    if is_enabled and not urls and not any(values.text(key) for key in _MIRRORS):
        errors.append(f"{where}: baseurl is missing")
    return Repository(
        id=section.id,
        name=section.settings.get("name", section.id),
        base_urls=urls,
        is_enabled=is_enabled,
        source=source,
        priority=values.number("priority", _DEFAULT_PRIORITY),
        unsupported=_unsupported(urls),
        metalink=_list_url(values, "metalink"),
        mirrorlist=_list_url(values, "mirrorlist"),
        # As Fedora's dnf.conf has it: who wants packages that nobody vouches for says so.
        checks_packages=values.boolean("gpgcheck", default=True),
        checks_metadata=values.boolean("repo_gpgcheck", default=False),
        keys=_keys(values),
        excludes=values.gathered("exclude", "excludepkgs"),
        includes=values.gathered("includepkgs"),
        cost=values.number("cost", _DEFAULT_COST),
        metadata_expire=values.seconds("metadata_expire", _DEFAULT_EXPIRE, may_be_never=True),
        may_be_missing=values.boolean("skip_if_unavailable", default=False),
        access=_access(values),
    )


def _access(values: Values) -> Access:
    plain = Access()
    return Access(
        proxy=_proxy(values),
        proxy_login=_login(values, "proxy_username", "proxy_password"),
        proxy_method=values.choice("proxy_auth_method", _AUTH_METHODS, plain.proxy_method),
        proxy_tls=_tls(values, "proxy_ssl"),
        login=_login(values, "username", "password"),
        tls=_tls(values, "ssl"),
        timeout=max(1, values.seconds("timeout", plain.timeout)),
        slowest=values.rate("minrate", plain.slowest),
        fastest=values.rate("throttle", plain.fastest, whole=values.rate("bandwidth", 0)),
        retries=values.number("retries", plain.retries),
        parallel=values.number("max_parallel_downloads", plain.parallel, lowest=1),
        family=values.choice("ip_resolve", _FAMILIES, plain.family),
        agent=values.text("user_agent"),
    )


def _proxy(values: Values) -> str | None:
    """None where nothing is said: then the environment counts, as it does for curl."""
    text = values.text("proxy", "-")
    if text == "-":
        return None
    if text in ("", "_none_"):
        return ""
    if not _PROXIES.fullmatch(text):
        # Not what it is: it may hold a password.
        values.wrong("proxy", "http://HOST:PORT, socks5://HOST:PORT or _none_")
    return text


def _login(values: Values, user: str, password: str) -> str:
    """As curl takes it; a colon in the name would end it."""
    name = values.text(user)
    if ":" in name:
        values.wrong(user, "a name without a colon")
    return f"{name}:{values.text(password)}" if name else ""


def _tls(values: Values, prefix: str) -> Tls:
    files = {name: values.text(prefix + name) for name in ("cacert", "clientcert", "clientkey")}
    for name, path in files.items():
        if path and not path.startswith("/"):
            values.wrong(prefix + name, f"an absolute path, not {path!r}")
    return Tls(
        values.boolean(f"{prefix}verify", default=True),
        prefix == "ssl" and values.boolean("sslverifystatus", default=False),
        files["cacert"],
        files["clientcert"],
        files["clientkey"],
    )


def _keys(values: Values) -> tuple[str, ...]:
    keys = values.words("gpgkey")
    for key in keys:
        if not is_base_url(key):
            values.wrong("gpgkey", f"a file:///, http:// or https:// URL, not {key!r}")
    return keys


def _list_url(values: Values, key: str) -> str:
    url = values.text(key).strip()
    if url and not is_base_url(url):
        values.wrong(key, f"an http:// or https:// URL, not {without_passwords(url)!r}")
    return url


def _unsupported(urls: tuple[str, ...]) -> tuple[str, ...]:
    bad_urls = [without_passwords(url) for url in urls if not is_base_url(url)]
    return tuple(f"baseurl={url} (only file://, http:// and https://)" for url in bad_urls)
