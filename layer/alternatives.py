"""Alternatives: which program a name leads to, of several; decides, touches nothing.

What `update-alternatives` does while packages are installed, without its database: the link
leads to /etc/alternatives/NAME, and that to the offer with the highest priority. An admin's
own choice is an edit in /etc and stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from layer.audit.verdict import Alternative
from layer.errors import InvalidInput

RECORD = "usr/share/layer/alternatives.json"  # what the packages of a tree offer
FOLDER = "/etc/alternatives"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where a name leads: `link` to /etc/alternatives/`name`, and that to `path`."""

    link: str
    name: str
    path: str


def choose(offers: Iterable[Alternative], is_there: Callable[[str], bool]) -> tuple[Chosen, ...]:
    """The links that the offers make, sorted by name; paths are absolute.

    Of each name the highest priority counts, then the first path; what does not exist in
    the tree is no choice, neither as the name itself nor as one of its slaves.
    """
    groups: dict[str, list[Alternative]] = {}
    for offer in offers:
        if is_there(offer.path):
            groups.setdefault(offer.name, []).append(offer)
    chosen: dict[str, Chosen] = {}
    for name in sorted(groups):
        best = min(groups[name], key=lambda offer: (-offer.priority, offer.path))
        chosen.setdefault(name, Chosen(best.link, name, best.path))
        for link, slave, path in best.slaves:
            if is_there(path):
                chosen.setdefault(slave, Chosen(link, slave, path))
    return tuple(chosen[name] for name in sorted(chosen))


def names_of(offers: Iterable[Alternative]) -> Mapping[str, tuple[str, ...]]:
    """Every name that offers speak of, slaves too, and the links that lead to it."""
    found: dict[str, set[str]] = {}
    for offer in offers:
        found.setdefault(offer.name, set()).add(offer.link)
        for link, slave, _ in offer.slaves:
            found.setdefault(slave, set()).add(link)
    return {name: tuple(sorted(links)) for name, links in sorted(found.items())}


def format_record(offers: Iterable[Alternative]) -> str:
    """The text of the record in a tree; the same offers give the same text."""
    rows = sorted(
        [o.name, o.link, o.path, o.priority, sorted([*slave] for slave in o.slaves)]
        for o in set(offers)
    )
    return json.dumps({"alternatives": rows, "schema": SCHEMA}, indent=1, sort_keys=True) + "\n"


def parse_record(text: str, source: str) -> tuple[Alternative, ...]:
    """What the packages of a tree offer; InvalidInput for what is no such record."""
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise InvalidInput(f"{source} has schema {document['schema']}; known is {SCHEMA}")
        return tuple(
            Alternative(link, name, path, int(priority), tuple((a, b, c) for a, b, c in slaves))
            for name, link, path, priority, slaves in document["alternatives"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{source} is no record of alternatives: {error!r}") from error
