"""What libsolv is told to do: what is to come, and what of the base and of the lock stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import solv

from layer.frozen import dataclass
from layer.model import LockedPackage, Preference, Request
from layer.overrides import NO_OVERRIDES, Overrides
from layer.solver.overriding import Overridden, Wish
from layer.solver.pool import Offer, nevra
from layer.solver.requests import candidates

NO_PREFERENCE = Preference()


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for, sorted, and how; requests in `refused` may not be inactive."""

    wanted: tuple[Request, ...]
    lock: tuple[LockedPackage, ...]
    refused: frozenset[Request] = frozenset()
    preference: Preference = NO_PREFERENCE
    overrides: Overrides = NO_OVERRIDES


def wishes_of(offer: Offer, requests: Iterable[Request]) -> list[Wish]:
    """Packages of the base's second architectures count only where nothing else is meant."""
    wishes = [Wish(request, tuple(candidates(offer, request))) for request in requests]
    if all(wish.candidates for wish in wishes):
        return wishes
    offer.accept_other_arches()
    return [
        wish if wish.candidates else Wish(wish.request, tuple(candidates(offer, wish.request)))
        for wish in wishes
    ]


def split(offer: Offer, wishes: Iterable[Wish]) -> tuple[list[Wish], list[Wish]]:
    """Those that need a package, and those that the base fulfils."""
    active: list[Wish] = []
    inactive: list[Wish] = []
    for wish in wishes:
        in_base = any(offer.is_in_base(each) for each in wish.candidates)
        (inactive if in_base else active).append(wish)
    return active, inactive


def solve(
    offer: Offer,
    wishes: Iterable[Wish],
    options: Options,
    overridden: Overridden,
    optional: Iterable[Wish] = (),
) -> tuple[solv.Solver, list[solv.Problem]]:
    """What comes of wishes, and of those that are `optional` where they are in nothing's way.

    A Solver that was used once may never return from its second use, so it is always new.
    """
    solver = offer.pool.Solver()
    ignores = 0 if options.preference.with_recommended else 1
    solver.set_flag(solver.SOLVER_FLAG_IGNORE_RECOMMENDED, ignores)
    # Else foo.i686, asked for by that name, would come with foo.x86_64.
    solver.set_flag(solver.SOLVER_FLAG_NO_INFARCHCHECK, 1)
    return solver, solver.solve(_jobs(offer, wishes, options, overridden, optional))


def _jobs(
    offer: Offer,
    wishes: Iterable[Wish],
    options: Options,
    overridden: Overridden,
    optional: Iterable[Wish],
) -> list[solv.Job]:
    pool, kinds = offer.pool, solv.Job
    jobs: list[solv.Job] = []
    if offer.has_base:
        jobs += _base_jobs(offer, overridden)
    kept = [_kept(offer, locked) for locked in options.lock]
    kept_ids = {each.id for same in kept for each in same}
    for wish, strength in [*((w, 0) for w in wishes), *((w, kinds.SOLVER_WEAK) for w in optional)]:
        one_of = pool.towhatprovides(sorted(wish.ids))
        # What is layered already is good enough: an upgrade, which knows no lock, moves it.
        is_best = options.preference.is_best and not wish.ids & kept_ids
        best = kinds.SOLVER_FORCEBEST if is_best else 0
        how = kinds.SOLVER_INSTALL | kinds.SOLVER_SOLVABLE_ONE_OF | best | strength
        jobs.append(pool.Job(how, one_of))
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
