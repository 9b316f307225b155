"""Questions about all packages that are known: of the base, of the lock, of repositories."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from functools import cmp_to_key
from pathlib import Path

import solv

from layer.answers import Facts, Place, Provider, Sighting, forms, is_glob
from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.model import BaseState, LockedPackage, Nevra, RepositoryMetadata, Request, RequestKind
from layer.paths import header_paths, tree_paths
from layer.solver.loading import Loader
from layer.solver.pool import PRETENDED, SOURCE_ARCHES, Offer, nevra
from layer.solver.requests import candidates, needs_filelists

_RELATIONS = (
    ("Requires", solv.SOLVABLE_REQUIRES),
    ("Recommends", solv.SOLVABLE_RECOMMENDS),
    ("Suggests", solv.SOLVABLE_SUGGESTS),
    ("Supplements", solv.SOLVABLE_SUPPLEMENTS),
    ("Enhances", solv.SOLVABLE_ENHANCES),
    ("Conflicts", solv.SOLVABLE_CONFLICTS),
    ("Obsoletes", solv.SOLVABLE_OBSOLETES),
    ("Provides", solv.SOLVABLE_PROVIDES),
)
_GLOB_BEGINS = re.compile(r"[*?\[]")
_MARKER = "solvable:"  # what libsolv puts between dependencies that are of %pre and others


@dataclass(frozen=True, slots=True)
class Known:
    """What may be asked about; `gone` are packages of the base that are not in the tree."""

    base: BaseState
    metadata: Sequence[RepositoryMetadata]
    lock: Sequence[LockedPackage]
    locked_headers: Mapping[str, Path]
    gone: frozenset[Nevra] = frozenset()
    loader: Loader = field(default_factory=Loader)


def sightings(known: Known, words: Sequence[str] = ()) -> tuple[Sighting, ...]:
    """Every package that may have the words in its name or its summary, and perhaps others.

    Of one name and architecture what is in the tree comes first, then the newest.
    """
    offer = _open(known, with_filelists=False)
    return tuple(sighting for sighting, _ in _sighted(known, offer, _names_with(offer, words)))


def names(known: Known) -> frozenset[str]:
    """The names of all packages, wherever they are."""
    offer = _open(known, with_filelists=False)
    return frozenset(str(each.name) for each in offer.pool.solvables) - {PRETENDED}


def facts(known: Known, patterns: Sequence[str], *, with_files: bool) -> tuple[Facts, ...]:
    """All about the packages that the patterns fit.

    Of one name and architecture that is what is in the tree, and the newest on offer.
    """
    offer = _open(known, with_filelists=with_files)
    chosen: dict[tuple[str, str, bool], Facts] = {}
    for sighting, twins in _sighted(known, offer, _names_like(offer, patterns)):
        written = forms(sighting.nevra)
        if not any(fnmatchcase(form, pattern) for form in written for pattern in patterns):
            continue
        is_here = sighting.place is not Place.AVAILABLE
        key = (sighting.nevra.name, sighting.nevra.arch, is_here)
        if key not in chosen:
            chosen[key] = _facts(offer, sighting, twins, with_files=with_files)
    return tuple(chosen.values())


def providers(known: Known, word: str) -> tuple[Provider, ...]:
    """The packages that have a path, a file name or a capability; patterns are fine.

    A word that is no path and no capability is taken for the name of a file.
    """
    if "/" in word:
        is_listed = not is_glob(word) and not needs_filelists(Request(RequestKind.PATH, word))
        offer = _open(known, with_filelists=not is_listed)
        return _providers(known, offer, [*_with_path(offer, word), *_with_capability(offer, word)])
    offer = _open(known, with_filelists=False)
    found = _providers(known, offer, _with_capability(offer, word))
    if found:
        return found
    offer = _open(known, with_filelists=True)
    return _providers(known, offer, _with_path(offer, f"*/{word}"))


def _open(known: Known, *, with_filelists: bool) -> Offer:
    """The one place where packages are read, of all architectures that the base can run."""
    offer = known.loader.load(
        known.base,
        known.metadata,
        known.lock,
        known.locked_headers,
        with_filelists=with_filelists,
    )
    offer.accept_other_arches()
    return offer


def _sighted(
    known: Known, offer: Offer, names: Collection[str] | None
) -> Iterator[tuple[Sighting, list[solv.XSolvable]]]:
    """Each package of these names, None for all, with what stands for it in the pool, by name.

    Whoever asks for few names waits less: each package costs more than all of libsolv's search.
    """
    named: dict[tuple[str, str], list[solv.XSolvable]] = {}
    for each in offer.pool.solvables:
        name = each.name
        if (names is not None and name not in names) or name == PRETENDED:
            continue
        if each.arch not in SOURCE_ARCHES:
            named.setdefault((name, each.arch), []).append(each)
    for _, group in sorted(named.items()):
        by_nevra: dict[Nevra, list[solv.XSolvable]] = {}
        for each in sorted(group, key=cmp_to_key(_newest_first)):
            if (name := _name(each)) is not None:
                by_nevra.setdefault(name, []).append(each)
        pairs = [(_sighting(known, offer, n, twins), twins) for n, twins in by_nevra.items()]
        yield from sorted(pairs, key=lambda pair: _is_outside(pair[0]))


def _names_with(offer: Offer, words: Iterable[str]) -> set[str] | None:
    """The names of all packages with one of the words in name or summary, None where all may be.

    libsolv knows only of letters of ASCII which are small and which are not.
    """
    plain = [word for word in words if word.isascii() and not is_glob(word)]
    if not plain:
        return None
    rarest = max(plain, key=len)
    flags = solv.Dataiterator.SEARCH_SUBSTRING | solv.Dataiterator.SEARCH_NOCASE
    return {
        str(match.solvable.name)
        for key in (solv.SOLVABLE_NAME, solv.SOLVABLE_SUMMARY)
        for match in offer.pool.Dataiterator(key, rarest, flags)
    }


def _names_like(offer: Offer, patterns: Iterable[str]) -> set[str]:
    """The names of all packages that patterns may fit, whose `forms` begin with the name."""
    whole = [pattern for pattern in patterns if not is_glob(pattern)]
    begun = [_GLOB_BEGINS.split(pattern)[0] for pattern in patterns if is_glob(pattern)]
    return {
        name
        for name in {str(each.name) for each in offer.pool.solvables}
        if any(pattern.startswith(name) for pattern in (*whole, *begun))
        or any(name.startswith(start) for start in begun)
    }


def _newest_first(one: solv.XSolvable, other: solv.XSolvable) -> int:
    return int(other.evrcmp(one))


def _is_outside(sighting: Sighting) -> bool:
    return sighting.place not in (Place.LAYERED, Place.BASE)


def _name(solvable: solv.XSolvable) -> Nevra | None:
    """None for what metadata made up: it can never be layered."""
    try:
        return nevra(solvable)
    except InvalidInput:
        return None


def _sighting(known: Known, offer: Offer, name: Nevra, twins: Sequence[solv.XSolvable]) -> Sighting:
    repositories = sorted(
        {offer.repositories[t.repo.id].id for t in twins if t.repo.id in offer.repositories}
    )
    if any(twin.id in offer.locked for twin in twins):
        place = Place.LAYERED
    elif any(twin.isinstalled() for twin in twins):
        place = Place.REMOVED if name in known.gone else Place.BASE
    else:
        place = Place.AVAILABLE
    summary = _first(twins, solv.SOLVABLE_SUMMARY)
    return Sighting(name, place, tuple(repositories), summary)


def _facts(
    offer: Offer, sighting: Sighting, twins: Sequence[solv.XSolvable], *, with_files: bool
) -> Facts:
    # What is in the tree says what it is; what is on offer, how much there is to fetch.
    here = sorted(twins, key=lambda twin: twin.repo.id in offer.repositories)
    location = next((str(t.lookup_location()[0] or "") for t in reversed(here)), "")
    return Facts(
        sighting,
        description=_first(here, solv.SOLVABLE_DESCRIPTION),
        license=_first(here, solv.SOLVABLE_LICENSE),
        url=_first(here, solv.SOLVABLE_URL),
        vendor=_first(here, solv.SOLVABLE_VENDOR),
        packager=_first(here, solv.SOLVABLE_PACKAGER),
        group=_first(here, solv.SOLVABLE_GROUP),
        source=next((str(t.lookup_sourcepkg()) for t in here if t.lookup_sourcepkg()), ""),
        build_time=_largest(here, solv.SOLVABLE_BUILDTIME),
        build_host=_first(here, solv.SOLVABLE_BUILDHOST),
        size=_largest(here, solv.SOLVABLE_DOWNLOADSIZE),
        installed_size=_largest(here, solv.SOLVABLE_INSTALLSIZE),
        checksum=next((c for c in map(offer.checksum, here) if c), ""),
        location=location if sighting.repositories else "",
        relations=tuple(_relations(here[0])),
        files=_files(here) if with_files else None,
    )


def _relations(solvable: solv.XSolvable) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, key in _RELATIONS:
        marker = 0 if key == solv.SOLVABLE_REQUIRES else -1  # 0: %pre's too
        texts = sorted({str(each) for each in solvable.lookup_deparray(key, marker)})
        kept = tuple(text for text in texts if not text.startswith(_MARKER))
        if kept:
            yield name, kept


def _files(twins: Sequence[solv.XSolvable]) -> tuple[str, ...]:
    flags = solv.Dataiterator.SEARCH_FILES | solv.Dataiterator.SEARCH_COMPLETE_FILELIST
    return tuple(
        sorted(
            {
                str(match.str)
                for each in twins
                for match in each.Dataiterator(solv.SOLVABLE_FILELIST, None, flags)
            }
        )
    )


def _first(twins: Iterable[solv.XSolvable], key: int) -> str:
    # libsolv says "<NULL>" of a vendor whose tag is there and empty.
    texts = (t.lookup_str(key) for t in twins)
    return next((str(text) for text in texts if text and text != "<NULL>"), "")


def _largest(twins: Iterable[solv.XSolvable], key: int) -> int:
    return max(int(twin.lookup_num(key)) for twin in twins)


def _with_path(offer: Offer, word: str) -> Iterator[tuple[solv.XSolvable, str]]:
    """Packages that list a path, also by the other name that a merged /usr gives it."""
    names = [name for place in tree_paths(word) for name in header_paths(place)]
    flags = solv.Dataiterator.SEARCH_FILES | solv.Dataiterator.SEARCH_COMPLETE_FILELIST
    flags |= solv.Dataiterator.SEARCH_GLOB if is_glob(word) else solv.Dataiterator.SEARCH_STRING
    for name in dict.fromkeys([word, *names]):
        for match in offer.pool.Dataiterator(solv.SOLVABLE_FILELIST, name, flags):
            yield match.solvable, str(match.str)


def _with_capability(offer: Offer, word: str) -> Iterator[tuple[solv.XSolvable, str]]:
    if is_glob(word):
        found: Iterable[solv.XSolvable] = offer.pool.solvables
    else:
        found = candidates(offer, Request(RequestKind.PROVIDE, word))
    for each in found:
        texts = [str(text) for text in each.lookup_deparray(solv.SOLVABLE_PROVIDES, -1)]
        fitting = [text for text in texts if fnmatchcase(text.split(" ")[0], word)]
        if not is_glob(word):
            name = word.split(" ")[0].rstrip("<>=")
            fitting = [text for text in texts if text.split(" ")[0] == name]
        yield from ((each, text) for text in fitting)


def _providers(
    known: Known, offer: Offer, found: Iterable[tuple[solv.XSolvable, str]]
) -> tuple[Provider, ...]:
    """One for each package that is there, with all that fits; what is in the tree first."""
    what: dict[Nevra, set[str]] = {}
    for each, text in found:
        name = _name(each)
        if name is not None and each.arch not in SOURCE_ARCHES and each.name != PRETENDED:
            what.setdefault(name, set()).add(text)
    if not what:
        return ()
    listed = [
        Provider(sighting, tuple(sorted(what[sighting.nevra])))
        for sighting, _ in _sighted(known, offer, {nevra.name for nevra in what})
        if sighting.nevra in what
    ]
    return tuple(sorted(listed, key=lambda one: _is_outside(one.sighting)))
