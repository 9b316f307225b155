"""Packages that somebody does not want: neither chosen, nor there for what needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import solv

from layer.solver.pool import Offer
from layer.words import is_utf8

_GLOB = (
    solv.Selection.SELECTION_NAME
    | solv.Selection.SELECTION_CANON
    | solv.Selection.SELECTION_DOTARCH
    | solv.Selection.SELECTION_GLOB
    | solv.Selection.SELECTION_WITH_BADARCH
)


def exclude(offer: Offer, globs: Sequence[str]) -> None:
    """Takes away what repositories leave out themselves, and what `globs` name in all of them.

    A glob is over names, `name.arch`, `name-version` and the longer forms. The base stays, and
    what is layered already.
    """
    asking = [each for each in offer.repositories.values() if each.excludes or each.includes]
    if not (globs or asking):
        return
    offer.accept_other_arches()  # else *.i686 names nothing
    for repo in offer.pool.repos:
        repository = offer.repositories.get(repo.id)
        if repository is None:
            continue
        for glob in repository.excludes:
            _drop(offer, _named(offer, repo, [glob]), f"excludepkgs={glob} of {repository.id}")
        if repository.includes:
            included = set(_named(offer, repo, repository.includes))
            others = [each.id for each in repo.solvables if each.id not in included]
            _drop(offer, others, f"includepkgs={','.join(repository.includes)} of {repository.id}")
        for glob in globs:
            _drop(offer, _named(offer, repo, [glob]), f"--exclude={glob}")
    offer.accept_own_arch()
    _disable(offer, sorted(offer.excluded))


def excluders(offer: Offer, solvables: Iterable[solv.XSolvable]) -> str:
    """Who does not want these packages, in words."""
    found = {offer.excluded[each.id] for each in solvables if each.id in offer.excluded}
    return " and ".join(sorted(found))


@contextmanager
def all_included(offer: Offer) -> Iterator[None]:
    """Lets excluded packages be found; not to be solved with."""
    if offer.excluded:
        _disable(offer, [])
    try:
        yield
    finally:
        if offer.excluded:
            _disable(offer, sorted(offer.excluded))


def _disable(offer: Offer, ids: Sequence[int]) -> None:
    offer.pool.set_disabled_list(ids)
    offer.pool.createwhatprovides()


def _named(offer: Offer, repo: solv.Repo, globs: Iterable[str]) -> Iterator[int]:
    for glob in filter(is_utf8, globs):  # as all names are, and libsolv's own words
        for each in offer.pool.select(glob, _GLOB).solvables():
            if each.repo.id == repo.id:
                yield each.id


def _drop(offer: Offer, ids: Iterable[int], reason: str) -> None:
    for id_ in ids:
        offer.excluded.setdefault(id_, reason)
