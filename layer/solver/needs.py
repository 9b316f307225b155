"""Which packages of a tree need which others of it, by their own dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import solv

from layer.grouped import spread
from layer.model import Request
from layer.reasons import Need, Needs
from layer.solver.asking import Known
from layer.solver.conditions import wanted_parts
from layer.solver.pool import Offer, nevra
from layer.solver.requests import candidates, providers

# What brings a package along: in rpm's words, where libsolv keeps it, and whether it is weak.
_KINDS = (
    ("Requires", solv.SOLVABLE_REQUIRES, False),
    ("Recommends", solv.SOLVABLE_RECOMMENDS, True),
    ("Supplements", solv.SOLVABLE_SUPPLEMENTS, True),
)


def read_needs(known: Known, requests: Sequence[Request]) -> Needs:
    """Who needs whom among the base and the lock; no repository is asked."""
    offer = known.loader.load(known.base, (), known.lock, known.locked_headers, with_filelists=True)
    offer.accept_other_arches()
    present = {
        each.id: nevra(each)
        for each in offer.pool.solvables
        if each.id in offer.locked or (each.isinstalled() and nevra(each) not in known.gone)
    }
    layered = {name for id_, name in present.items() if id_ in offer.locked}
    links = {
        Need(present[by.id], present[of.id], is_weak, kind, text)
        for each in offer.pool.solvables
        if each.id in present
        for by, of, is_weak, kind, text in _links(offer, each)
        if by.id in present and of.id in present and present[by.id] != present[of.id]
    }
    asked = {
        (request, present[each.id])
        for request in requests
        for part in spread([request])
        for each in candidates(offer, part)
        if each.id in present
    }
    return Needs(
        layered=tuple(sorted(layered)),
        base=tuple(sorted(set(present.values()) - layered)),
        links=tuple(sorted(links)),
        asked=tuple(sorted(asked, key=lambda pair: (pair[0].text, pair[1]))),
    )


_Link = tuple[solv.XSolvable, solv.XSolvable, bool, str, str]


def _links(offer: Offer, each: solv.XSolvable) -> Iterator[_Link]:
    for kind, key, is_weak in _KINDS:
        marker = 0 if key == solv.SOLVABLE_REQUIRES else -1  # 0: %pre's too
        for dependency in each.lookup_deparray(key, marker):
            text = str(dependency)
            for other in _answering(offer, dependency, text):
                # Who supplements another comes along with it: the link is the other way round.
                by, of = (other, each) if kind == "Supplements" else (each, other)
                yield by, of, is_weak, kind, text


def _answering(offer: Offer, dependency: solv.Dep, text: str) -> Iterator[solv.XSolvable]:
    if not text.startswith("("):
        yield from offer.pool.whatprovides(dependency)
        return
    for part in wanted_parts(text):
        yield from providers(offer, part)
