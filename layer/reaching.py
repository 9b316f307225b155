"""The metadata of those repositories that can be had, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layer.errors import CacheRefused, RepositoryError, Unreachable
from layer.frozen import dataclass
from layer.host import Host
from layer.model import Commit, Repository, RepositoryMetadata
from layer.signing import Fetching, fetch_checked
from layer.words import instant


@dataclass(frozen=True, slots=True)
class Reached:
    """What repositories offer, and why others were left out."""

    metadata: tuple[RepositoryMetadata, ...] = ()
    left_out: tuple[RepositoryError, ...] = ()


def reach_repositories(host: Host, base: Commit) -> Reached:
    """The metadata of all repositories of a base.

    Of one that cannot be reached those are taken that were fetched before. Without any it is
    left out where its file allows that; or where nothing is moved to its newest
    and no other repository comes after it. One RepositoryError names all others.
    """
    found: list[RepositoryMetadata] = []
    dead: list[tuple[Repository, Unreachable]] = []
    errors: list[RepositoryError] = []
    repositories = host.repositories(base)
    for repository in repositories:
        try:
            found.append(_reach(repository, host.fetching))
        except CacheRefused:
            raise  # the same is in the way of all others
        except Unreachable as error:
            dead.append((repository, error))
        except RepositoryError as error:
            errors.append(error)
    left_out = []
    for repository, unreachable in dead:
        is_spared = bool(found) and not host.options.refresh
        may_go = is_spared and not _is_preferred(repository, repositories)
        if repository.may_be_missing or may_go:
            left_out.append(unreachable)
        else:
            errors.append(unreachable)
    if errors:
        message = "\n".join(error.message for error in errors)
        raise RepositoryError(message, errors[0].hint) from errors[0]
    return Reached(tuple(found), tuple(left_out))


def lacking(left_out: Sequence[RepositoryError], without: str) -> RepositoryError:
    """The error where repositories were left out and nothing else has what is wanted."""
    message = "\n".join(error.message for error in left_out)
    return RepositoryError(f"{message}\nand without it: {without}", left_out[0].hint)


def _reach(repository: Repository, fetching: Fetching) -> RepositoryMetadata:
    try:
        return fetch_checked(repository, fetching)
    except Unreachable as error:
        if fetching.cache_only:
            raise
        try:
            kept = fetch_checked(repository, replace(fetching, cache_only=True))
        except RepositoryError:
            raise error from None
        when = instant(int((kept.primary.parent / "repomd.xml").stat().st_mtime))
        fetching.reporter.note(f"{error.message}; what it had at {when} is used")
        return kept


def _is_preferred(repository: Repository, others: Sequence[Repository]) -> bool:
    """Whether packages of another would be taken in place of better ones."""
    return any(other.priority > repository.priority for other in others)
