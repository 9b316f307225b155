"""Packages that need not come: which of them do not fit beside those that have to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from layer import spans
from layer.model import BaseState, LockedPackage, Preference, RepositoryMetadata, Request
from layer.overrides import Overrides
from layer.solver.jobs import Options, solve, split, wishes_of
from layer.solver.loading import Loader
from layer.solver.overriding import override
from layer.solver.pool import Offer
from layer.solver.requests import sort_key


@spans.phase("solve")
def unfitting(
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    wanted: Iterable[Request],
    optional: Iterable[Request],
    *,
    lock: Sequence[LockedPackage],
    locked_headers: Mapping[str, Path],
    preference: Preference,
    overrides: Overrides,
    files: Sequence[LockedPackage],
    loader: Loader,
) -> tuple[Request, ...] | None:
    """Those of the optional requests that `resolve` could not fulfil beside what is wanted.

    The arguments are those of `resolve`; something has each of the optional requests. None where
    already what is wanted cannot be had.
    """
    options = Options(
        tuple(sorted(set(wanted), key=sort_key)),
        tuple(sorted(set(lock))),
        preference=preference,
        overrides=overrides,
    )
    spare = sorted(set(optional) - set(options.wanted), key=sort_key)
    known = {*lock, *files}
    for with_filelists in (False, True):
        offer = loader.load(base, metadata, known, locked_headers, with_filelists=with_filelists)
        found = _unfitting(offer, options, spare)
        if found is not None or offer.missing_files is None:
            return found
    raise AssertionError("filelists were read and are still asked for")


def _unfitting(
    offer: Offer, options: Options, spare: Sequence[Request]
) -> tuple[Request, ...] | None:
    """None where it cannot be solved, or where only filelists can tell."""
    overridden = override(offer, options.overrides)
    wishes = wishes_of(offer, options.wanted)
    if not all(wish.candidates for wish in wishes):
        return None
    firm, _ = split(offer, wishes)
    firm += [wish for wish, _ in overridden.places]
    loose, _ = split(offer, wishes_of(offer, spare))
    solver, problems = solve(offer, firm, options, overridden, loose)
    chosen = [] if problems else solver.transaction().newsolvables()
    if problems or any(offer.stands_in(each) for each in chosen):
        return None
    ids = {each.id for each in chosen}
    return tuple(wish.request for wish in loose if not wish.ids & ids)
