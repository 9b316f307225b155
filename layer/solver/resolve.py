"""From requests to the exact packages that are added over a base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import solv

from layer import spans
from layer.blockers import Blocker, find_blockers
from layer.errors import InvalidInput, LayerError, Unsolvable
from layer.frozen import dataclass
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
from layer.solver.loading import Loader
from layer.solver.overriding import Overridden, Wish, check_architecture, dependents, override
from layer.solver.pool import Offer, nevra, package
from layer.solver.problems import explain, held
from layer.solver.requests import (
    candidates,
    classify_word,
    missing,
    needs_filelists,
    refuse_unsupported,
    sort_key,
)

_NO_PREFERENCE = Preference()
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
    preference: Preference = _NO_PREFERENCE,
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
    options = _Options(
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
    preference: Preference = _NO_PREFERENCE,
    overrides: Overrides = NO_OVERRIDES,
    files: Sequence[LockedPackage] = (),
    loader: Loader | None = None,
) -> tuple[Blocker, ...]:
    """Which of the requests `resolve` cannot fulfil beside the others, and why.

    () where it can, and where overrides alone are what cannot be.
    """
    refuse_unsupported(wanted)
    options = _Options(
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
    wishes = {wish.request: wish for wish in _wishes(offer, options.wanted)}
    unknown = [wish.request for wish in wishes.values() if not wish.candidates]
    known = [Blocker((one,), missing(offer, [one]).message) for one in unknown]

    def why_not(requests: tuple[Request, ...]) -> LayerError | None:
        active, _ = _split(offer, (wishes[request] for request in requests))
        active += places
        _, problems = _solve(offer, active, options, overridden)
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


@dataclass(frozen=True, slots=True)
class _Options:
    """What is asked for, sorted; requests in `refused` may not be inactive."""

    wanted: tuple[Request, ...]
    lock: tuple[LockedPackage, ...]
    refused: frozenset[Request] = frozenset()
    preference: Preference = _NO_PREFERENCE
    overrides: Overrides = NO_OVERRIDES


def _resolve(offer: Offer, options: _Options) -> Resolution | None:
    """None where only filelists can tell."""
    check_architecture(offer, [*options.wanted, *options.overrides.requests])
    overridden = override(offer, options.overrides)
    wishes = _wishes(offer, options.wanted)
    unknown = [wish.request for wish in wishes if not wish.candidates]
    if offer.lacks_filelists and any(needs_filelists(request) for request in unknown):
        return None
    if unknown:
        raise missing(offer, unknown)
    active, inactive = _split(offer, wishes)
    active += [wish for wish, _ in overridden.places]
    _refuse_inactive(inactive, options.refused)
    solver, problems = _solve(offer, active, options, overridden)
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
    offer: Offer, active: Sequence[Wish], options: _Options, overridden: Overridden
) -> Unsolvable:
    needing = dependents(offer, overridden)
    if needing is not None:
        return needing
    # Together, and each request alone: one problem can hide another.
    parts = [active, *([wish] for wish in active)]
    error = explain(offer, lambda: [_solve(offer, part, options, overridden) for part in parts])
    if options.preference.is_best:
        modest = replace(options, preference=replace(options.preference, is_best=False))
        _solver, problems = _solve(offer, active, modest, overridden)
        if not problems:
            return Unsolvable(error.message, _NOT_BEST_HINT, facts=error.facts)
    return error


def _solve(
    offer: Offer, wishes: Iterable[Wish], options: _Options, overridden: Overridden
) -> tuple[solv.Solver, list[solv.Problem]]:
    """A Solver that was used once may never return from its second use, so it is always new."""
    solver = offer.pool.Solver()
    ignores = 0 if options.preference.with_recommended else 1
    solver.set_flag(solver.SOLVER_FLAG_IGNORE_RECOMMENDED, ignores)
    # Else foo.i686, asked for by that name, would come with foo.x86_64.
    solver.set_flag(solver.SOLVER_FLAG_NO_INFARCHCHECK, 1)
    return solver, solver.solve(_jobs(offer, wishes, options, overridden))


def _wishes(offer: Offer, requests: Iterable[Request]) -> list[Wish]:
    """Packages of the base's second architectures count only where nothing else is meant."""
    wishes = [Wish(request, tuple(candidates(offer, request))) for request in requests]
    if all(wish.candidates for wish in wishes):
        return wishes
    offer.accept_other_arches()
    return [
        wish if wish.candidates else Wish(wish.request, tuple(candidates(offer, wish.request)))
        for wish in wishes
    ]


def _split(offer: Offer, wishes: Iterable[Wish]) -> tuple[list[Wish], list[Wish]]:
    """Those that need a package, and those that the base fulfils."""
    active: list[Wish] = []
    inactive: list[Wish] = []
    for wish in wishes:
        in_base = any(offer.is_in_base(each) for each in wish.candidates)
        (inactive if in_base else active).append(wish)
    return active, inactive


def _refuse_inactive(inactive: Iterable[Wish], refused: frozenset[Request]) -> None:
    lines = []
    for wish in inactive:
        if wish.request in refused:
            owner = min(str(nevra(each)) for each in wish.candidates if each.isinstalled())
            lines.append(f"{wish.request.label} is already in the base: {owner}")
    if lines:
        raise InvalidInput("\n".join(lines), KEEP_INACTIVE)


def _jobs(
    offer: Offer,
    wishes: Iterable[Wish],
    options: _Options,
    overridden: Overridden,
) -> list[solv.Job]:
    pool, kinds = offer.pool, solv.Job
    jobs: list[solv.Job] = []
    if offer.has_base:
        jobs += _base_jobs(offer, overridden)
    kept = [_kept(offer, locked) for locked in options.lock]
    kept_ids = {each.id for same in kept for each in same}
    for wish in wishes:
        one_of = pool.towhatprovides(sorted(wish.ids))
        # What is layered already is good enough: an upgrade, which knows no lock, moves it.
        is_best = options.preference.is_best and not wish.ids & kept_ids
        best = kinds.SOLVER_FORCEBEST if is_best else 0
        jobs.append(pool.Job(kinds.SOLVER_INSTALL | kinds.SOLVER_SOLVABLE_ONE_OF | best, one_of))
    for same in kept:
        jobs.extend(_keep(offer, same))
    return jobs


def _base_jobs(offer: Offer, overridden: Overridden) -> Iterable[solv.Job]:
    """What the base's packages do: stay, but for those that overrides take away."""
    pool, kinds = offer.pool, solv.Job
    if not offer.gone:
        return [pool.Job(kinds.SOLVER_LOCK | kinds.SOLVER_SOLVABLE_REPO, pool.installed.id)]
    kept = [each.id for each in pool.installed.solvables if each.id not in offer.gone]
    staying = pool.towhatprovides(kept)
    never = sorted([*offer.gone, *(each.id for each in overridden.forbidden)])
    return [
        pool.Job(kinds.SOLVER_LOCK | kinds.SOLVER_SOLVABLE_ONE_OF, staying),
        *(pool.Job(kinds.SOLVER_ERASE | kinds.SOLVER_SOLVABLE, id_) for id_ in never),
    ]


def _kept(offer: Offer, locked: LockedPackage) -> list[solv.XSolvable]:
    """The locked package wherever it is. Where no checksum is known, the name decides."""
    return [
        each
        for each in offer.named(locked.nevra.name)
        if locked.checksum in ("", offer.checksum(each)) and nevra(each) == locked.nevra
    ]


def _keep(offer: Offer, kept: Sequence[solv.XSolvable]) -> list[solv.Job]:
    """Prefer the locked package where one is needed, and forbid its other versions weakly.

    FAVOR alone decides between candidates that are open, but a newer version of
    another package that needs a newer one of this would still win. A weak job
    is dropped only when nothing else solves.
    """
    if not kept:
        return []
    pool, kinds = offer.pool, solv.Job
    kept_ids = {each.id for each in kept}
    others = [
        each
        for each in offer.named(kept[0].name)
        if each.id not in kept_ids and each.arch == kept[0].arch
    ]
    return [
        *(pool.Job(kinds.SOLVER_FAVOR | kinds.SOLVER_SOLVABLE, each.id) for each in kept),
        *(
            pool.Job(kinds.SOLVER_LOCK | kinds.SOLVER_WEAK | kinds.SOLVER_SOLVABLE, each.id)
            for each in others
        ),
    ]


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
