"""In which order triggers run: the same set, always the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from layer.errors import TriggerFailed
from layer.triggers.format import AT_OWNERS, Trigger, trigger_digest

if TYPE_CHECKING:
    import networkx as nx


def in_order(triggers: Sequence[Trigger], masked: Collection[str] = ()) -> tuple[Trigger, ...]:
    """By `after` and `before`, and by name where these leave a choice.

    TriggerFailed for names that are neither a trigger's nor in `masked`, for
    two triggers of one name, and for a cycle, which it shows whole.
    """
    by_name = {trigger.name: trigger for trigger in triggers}
    faults = [*_twins(triggers), *_strangers(triggers, {*by_name, *masked, AT_OWNERS})]
    if faults:
        raise TriggerFailed("\n".join(faults))
    import networkx as nx  # takes longer than all else that `layer status` does

    graph = _graph([by_name[name] for name in sorted(by_name)])
    try:
        order = list(nx.lexicographical_topological_sort(graph))
    except nx.NetworkXUnfeasible as error:
        loop = [edge[0] for edge in nx.find_cycle(graph)]
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


def _graph(triggers: Sequence[Trigger]) -> nx.DiGraph[str]:
    """An edge leads from what runs first to what runs later."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from([AT_OWNERS, *(trigger.name for trigger in triggers)])
    for trigger in triggers:
        graph.add_edges_from((name, trigger.name) for name in sorted(trigger.after))
        graph.add_edges_from((trigger.name, name) for name in sorted(trigger.before))
        if AT_OWNERS not in trigger.before:
            graph.add_edge(AT_OWNERS, trigger.name)
    return graph
