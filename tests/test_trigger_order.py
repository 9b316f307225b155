"""The order of triggers: one for every set, whatever the order in which they were read."""

import random

import networkx
import pytest

from layer.errors import TriggerFailed
from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.order import in_order, split_at_owners


def trigger(name: str, after: list[str] | None = None, before: list[str] | None = None) -> Trigger:
    return parse_trigger(
        f"""
        schema = 1
        name = "{name}"
        description = "A test."
        match = {{ include = ["usr/x"] }}
        run = {{ exec = ["x"] }}
        order = {{ after = {after or []}, before = {before or []} }}
        """,
        f"{name}.toml",
    )


def names(triggers: tuple[Trigger, ...]) -> list[str]:
    return [trigger.name for trigger in triggers]


SET = [
    trigger("d"),
    trigger("a", after=["c"]),
    trigger("b", before=["c"]),
    trigger("c"),
    trigger("z", before=["@owners"]),
    trigger("y", before=["@owners", "z"]),
]


def test_the_same_set_has_the_same_order_however_it_was_read() -> None:
    shuffled = list(SET)
    for seed in range(20):
        random.Random(seed).shuffle(shuffled)
        assert names(in_order(shuffled)) == ["y", "z", "b", "c", "a", "d"]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_networkx_lexicographical_one(seed: int) -> None:
    chance = random.Random(seed)
    order = [f"{number:02}" for number in range(30)]
    chance.shuffle(order)
    graph = networkx.DiGraph()
    triggers = []
    for place, name in enumerate(order):
        earlier = chance.sample(order[:place], min(place, chance.randrange(3)))
        later = chance.sample(order[place + 1 :], min(len(order) - place - 1, chance.randrange(2)))
        triggers.append(trigger(name, after=earlier, before=later))
        graph.add_node(name)
        graph.add_edges_from([(other, name) for other in earlier])
        graph.add_edges_from([(name, other) for other in later])

    assert names(in_order(triggers)) == list(networkx.lexicographical_topological_sort(graph))


def test_only_what_says_so_runs_before_owners_are_resolved() -> None:
    before, after = split_at_owners(in_order(SET))

    assert (names(before), names(after)) == (["y", "z"], ["b", "c", "a", "d"])


def test_all_unknown_names_are_shown_with_file_and_key() -> None:
    with pytest.raises(TriggerFailed) as failure:
        in_order([trigger("a", after=["nosuch", "b"]), trigger("b", before=["other"])])

    assert failure.value.message.splitlines() == [
        "a.toml: order.after: there is no trigger 'nosuch'",
        "b.toml: order.before: there is no trigger 'other'",
    ]


def test_a_masked_trigger_is_no_unknown_name_and_keeps_its_place() -> None:
    ordered = in_order([trigger("a", after=["gone"]), trigger("b", before=["gone"])], {"gone"})

    assert names(ordered) == ["b", "a"]


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(TriggerFailed, match=r"^a\.toml: name: a\.toml has the same$"):
        in_order([trigger("a"), trigger("a")])


def test_a_cycle_is_shown_whole() -> None:
    with pytest.raises(TriggerFailed) as failure:
        in_order([trigger("a", after=["c"]), trigger("b", after=["a"]), trigger("c", after=["b"])])

    assert failure.value.message == "triggers wait for each other: a -> b -> c -> a"


def test_what_must_run_before_an_early_trigger_must_be_early_itself() -> None:
    with pytest.raises(TriggerFailed) as failure:
        in_order([trigger("late", before=["early"]), trigger("early", before=["@owners"])])

    assert failure.value.message == (
        "triggers wait for each other: @owners -> late -> early -> @owners"
    )
    assert failure.value.hint == "every trigger that is not before @owners runs after it"
