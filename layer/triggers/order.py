"""In which order triggers run: the same set, always the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from layer.errors import TriggerFailed
from layer.triggers.format import AT_OWNERS, Trigger, trigger_digest


def in_order(triggers: Sequence[Trigger], masked: Collection[str] = ()) -> tuple[Trigger, ...]:
    """By `after` and `before`, and by name where these leave a choice.

    TriggerFailed for names that are neither a trigger's nor in `masked`, for
    two triggers of one name, and for a cycle, which it shows whole.
    """
    by_name = {trigger.name: trigger for trigger in triggers}
    faults = [*_twins(triggers), *_strangers(triggers, {*by_name, *masked, AT_OWNERS})]
    if faults:
        raise TriggerFailed("\n".join(faults))
    waiting = _waiting(triggers)
    try:
        order = _first_by_name(waiting)
    except CycleError as error:
        loop = _loop(waiting)
        shown = " -> ".join([*loop, loop[0]])
        raise TriggerFailed(
            f"triggers wait for each other: {shown}",
            "every trigger that is not before @owners runs after it" if AT_OWNERS in loop else None,
        ) from error
    return tuple(by_name[name] for name in order if name in by_name)


def split_at_owners(
    ordered: Sequence[Trigger],
) -> tuple[tuple[Trigger, ...], tuple[Trigger, ...]]:
    """The triggers that run before the owners of files are resolved, and those that run after."""
    return (
        tuple(trigger for trigger in ordered if AT_OWNERS in trigger.before),
        tuple(trigger for trigger in ordered if AT_OWNERS not in trigger.before),
    )


def digest(triggers: Iterable[Trigger]) -> str:
    """SHA-256 in hex over what the files of a set say, whatever their order, place and comments."""
    whole = hashlib.sha256()
    for trigger in sorted(triggers, key=lambda trigger: trigger.name):
        whole.update(trigger_digest(trigger).encode())
    return whole.hexdigest()


def _twins(triggers: Sequence[Trigger]) -> Iterator[str]:
    sources: dict[str, str] = {}
    for trigger in triggers:
        if trigger.name in sources:
            yield f"{trigger.source}: name: {sources[trigger.name]} has the same"
        sources[trigger.name] = trigger.source


def _strangers(triggers: Sequence[Trigger], known: Collection[str]) -> Iterator[str]:
    for trigger in triggers:
        for key, names in (("after", trigger.after), ("before", trigger.before)):
            for name in names:
                if name not in known:
                    yield f"{trigger.source}: order.{key}: there is no trigger {name!r}"


def _waiting(triggers: Iterable[Trigger]) -> dict[str, set[str]]:
    """What each waits for."""
    waiting: dict[str, set[str]] = {AT_OWNERS: set()}
    for trigger in triggers:
        waiting.setdefault(trigger.name, set()).update(trigger.after)
        for name in trigger.before:
            waiting.setdefault(name, set()).add(trigger.name)
        if AT_OWNERS not in trigger.before:
            waiting[trigger.name].add(AT_OWNERS)
    return waiting


def _first_by_name(waiting: Mapping[str, Collection[str]]) -> list[str]:
    """The topological order in which of all that may come next the first by name comes.

    What networkx calls lexicographical; to load it takes as long as all else that a plan does.
    """
    sorter = TopologicalSorter(waiting)
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, name)
        order.append(heappop(ready))
        sorter.done(order[-1])
    return order


def _loop(waiting: Mapping[str, Collection[str]]) -> list[str]:
    """One cycle, from what runs first to what runs later; always the same one."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(waiting))
    for name in sorted(waiting):
        graph.add_edges_from((other, name) for other in sorted(waiting[name]))
    return [edge[0] for edge in nx.find_cycle(graph)]
