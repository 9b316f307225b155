"""The repositories that the next deployment will have, with its own settings and variables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from layer.config import Defaults, default_access, parse_defaults
from layer.frozen import dataclass
from layer.lock import read_lock
from layer.model import Commit, Repository
from layer.next_files import NextFiles
from layer.repos import decoded, gathered, read_repositories
from layer.repository import Access, Tls
from layer.sections import repository_variables

_CONFIGURATION = "etc/dnf/dnf.conf"
_REPOSITORIES = ("etc/distro.repos.d", "etc/yum/repos.d", "etc/yum.repos.d")  # the last one wins
_VARIABLES = ("etc/yum/vars", "etc/dnf/vars")
_OS_RELEASE = ("usr/lib/os-release", "etc/os-release")
_FILE = "file://"


@dataclass(frozen=True, slots=True)
class Configuration:
    """How dnf is set up in a tree: variables, and what [main] of its dnf.conf says."""

    variables: Mapping[str, str]
    defaults: Defaults


def read_configured(
    files: NextFiles, base: Commit | None, directories: Sequence[Path], cache: Path
) -> tuple[Repository, ...]:
    """All repositories of the tree and of the caller's directories, sorted by id.

    Those of the directories win. The tree's own name files of the tree, which are copied to
    `cache` where they are in no checkout. InvalidInput names all files that are wrong.
    """
    keep = _copies(base, cache)
    configuration = read_configuration(files, base, keep)
    inherited = frozenset(configuration.defaults.settings.values())

    def located(path: str) -> str:
        if not path.startswith("/") or path in inherited:
            return path
        return str(files.on_disk(path.lstrip("/"), keep))

    ours = gathered(_repository_files(files), configuration.variables, configuration.defaults)
    theirs = read_repositories(directories, configuration.variables, configuration.defaults)
    found = {r.id: _on_this_machine(r, located) for r in ours}
    found |= {r.id: r for r in theirs}
    return tuple(found[id_] for id_ in sorted(found))


def read_default_access(files: NextFiles, base: Commit | None, cache: Path) -> Access:
    """How servers of no repository are reached, as the tree's dnf.conf says of all of them.

    They get no login or certificate that is meant for repositories. InvalidInput where a
    setting is wrong.
    """
    configuration = read_configuration(files, base, _copies(base, cache))
    return default_access(configuration.defaults).for_strangers()


def read_configuration(files: NextFiles, base: Commit | None, keep: Path) -> Configuration:
    """The variables and defaults of a tree; files that the defaults name are as `on_disk` has them.

    $releasever is VERSION_ID of its os-release, else the version of the base.
    """
    release = _release(files) or (str(base.metadata.get("version", "")) if base else "")
    variables = repository_variables(release, arch=_arch_of(base) if base else "")
    own = dict(_own_variables(files))
    if "releasever" in own:
        variables |= repository_variables(own["releasever"])
    variables |= own
    text = decoded(_content(files, _CONFIGURATION) or b"", f"/{_CONFIGURATION}")
    defaults = parse_defaults(text, f"/{_CONFIGURATION}", variables)
    settings = dict(defaults.settings)
    for key, value in settings.items():
        if key.endswith(("cacert", "clientcert", "clientkey")) and value.startswith("/"):
            settings[key] = str(files.on_disk(value.lstrip("/"), keep))
    return Configuration(variables, replace(defaults, settings=settings))


def _copies(base: Commit | None, cache: Path) -> Path:
    """Where files of a tree lie that is not checked out."""
    return cache / "files" / (base.checksum if base else "none")


def _arch_of(base: Commit) -> str:
    """The architecture of its packages."""
    arches = Counter(p.nevra.arch for p in read_lock(base).packages)
    del arches["noarch"]
    return arches.most_common(1)[0][0] if arches else os.uname().machine


def _on_this_machine(repository: Repository, located: Callable[[str], str]) -> Repository:
    """A repository of the tree names files of the tree."""

    def tls(given: Tls) -> Tls:
        return replace(
            given,
            authorities=located(given.authorities),
            certificate=located(given.certificate),
            key=located(given.key),
        )

    keys = (
        f"{_FILE}{located(unquote(key.removeprefix(_FILE)))}" if key.startswith(_FILE) else key
        for key in repository.keys
    )
    access = repository.access
    return replace(
        repository,
        keys=tuple(keys),
        access=replace(access, tls=tls(access.tls), proxy_tls=tls(access.proxy_tls)),
    )


def _repository_files(files: NextFiles) -> Iterator[tuple[str, bytes | OSError]]:
    for folder in _REPOSITORIES:
        for name in files.names(folder):
            content = _content(files, f"{folder}/{name}") if name.endswith(".repo") else None
            if content is not None:
                yield f"/{folder}/{name}", content


def _own_variables(files: NextFiles) -> Iterator[tuple[str, str]]:
    """A file for each; its first line counts."""
    for folder in _VARIABLES:
        for name in files.names(folder):
            content = _content(files, f"{folder}/{name}")
            if content is not None:
                lines = decoded(content, f"/{folder}/{name}").splitlines()
                yield name, lines[0].strip() if lines else ""


def _release(files: NextFiles) -> str:
    for path in _OS_RELEASE:
        for line in decoded(_content(files, path) or b"", f"/{path}").splitlines():
            name, _, value = line.strip().partition("=")
            if name == "VERSION_ID":
                return value.strip("\"'")
    return ""


def _content(files: NextFiles, path: str) -> bytes | OSError | None:
    try:
        return files.read(path)
    except OSError as error:
        return error
