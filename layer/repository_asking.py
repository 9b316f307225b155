"""Questions about repositories themselves; nothing is fetched, and no root needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase

from layer.errors import NotFound, RepositoryError
from layer.fetch.contents import count_contents
from layer.fetch.metadata import expiry, is_fresh
from layer.host import Host
from layer.repository import Repository
from layer.repository_facts import RepositoryFacts
from layer.signing import Fetching, fetch_checked, keys_of
from layer.words import did_you_mean


def list_repositories(
    host: Host, *, with_enabled: bool = True, with_disabled: bool = False
) -> tuple[RepositoryFacts, ...]:
    """The repositories of the deployment to come, by id, with what was fetched of them."""
    wanted = {True: with_enabled, False: with_disabled}
    found = (r for r in host.all_repositories() if wanted[r.is_enabled])
    return tuple(_facts(repository, host.fetching) for repository in found)


def describe_repositories(host: Host, words: Sequence[str]) -> tuple[RepositoryFacts, ...]:
    """The same of those that ids or globs name, disabled ones too; without words the enabled.

    NotFound names each word that fits none.
    """
    if not words:
        return list_repositories(host)
    there = host.all_repositories()
    ids = [repository.id for repository in there]
    unknown = [w for w in dict.fromkeys(words) if not any(fnmatchcase(id_, w) for id_ in ids)]
    if unknown:
        raise NotFound(
            f"no repository is called {', '.join(unknown)}",
            did_you_mean(unknown, ids, rest=f"there is: {', '.join(ids) or 'none'}"),
        )
    found = (r for r in there if any(fnmatchcase(r.id, word) for word in words))
    return tuple(_facts(repository, host.fetching) for repository in found)


def _facts(repository: Repository, fetching: Fetching) -> RepositoryFacts:
    offline = replace(fetching, cache_only=True)
    directory = fetching.cache / repository.id
    facts = RepositoryFacts(repository)
    if repository.keys:
        with suppress(RepositoryError):  # they may not have been needed yet
            facts = replace(facts, known_keys=keys_of(repository, offline))
    expires = expiry(repository, directory)
    if expires is None:
        problem = f"layer cannot do {'; '.join(repository.unsupported)}"
        return replace(facts, problem=problem) if repository.unsupported else facts
    fetched = (directory / "repomd.xml").stat().st_mtime
    try:
        metadata = fetch_checked(repository, offline)
        packages, size = count_contents(metadata)
    except RepositoryError as error:
        return replace(facts, fetched=fetched, expires=expires, problem=error.message)
    return replace(
        facts,
        packages=packages,
        size=size,
        fetched=fetched,
        expires=expires,
        is_fresh=is_fresh(repository, directory),
        mirrors=() if repository.base_urls else metadata.repository.base_urls,
    )
