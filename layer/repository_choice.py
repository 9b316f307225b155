"""Which repositories count for one command, as --repo, --enablerepo and --disablerepo say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.repository import Repository
from layer.words import did_you_mean


@dataclass(frozen=True, slots=True)
class Choice:
    """Globs over ids: `only` these are enabled; then each of `switched` in turn is, or is not."""

    only: tuple[str, ...] = ()
    switched: tuple[tuple[str, bool], ...] = ()


def choose(repositories: Sequence[Repository], choice: Choice) -> tuple[Repository, ...]:
    """The repositories, enabled as the choice has it; InvalidInput names ids that none has."""
    ids = [repository.id for repository in repositories]
    words = (*choice.only, *(word for word, _ in choice.switched))
    unknown = [w for w in dict.fromkeys(words) if not any(fnmatchcase(id_, w) for id_ in ids)]
    if unknown:
        raise InvalidInput(
            f"no repository is called {', '.join(unknown)}",
            did_you_mean(unknown, ids, rest=f"there is: {', '.join(ids) or 'none'}"),
        )
    chosen = tuple(replace(r, is_enabled=_is_enabled(r, choice)) for r in repositories)
    for repository in chosen:
        has_place = repository.base_urls or repository.metalink or repository.mirrorlist
        if repository.is_enabled and not has_place:
            raise InvalidInput(f"{repository.source}, [{repository.id}]: baseurl is missing")
    return chosen


def split_ids(words: Sequence[str]) -> tuple[str, ...]:
    """The ids of an option that may be said several times, each with a list."""
    return tuple(part for word in words for part in word.replace(",", " ").split())


def _is_enabled(repository: Repository, choice: Choice) -> bool:
    is_only = any(fnmatchcase(repository.id, glob) for glob in choice.only)
    is_enabled = is_only if choice.only else repository.is_enabled
    # As dnf takes them: the last one that names a repository counts.
    for glob, is_on in choice.switched:
        if fnmatchcase(repository.id, glob):
            is_enabled = is_on
    return is_enabled
