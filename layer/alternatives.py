"""Alternatives: which program a name leads to, of several; decides, touches nothing.

What `update-alternatives` does while packages are installed, without its database: the link
leads to /etc/alternatives/NAME, and that to the offer with the highest priority. An admin's
own choice is an edit in /etc and stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from layer.audit.verdict import Alternative
from layer.errors import InvalidInput
from layer.frozen import dataclass

RECORD = "usr/share/layer/alternatives.json"  # what the packages of a tree offer
FOLDER = "/etc/alternatives"
SCHEMA = 1
_MODES = ("auto", "manual")
_FAMILY = re.compile(r"^@[^@]*@")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where a name leads: `link` to /etc/alternatives/`name`, and that to `path`."""

    link: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Administered:
    """What an admin file says of a name: the offers, and whether somebody chose among them."""

    offers: tuple[Alternative, ...]
    is_manual: bool


def choose(
    offers: Iterable[Alternative],
    is_there: Callable[[str], bool],
    earlier: Collection[Alternative] = (),
) -> tuple[Chosen, ...]:
    """The links that the offers make, sorted by name; paths are absolute.

    Of each name the highest priority counts, then what is among the `earlier`, then the first
    path; what does not exist in the tree is no choice, neither as the name itself nor as one of
    its slaves.
    """
    groups: dict[str, list[Alternative]] = {}
    for offer in offers:
        if is_there(offer.path):
            groups.setdefault(offer.name, []).append(offer)
    chosen: dict[str, Chosen] = {}
    for name in sorted(groups):
        best = min(
            groups[name], key=lambda offer: (-offer.priority, offer not in earlier, offer.path)
        )
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


def parse_admin_file(text: str, name: str) -> Administered | None:
    """What `update-alternatives` or Fedora's `alternatives` noted of a name; None if nothing.

    Mode, link, name and link of each slave, an empty line; then of each offer its path, its
    priority and a line for each slave. Fedora's may put @FAMILY@ before a path, and the name of a
    service behind a priority.
    """
    lines = iter(text.splitlines())
    try:
        mode, link = next(lines), next(lines)
        slaves = []
        while slave := next(lines):
            slaves.append((slave, next(lines)))
        offers = []
        while path := next(lines, ""):
            priority = int(next(lines).split()[0])
            targets = [next(lines, "") for _ in slaves]
            links = tuple(
                (slave_link, slave, target)
                for (slave, slave_link), target in zip(slaves, targets, strict=True)
                if target
            )
            offers.append(Alternative(link, name, _FAMILY.sub("", path), priority, links))
    except (StopIteration, ValueError, IndexError):
        return None
    paths = [link, *(o.path for o in offers)]
    paths += [path for o in offers for where, _, target in o.slaves for path in (where, target)]
    if not offers or mode not in _MODES or not all(path.startswith("/") for path in paths):
        return None
    return Administered(tuple(offers), mode == "manual")


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
            raise InvalidInput(
                f"{source} has schema {document['schema']}; this version knows {SCHEMA}",
                "a newer version of layer wrote it; use that one",
            )
        return tuple(
            Alternative(
                _text(link), _text(name), _text(path), int(priority), tuple(map(_slave, slaves))
            )
            for name, link, path, priority, slaves in document["alternatives"]
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"{source} is no record of alternatives: {error!r}") from error


def _slave(row: Sequence[object]) -> tuple[str, str, str]:
    link, name, path = row
    return _text(link), _text(name), _text(path)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
