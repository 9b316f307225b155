"""Questions about packages, in the base, in the layers and in the repositories; no root needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from layer.answers import (
    Facts,
    Match,
    Place,
    Provider,
    Standing,
    is_glob,
    search,
)
from layer.errors import InvalidInput, NotFound, Unsolvable
from layer.fetch.groups import read_groups
from layer.frozen import dataclass
from layer.groups import Catalogue, Environment, Group
from layer.host import Host
from layer.model import PackageHeader, Request, RequestKind
from layer.origin import Origin, with_requests
from layer.rpmfile.signatures import open_keyring
from layer.solver import asking
from layer.sources import Sources, open_sources
from layer.status import fulfils, is_asked
from layer.words import did_you_mean, is_utf8, printable


@dataclass(frozen=True, slots=True)
class _Opened:
    """What can be asked on a machine: its sources, and what it asks for itself."""

    known: asking.Known
    sources: Sources
    origin: Origin
    layered: tuple[PackageHeader, ...]


def search_packages(host: Host, words: Sequence[str]) -> tuple[Match, ...]:
    """The packages with all of the words in name or summary; NotFound for none."""
    _require_words(words)
    with _opened(host) as opened:
        found = search(words, asking.sightings(opened.known, words))
        if not found:
            usual = "try fewer or other words; `layer provides` finds files"
            raise NotFound(
                f"no package has {' and '.join(words)} in its name or summary",
                did_you_mean(words, asking.names(opened.known), otherwise=usual),
            )
    return found


def describe_packages(
    host: Host, patterns: Sequence[str], *, with_files: bool = False
) -> tuple[Standing, ...]:
    """All about the packages that these words name; NotFound names each that none has."""
    _require_words(patterns)
    with _opened(host) as opened:
        found = [
            (pattern, asking.facts(opened.known, [pattern], with_files=with_files))
            for pattern in dict.fromkeys(patterns)
        ]
        unknown = [word for word, facts in found if not facts]
        _refuse_unknown("no package is named", unknown, opened)
        return tuple(
            _standing(opened, facts, is_tried=not is_glob(pattern))
            for pattern, several in found
            for facts in several
        )


def find_providers(
    host: Host, words: Sequence[str]
) -> tuple[tuple[str, tuple[Provider, ...]], ...]:
    """Who has each path, file name or capability; NotFound names each that nobody has."""
    _require_words(words)
    with _opened(host) as opened:
        found = tuple((word, asking.providers(opened.known, word)) for word in dict.fromkeys(words))
        unknown = [word for word, providers in found if not providers]
        _refuse_unknown("nothing provides", unknown, opened)
    return found


def list_groups(host: Host) -> Catalogue:
    """All groups and environments of the enabled repositories; NotFound where there is none."""
    with _opened(host) as opened:
        found = read_groups(opened.sources.metadata)
    if not (found.groups or found.environments):
        raise NotFound("no enabled repository lists groups", "`layer repo list` shows them")
    return found


def describe_groups(
    host: Host, words: Sequence[str]
) -> tuple[tuple[Group | Environment, tuple[Group, ...]], ...]:
    """Groups and environments by id or name, each with the groups that it comes to."""
    catalogue = list_groups(host)
    found = [catalogue.find(word) for word in dict.fromkeys(words)]
    return tuple((one, catalogue.groups_of(one)) for one in found)


@contextmanager
def _opened(host: Host) -> Iterator[_Opened]:
    pending = host.require_pending()
    base, lock = host.base_commit(pending), host.lock_of(pending)
    with open_sources(host, base, lock, needs_repositories=True) as sources:
        known = asking.Known(
            sources.base,
            sources.metadata,
            lock.packages,
            sources.locked_headers,
            frozenset(lock.gone),
            sources.loader,
        )
        yield _Opened(known, sources, host.origin(pending), host.layered_headers())


def _standing(opened: _Opened, facts: Facts, *, is_tried: bool) -> Standing:
    """What is asked for of it; where it `is_tried`, whether it could be layered."""
    nevra, origin = facts.sighting.nevra, opened.origin
    header = next((h for h in opened.layered if h.nevra == nevra), None)
    requests = [
        request
        for request in origin.asked
        if (fulfils(header, request) if header else is_asked(nevra, request))
    ]
    skipped = dict(origin.left_out)
    blocked = next((skipped[r.text] for r in requests if r.text in skipped), "")
    if not blocked and is_tried and facts.sighting.place is Place.AVAILABLE:
        blocked = _why_not(opened, Request(RequestKind.PACKAGE, str(nevra)))
    return Standing(
        facts, tuple(request.label for request in requests), blocked, _signer(opened, facts)
    )


def _signer(opened: _Opened, facts: Facts) -> str | None:
    path = opened.sources.locked_headers.get(facts.checksum)
    if facts.sighting.place is not Place.LAYERED or path is None:
        return None
    with open_keyring(()) as ring:
        return ring.signer(path)


def _why_not(opened: _Opened, request: Request) -> str:
    """Why a package cannot be layered beside what is; "" where it can."""
    try:
        after = with_requests(opened.origin, [request])
        opened.sources.resolve(after, (), allow_inactive=True)
    except (Unsolvable, NotFound, InvalidInput) as error:
        return error.message
    return ""


def _require_words(words: Sequence[str]) -> None:
    if any(not word.strip() for word in words):
        raise InvalidInput("an empty word names nothing")
    for word in words:
        if not is_utf8(word):
            raise InvalidInput(f"{printable(word)} is not UTF-8, as every name is")


def _refuse_unknown(fact: str, words: Sequence[str], opened: _Opened) -> None:
    if words:
        usual = "`layer search WORD` looks into summaries too"
        hint = did_you_mean(words, asking.names(opened.known), otherwise=usual)
        raise NotFound(f"{fact} {', '.join(words)}", hint)
