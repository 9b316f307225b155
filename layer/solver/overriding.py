"""Packages of the base that are to go, or to give way to others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import solv

from layer.errors import InvalidInput, NotFound, Unsolvable
from layer.frozen import dataclass
from layer.model import Nevra, Request, RequestKind
from layer.overrides import Overrides
from layer.solver.pool import SOURCE_ARCHES, Offer, nevra

_HINT = "take them away too: layer override remove {}"
_WAIT = "leave the override out, or ask for another version"


@dataclass(frozen=True, slots=True)
class Wish:
    """A request with everything that would fulfil it."""

    request: Request
    candidates: tuple[solv.XSolvable, ...]

    @property
    def ids(self) -> frozenset[int]:
        """The candidates' numbers in the pool."""
        return frozenset(each.id for each in self.candidates)


@dataclass(frozen=True, slots=True)
class Overridden:
    """What overrides come to: what goes, what is to take places, which may not come back.

    `places` holds the packages of the base by the request of what takes their place.
    """

    removed: tuple[solv.XSolvable, ...]
    places: tuple[tuple[Wish, tuple[solv.XSolvable, ...]], ...]
    forbidden: tuple[solv.XSolvable, ...]
    inactive: tuple[str, ...]

    @property
    def gone(self) -> frozenset[int]:
        """The numbers of all packages of the base that go."""
        replaced = (each.id for _, old in self.places for each in old)
        return frozenset([*(each.id for each in self.removed), *replaced])

    def replaced(
        self, chosen: list[solv.XSolvable]
    ) -> tuple[tuple[tuple[Nevra, Nevra], ...], tuple[Nevra, ...]]:
        """Which package took which one's place, and the new ones that are older."""
        pairs, older = set(), set()
        for wish, places in self.places:
            for new in (each for each in chosen if each.id in wish.ids):
                for old in places:
                    pairs.add((nevra(old), nevra(new)))
                    if new.evrcmp(old) < 0:
                        older.add(nevra(new))
        return tuple(sorted(pairs)), tuple(sorted(older))


def override(offer: Offer, overrides: Overrides) -> Overridden:
    """Takes the packages that overrides name out of the base; NotFound for a missing replacement.

    From here on the offer does not count them as the base's.
    """
    removed: list[solv.XSolvable] = []
    forbidden: list[solv.XSolvable] = []
    inactive = []
    for name in overrides.removed:
        present = [each for each in offer.named(name) if each.isinstalled()]
        removed += present
        if present:
            forbidden += [each for each in offer.named(name) if not each.isinstalled()]
        else:
            inactive.append(f"remove {name}: the base has no such package")
    places = []
    for request in overrides.requests:
        found_places, why = _places(offer, request, _replacements(offer, request))
        places += found_places
        if why:
            inactive.append(f"replace {request.label}: {why}")
    found = Overridden(tuple(removed), tuple(places), tuple(forbidden), tuple(sorted(inactive)))
    offer.gone = found.gone
    return found


def file_candidates(offer: Offer, text: str) -> list[solv.XSolvable]:
    """The very file `SHA-256:NEVRA`, and packages of the base that are as new."""
    checksum, _, name = text.partition(":")
    named = offer.named(Nevra.parse(name).name)
    ours = [each for each in named if not each.isinstalled() and offer.checksum(each) == checksum]
    return ours + [
        each
        for each in named
        if offer.is_in_base(each)
        and any(each.arch == own.arch and each.evrcmp(own) >= 0 for own in ours)
    ]


def dependents(offer: Offer, overridden: Overridden) -> Unsolvable | None:
    """The error that names all packages of the base that need what goes, one after another."""
    if not overridden.gone:
        return None
    gone = set(overridden.gone)
    banned = {each.id for each in overridden.forbidden}
    lines: dict[str, str] = {}
    while True:
        more = dict(_broken(offer, frozenset(gone), frozenset(gone | banned)))
        if not more:
            break
        gone |= more.keys()
        names = {offer.pool.solvables[id_].name for id_ in more}
        banned |= {each.id for name in names for each in offer.named(name)}
        lines |= {offer.pool.solvables[id_].name: line for id_, line in more.items()}
    if not lines:
        return None
    all_names = {*(each.name for each in overridden.removed), *lines}
    hint = _WAIT if overridden.places else _HINT.format(" ".join(sorted(all_names)))
    return Unsolvable("\n".join(sorted(lines.values())), hint)


def _broken(
    offer: Offer, gone: frozenset[int], unavailable: frozenset[int]
) -> Iterator[tuple[int, str]]:
    """Packages of the base that lose what they need, with a sentence for each."""
    pool = offer.pool
    for each in pool.installed.solvables:
        if each.id in gone:
            continue
        for dependency in each.lookup_deparray(solv.SOLVABLE_REQUIRES, 0):
            providers = list(pool.whatprovides(dependency))
            had = sorted(str(p) for p in providers if p.id in gone and p.isinstalled())
            if had and all(p.id in unavailable for p in providers):
                yield each.id, f"{each} of the base needs {dependency}, which only {had[0]} has"
                break


def _replacements(offer: Offer, request: Request) -> list[solv.XSolvable]:
    """What may take a place: the very file, or a repository's packages of that name."""
    if request.text != request.label and not request.text.startswith("repo="):
        found = [e for e in file_candidates(offer, request.text) if not e.isinstalled()]
    else:
        repository = request.text.removeprefix("repo=").partition(",")[0]
        is_any = repository == request.text
        _accept_arches_of_base(offer, request.label)
        found = [
            each
            for each in offer.named(request.label)
            if not each.isinstalled()
            and (each.id in offer.locked or is_any or each.repo.name == repository)
        ]
        found = [each for each in found if each.arch not in SOURCE_ARCHES and each.installable()]
    if not found:
        where = request.text.removesuffix(f",{request.label}").replace("repo=", "repository ")
        who = "no enabled repository has" if where == request.text else f"{where} has no"
        raise NotFound(
            f"{who} {request.label}", "check the name and which repositories are enabled"
        )
    return found


def _accept_arches_of_base(offer: Offer, name: str) -> None:
    """Lets packages for a second architecture be had where the base has this one for it, too."""
    if len({each.arch for each in offer.named(name) if each.isinstalled()}) > 1:
        offer.accept_other_arches()


def _places(
    offer: Offer, request: Request, candidates: Sequence[solv.XSolvable]
) -> tuple[list[tuple[Wish, tuple[solv.XSolvable, ...]]], str]:
    """Packages of the base with what takes their places, or why there are none.

    Where the base has a package for several architectures, each gives way to its own: what no
    candidate is of stays as it is, as with rpm.
    """
    present = [each for each in offer.named(candidates[0].name) if each.isinstalled()]
    if not present:
        return [], "the base has no such package"
    both = {each.arch for each in present} & {each.arch for each in candidates}
    groups = [(arch,) for arch in sorted(both)] if len(both) > 1 else [tuple(both)]
    places = []
    for arches in groups:
        # None in common: a package can become noarch, or cease to be.
        old = tuple(each for each in present if not arches or each.arch in arches)
        new = tuple(each for each in candidates if len(groups) == 1 or each.arch in arches)
        newest = max(new, key=_by_version)
        if not any(each.arch == newest.arch and each.evrcmp(newest) == 0 for each in old):
            places.append((Wish(request, new), old))
    return places, "" if places else "the base has the same version"


class _by_version:  # noqa: N801  # a key for max()
    """Orders packages as rpm does."""

    def __init__(self, solvable: solv.XSolvable) -> None:
        self.solvable = solvable

    def __lt__(self, other: _by_version) -> bool:
        return bool(self.solvable.evrcmp(other.solvable) < 0)


def check_architecture(offer: Offer, requests: Iterable[Request]) -> None:
    """InvalidInput names all files whose architecture the base cannot run."""
    kinds = (RequestKind.FILE, RequestKind.REPLACEMENT)
    wanted = {r.text.partition(":")[0] for r in requests if r.kind in kinds}
    files = [offer.pool.solvables[id_] for id_, sum_ in offer.locked.items() if sum_ in wanted]
    if any(_is_unfit(offer, each) for each in files):
        offer.accept_other_arches()  # who names a file of i686 means it
    lines = {
        f"{each} is of another architecture than the base, {offer.arch}"
        for each in files
        if _is_unfit(offer, each)
    }
    if lines:
        raise InvalidInput("\n".join(sorted(lines)), "take the package for this architecture")


def _is_unfit(offer: Offer, file: solv.XSolvable) -> bool:
    return file.arch in SOURCE_ARCHES or file.id not in {one.id for one in offer.named(file.name)}
