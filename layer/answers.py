"""Answers about packages: which there are, what they say of themselves, where they are."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from layer.frozen import dataclass
from layer.model import Nevra

_GLOB = "*?["


class Place(enum.Enum):
    """Where a package is: the values are what people and programs are told."""

    LAYERED = "layered"
    BASE = "base"
    REMOVED = "removed"
    AVAILABLE = "available"


class Quality(enum.Enum):
    """How well words fit a package, the best first."""

    EXACT = "name, exactly"
    BOTH = "name and summary"
    NAME = "name"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A package, the best place where it is, and the ids of the repositories that offer it."""

    nevra: Nevra
    place: Place
    repositories: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Match:
    """A package that words were found in."""

    sighting: Sighting
    quality: Quality


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a package says of itself; `size`, `checksum` and `location` are its repository's.

    `relations` are kinds of dependencies in rpm's words, each with its texts. `files` are None
    where they were not asked for. Sizes are bytes, 0 and "" stand for what nobody says.
    """

    sighting: Sighting
    description: str = ""
    license: str = ""
    url: str = ""
    vendor: str = ""
    packager: str = ""
    group: str = ""
    source: str = ""
    build_time: int = 0
    build_host: str = ""
    size: int = 0
    installed_size: int = 0
    checksum: str = ""
    location: str = ""
    relations: tuple[tuple[str, tuple[str, ...]], ...] = ()
    files: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a package is to a machine: the requests that name it, and why it cannot come.

    `signer` is the id of the key that has signed what is layered, "" where none has; else None.
    """

    facts: Facts
    requests: tuple[str, ...] = ()
    blocked: str = ""
    signer: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A package that has what was asked for; `what` are its paths or capabilities that fit."""

    sighting: Sighting
    what: tuple[str, ...]


def is_glob(word: str) -> bool:
    """Whether a word is a shell pattern."""
    return any(character in word for character in _GLOB)


def forms(nevra: Nevra) -> tuple[str, ...]:
    """The ways to write a package, from the name alone to the NEVRA."""
    return (nevra.name, f"{nevra.name}.{nevra.arch}", f"{nevra.name}-{nevra.evr}", str(nevra))


def search(words: Sequence[str], sightings: Iterable[Sighting]) -> tuple[Match, ...]:
    """The packages with all of the words in name or summary, the best first.

    Of packages that share name and architecture the first is taken. Case does not matter, and a
    word may be a shell pattern for the whole of the name or of the summary.
    """
    wanted = [word.lower() for word in words]
    found: dict[tuple[str, str], Match] = {}
    for sighting in sightings:
        key = (sighting.nevra.name, sighting.nevra.arch)
        quality = _quality(wanted, sighting) if key not in found else None
        if quality is not None:
            found[key] = Match(sighting, quality)
    ranks = {quality: rank for rank, quality in enumerate(Quality)}

    def order(match: Match) -> tuple[int, bool, str, str]:
        name = match.sighting.nevra.name
        begins = any(name.lower().startswith(word) for word in wanted)
        return ranks[match.quality], not begins, name, match.sighting.nevra.arch

    return tuple(sorted(found.values(), key=order))


def search_as_json(matches: Iterable[Match]) -> dict[str, Any]:
    """The object that `layer search --json` prints."""
    return {
        "packages": [{**_sighting(m.sighting), "match": m.quality.name.lower()} for m in matches]
    }


def info_as_json(standings: Iterable[Standing]) -> dict[str, Any]:
    """The object that `layer info --json` prints; what nobody says is null."""
    return {"packages": [_facts(standing) for standing in standings]}


def provides_as_json(found: Iterable[tuple[str, Sequence[Provider]]]) -> dict[str, Any]:
    """The object that `layer provides --json` prints: words with who has it."""
    return {
        word: [{**_sighting(p.sighting), "provides": list(p.what)} for p in providers]
        for word, providers in found
    }


def _quality(words: Sequence[str], sighting: Sighting) -> Quality | None:
    name, summary = sighting.nevra.name.lower(), sighting.summary.lower()
    if list(words) == [name]:
        return Quality.EXACT
    in_name = [_fits(word, name) for word in words]
    in_summary = [_fits(word, summary) for word in words]
    if not all(a or b for a, b in zip(in_name, in_summary, strict=True)):
        return None
    if all(in_name):
        return Quality.BOTH if all(in_summary) else Quality.NAME
    return Quality.SUMMARY


def _fits(word: str, text: str) -> bool:
    return fnmatchcase(text, word) if is_glob(word) else word in text


def _sighting(sighting: Sighting) -> dict[str, Any]:
    nevra = sighting.nevra
    return {
        "nevra": str(nevra),
        "name": nevra.name,
        "evr": nevra.evr,
        "arch": nevra.arch,
        "summary": sighting.summary,
        "place": sighting.place.value,
        "repositories": list(sighting.repositories),
    }


def _facts(standing: Standing) -> dict[str, Any]:
    facts = standing.facts
    return {
        **_sighting(facts.sighting),
        "requests": list(standing.requests),
        "blocked": standing.blocked or None,
        **({} if standing.signer is None else {"signed-with": standing.signer or None}),
        "description": facts.description or None,
        "license": facts.license or None,
        "url": facts.url or None,
        "vendor": facts.vendor or None,
        "packager": facts.packager or None,
        "group": facts.group or None,
        "source": facts.source or None,
        "build-time": facts.build_time or None,
        "build-host": facts.build_host or None,
        "size": facts.size or None,
        "installed-size": facts.installed_size or None,
        "checksum": facts.checksum or None,
        "location": facts.location or None,
        "relations": {kind: list(texts) for kind, texts in facts.relations},
        **({} if facts.files is None else {"files": list(facts.files)}),
    }
