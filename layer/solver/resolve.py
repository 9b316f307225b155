"""From requests to the exact packages that are added over a base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import solv

from layer import spans
from layer.blockers import Blocker, find_blockers
from layer.errors import InvalidInput, LayerError, Unsolvable
from layer.model import (
    BaseState,
    LockedPackage,
    Preference,
    RepositoryMetadata,
    Request,
    RequestKind,
    Resolution,
    Selection,
)
from layer.overrides import NO_OVERRIDES, Overrides
from layer.solver.jobs import NO_PREFERENCE, Options, solve, split, wishes_of
from layer.solver.loading import Loader
from layer.solver.overriding import Overridden, Wish, check_architecture, dependents, override
from layer.solver.pool import Offer, nevra, package
from layer.solver.problems import explain, held
from layer.solver.requests import (
    classify_word,
    missing,
    needs_filelists,
    refuse_unsupported,
    sort_key,
)

KEEP_INACTIVE = "--allow-inactive keeps the request for the day the base drops it"
_NOT_BEST_HINT = "an older version can be had: leave --best out"


@spans.phase("solve")
def classify(
    words: Sequence[str],
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    *,
    lock: Sequence[LockedPackage] = (),
    locked_headers: Mapping[str, Path] | None = None,
    loader: Loader | None = None,
) -> tuple[Request, ...]:
    """Say what each word of a command line asks for, in the words' order.

    A path begins with a slash; a package is named as the base, the lock or a
    repository names it; everything else is taken for a capability, whether or
    not anything provides it.
    """
    offer = (loader or Loader()).load(
        base, metadata, lock, locked_headers or {}, with_filelists=False
    )
    found = tuple(classify_word(offer, word) for word in words)
    if all(request.kind is not RequestKind.PROVIDE for request in found):
        return found
    # Perhaps a package of another architecture.
    offer.accept_other_arches()
    return tuple(classify_word(offer, word) for word in words)


@spans.phase("solve")
def resolve(
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    wanted: Sequence[Request],
    *,
    lock: Sequence[LockedPackage] = (),
    locked_headers: Mapping[str, Path] | None = None,
    new: frozenset[Request] = frozenset(),
    preference: Preference = NO_PREFERENCE,
    allow_inactive: bool = False,
    overrides: Overrides = NO_OVERRIDES,
    files: Sequence[LockedPackage] = (),
    loader: Loader | None = None,
) -> Resolution:
    """Choose the packages that fulfil all requests, touching of the base what `overrides` name.

    The same arguments in any order give the same result. Packages of `lock`
    stay as they are unless a request makes that impossible; `locked_headers`
    holds RPM headers by the packages' checksums, for those which no repository
    has any more, and those of `files`, which no repository need have. Requests in
    `new` that the base fulfils are refused with InvalidInput unless `allow_inactive`;
    others become inactive. NotFound names all requests that nothing fulfils,
    Unsolvable all reasons why not.
    """
    refuse_unsupported(wanted)
    options = Options(
        tuple(sorted(set(wanted), key=sort_key)),
        tuple(sorted(set(lock))),
        frozenset() if allow_inactive else new,
        preference,
        overrides,
    )
    known = {*lock, *files}
    loader = loader or Loader()
    for with_filelists in (False, True):
        # No name for the pool: the first one is gone before the second is read.
        resolution = _resolve(
            loader.load(base, metadata, known, locked_headers or {}, with_filelists=with_filelists),
            options,
        )
        if resolution is not None:
            return resolution
    raise AssertionError("filelists were read and are still asked for")


@spans.phase("solve")
def blockers(
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    wanted: Sequence[Request],
    *,
    lock: Sequence[LockedPackage] = (),
    locked_headers: Mapping[str, Path] | None = None,
    preference: Preference = NO_PREFERENCE,
    overrides: Overrides = NO_OVERRIDES,
    files: Sequence[LockedPackage] = (),
    loader: Loader | None = None,
) -> tuple[Blocker, ...]:
    """Which of the requests `resolve` cannot fulfil beside the others, and why.

    () where it can, and where overrides alone are what cannot be.
    """
    refuse_unsupported(wanted)
    options = Options(
        tuple(sorted(set(wanted), key=sort_key)), tuple(sorted(set(lock))), preference=preference
    )
    known_files, loader = {*lock, *files}, loader or Loader()
    for with_filelists in (False, True):
        offer = loader.load(
            base, metadata, known_files, locked_headers or {}, with_filelists=with_filelists
        )
        if offer.missing_files is None and not any(map(needs_filelists, options.wanted)):
            break  # filelists would tell nothing more
    overridden = override(offer, overrides)
    places = [wish for wish, _ in overridden.places]
    wishes = {wish.request: wish for wish in wishes_of(offer, options.wanted)}
    unknown = [wish.request for wish in wishes.values() if not wish.candidates]
    known = [Blocker((one,), missing(offer, [one]).message) for one in unknown]

    def why_not(requests: tuple[Request, ...]) -> LayerError | None:
        active, _ = split(offer, (wishes[request] for request in requests))
        active += places
        _, problems = solve(offer, active, options, overridden)
        return _unsolvable(offer, active, options, overridden) if problems else None

    if why_not(()) is not None:
        return ()
    found = find_blockers(options.wanted, why_not, known)
    # What the solver advises is for one who asks for something new.
    return tuple(
        replace(blocker, remedy="", facts=(*_meant(wishes, blocker), *blocker.facts))
        for blocker in found
    )


def _meant(wishes: Mapping[Request, Wish], blocker: Blocker) -> Iterable[str]:
    """Which packages a blocker's requests mean that do not name them."""
    for request in blocker.requests:
        if blocker.facts and request.kind in (RequestKind.PROVIDE, RequestKind.PATH):
            owners = sorted({str(each) for each in wishes[request].candidates})
            yield f"{request.label} is asked for, {held(owners)}"


def _resolve(offer: Offer, options: Options) -> Resolution | None:
    """None where only filelists can tell."""
    check_architecture(offer, [*options.wanted, *options.overrides.requests])
    overridden = override(offer, options.overrides)
    wishes = wishes_of(offer, options.wanted)
    unknown = [wish.request for wish in wishes if not wish.candidates]
    if offer.lacks_filelists and any(needs_filelists(request) for request in unknown):
        return None
    if unknown:
        raise missing(offer, unknown)
    active, inactive = split(offer, wishes)
    active += [wish for wish, _ in overridden.places]
    _refuse_inactive(inactive, options.refused)
    solver, problems = solve(offer, active, options, overridden)
    chosen = [] if problems else list(solver.transaction().newsolvables())
    if offer.missing_files and (problems or any(offer.stands_in(each) for each in chosen)):
        return None
    if problems:
        raise _unsolvable(offer, active, options, overridden)
    replaced, downgraded = overridden.replaced(chosen)
    return Resolution(
        selections=_selections(offer, active, chosen),
        requests=options.wanted,
        inactive=tuple(wish.request for wish in inactive),
        removed=tuple(sorted(nevra(each) for each in overridden.removed)),
        replaced=replaced,
        downgraded=downgraded,
        inactive_overrides=overridden.inactive,
    )


def _unsolvable(
    offer: Offer, active: Sequence[Wish], options: Options, overridden: Overridden
) -> Unsolvable:
    needing = dependents(offer, overridden)
    if needing is not None:
        return needing
    # Together, and each request alone: one problem can hide another.
    parts = [active, *([wish] for wish in active)]
    error = explain(offer, lambda: [solve(offer, part, options, overridden) for part in parts])
    if options.preference.is_best:
        modest = replace(options, preference=replace(options.preference, is_best=False))
        _solver, problems = solve(offer, active, modest, overridden)
        if not problems:
            return Unsolvable(error.message, _NOT_BEST_HINT, facts=error.facts)
    return error


def _refuse_inactive(inactive: Iterable[Wish], refused: frozenset[Request]) -> None:
    lines = []
    for wish in inactive:
        if wish.request in refused:
            owner = min(str(nevra(each)) for each in wish.candidates if each.isinstalled())
            lines.append(f"{wish.request.label} is already in the base: {owner}")
    if lines:
        raise InvalidInput("\n".join(lines), KEEP_INACTIVE)


def _selections(
    offer: Offer, wishes: Sequence[Wish], chosen: Sequence[solv.XSolvable]
) -> tuple[Selection, ...]:
    needed_by = _needed_by(offer, chosen)
    selections = []
    for each in chosen:
        asking = tuple(wish.request for wish in wishes if each.id in wish.ids)
        selections.append(Selection(package(offer, each), asking, needed_by.get(each.id, ())))
    return tuple(sorted(selections, key=lambda selection: selection.package.nevra))


def _needed_by(offer: Offer, chosen: Sequence[solv.XSolvable]) -> dict[int, tuple[str, ...]]:
    """Names of the chosen packages by the chosen one that they require and the base has not."""
    ids = {each.id for each in chosen}
    names: dict[int, set[str]] = {}
    for each in chosen:
        for dependency in each.lookup_deparray(solv.SOLVABLE_REQUIRES, 0):  # 0: %pre's too
            providers = offer.pool.whatprovides(dependency)
            if any(offer.is_in_base(provider) for provider in providers):
                continue
            for provider in providers:
                if provider.id in ids and provider.id != each.id:
                    names.setdefault(provider.id, set()).add(each.name)
    return {id_: tuple(sorted(found)) for id_, found in names.items()}
