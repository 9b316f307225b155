"""Why packages are in a tree: the chains from what was asked for to what came along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import networkx

from layer.frozen import dataclass
from layer.model import Nevra, Request

_WEAK = 1_000_000  # more than all links that a chain can have: a weak one is the last resort


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One package leads to another: by `kind`, in rpm's words, and the dependency's text."""

    by: Nevra
    of: Nevra
    is_weak: bool
    kind: str
    dependency: str


@dataclass(frozen=True, slots=True)
class Needs:
    """Who needs whom in a tree; `asked` are requests with the packages that fulfil them."""

    layered: tuple[Nevra, ...]
    base: tuple[Nevra, ...]
    links: tuple[Need, ...]
    asked: tuple[tuple[Request, Nevra], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """From a request and the package `first` that fulfils it, link by link to the last one."""

    request: Request
    first: Nevra
    links: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a package is there.

    Of a layered one the chains say it, the shortest first. One of the base is part of it;
    `needed_by` are the packages of the tree that need it, or none.
    """

    nevra: Nevra
    is_layered: bool
    chains: tuple[Chain, ...] = ()
    needed_by: tuple[Need, ...] = ()


def reason(needs: Needs, nevra: Nevra, *, is_whole: bool = False) -> Reason:
    """Why a package of the tree is there; `is_whole` has a chain for every request, if any."""
    layered = set(needs.layered)
    if nevra not in layered:
        found = _best(need for need in needs.links if need.of == nevra)
        return Reason(nevra, is_layered=False, needed_by=tuple(sorted(found.values())))
    links = _best(need for need in needs.links if {need.by, need.of} <= layered)
    graph = networkx.DiGraph()
    graph.add_nodes_from(sorted(layered))
    for (by, of), need in sorted(links.items()):
        graph.add_edge(by, of, weight=_WEAK if need.is_weak else 1)
    found_chains = []
    for request, first in sorted(needs.asked, key=lambda pair: (pair[0].text, pair[1])):
        if first in layered and networkx.has_path(graph, first, nevra):
            path = networkx.shortest_path(graph, first, nevra, weight="weight")
            steps = pairwise(path)
            found_chains.append(Chain(request, first, tuple(links[step] for step in steps)))
    found_chains.sort(key=_length)
    return Reason(nevra, is_layered=True, chains=tuple(found_chains[: None if is_whole else 1]))


def as_dot(reasons: Sequence[Reason]) -> str:
    """The same as a graph for Graphviz: requests are boxes, weak dependencies dashed."""
    lines = {f"  {_quoted(one.nevra)} [style=bold];" for one in reasons}
    for chain in (chain for one in reasons for chain in one.chains):
        asked = _quoted(f"asked for: {chain.request.label}")
        lines |= {f"  {asked} [shape=box];", f"  {asked} -> {_quoted(chain.first)};"}
        lines |= {_edge(need) for need in chain.links}
    lines |= {_edge(need) for one in reasons for need in one.needed_by}
    return "\n".join(["digraph why {", "  rankdir=LR;", *sorted(lines), "}"])


def as_json(item: Reason) -> dict[str, Any]:
    """The same for programs."""
    return {
        "package": str(item.nevra),
        "is-layered": item.is_layered,
        "chains": [
            {
                "request": chain.request.label,
                "package": str(chain.first),
                "needs": [_need_as_json(need) for need in chain.links],
            }
            for chain in item.chains
        ],
        "needed-by": [_need_as_json(need) for need in item.needed_by],
    }


def _need_as_json(need: Need) -> dict[str, Any]:
    return {
        "by": str(need.by),
        "of": str(need.of),
        "is-weak": need.is_weak,
        "kind": need.kind,
        "dependency": need.dependency,
    }


def _best(needs: Iterable[Need]) -> dict[tuple[Nevra, Nevra], Need]:
    """Of several links between two packages the strong one, then the first by text."""
    found: dict[tuple[Nevra, Nevra], Need] = {}
    for need in sorted(needs):
        found.setdefault((need.by, need.of), need)
    return found


def _length(chain: Chain) -> tuple[int, int]:
    return sum(need.is_weak for need in chain.links), len(chain.links)


def _edge(need: Need) -> str:
    label = _quoted(f"{need.kind}: {need.dependency}")
    style = ", style=dashed" if need.is_weak else ""
    return f"  {_quoted(need.by)} -> {_quoted(need.of)} [label={label}{style}];"


def _quoted(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
