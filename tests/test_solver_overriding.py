"""Overrides as the solver takes them: what goes, what takes its place, and who is in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from layer.errors import NotFound, Unsolvable
from layer.model import BaseState, Nevra, RepositoryMetadata, Resolution
from layer.overrides import Offered, Overrides
from layer.solver.resolve import resolve
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.tiny import tiny_rpm
from tests.solving import added, installed, offered

Base = Callable[..., BaseState]


@pytest.fixture
def base(tmp_path: Path) -> Base:
    """A base of packages."""

    def make(*specs: RpmSpec) -> BaseState:
        count = sum(1 for _ in tmp_path.glob("base-*"))
        return BaseState(installed(tmp_path / f"base-{count}", *specs))

    return make


@pytest.fixture
def offer(tmp_path: Path) -> Callable[..., RepositoryMetadata]:
    """A repository of packages."""

    def make(*specs: RpmSpec, name: str = "r") -> RepositoryMetadata:
        return offered(tmp_path, *specs, name=name)

    return make


Offer = Callable[..., RepositoryMetadata]


def rpm(name: str, version: str = "1", *requires: str, arch: str = "x86_64") -> RpmSpec:
    return tiny_rpm(name, version=version, requires=requires, arch=arch)


def nevra(text: str, arch: str = "x86_64") -> Nevra:
    return Nevra.parse(f"{text}.{arch}")


def overridden(
    base: BaseState, metadata: list[RepositoryMetadata], *removed: str, **rest: tuple[Offered, ...]
) -> Resolution:
    return resolve(base, metadata, (), overrides=Overrides(removed=removed, **rest))  # type: ignore[arg-type]


def why(base: BaseState, metadata: list[RepositoryMetadata], *removed: str) -> Unsolvable:
    with pytest.raises(Unsolvable) as caught:
        overridden(base, metadata, *removed)
    return caught.value


def test_what_is_taken_away_is_gone_and_nothing_else(base: Base) -> None:
    found = overridden(base(rpm("a"), rpm("b")), [], "a")
    assert (found.removed, found.replaced, found.selections) == ((nevra("a-1-1"),), (), ())


def test_all_that_need_it_are_named_to_the_end_of_the_chain(base: Base) -> None:
    error = why(base(rpm("a"), rpm("b", "1", "a"), rpm("c", "1", "b"), rpm("d")), [], "a")
    assert error.message.splitlines() == [
        "b-1-1.x86_64 of the base needs a, which only a-1-1.x86_64 has",
        "c-1-1.x86_64 of the base needs b, which only b-1-1.x86_64 has",
    ]
    assert error.hint == "take them away too: layer override remove a b c"


def test_two_that_need_each_other_come_to_an_end(base: Base) -> None:
    error = why(base(rpm("a"), rpm("b", "1", "a", "c"), rpm("c", "1", "b")), [], "a")
    assert error.hint == "take them away too: layer override remove a b c"


def test_what_others_need_may_go_where_another_of_the_base_has_it(base: Base) -> None:
    other = tiny_rpm("other", provides=("a = 1",), arch="x86_64")
    found = overridden(base(rpm("a"), rpm("b", "1", "a"), other), [], "a")
    assert found.removed == (nevra("a-1-1"),)


def test_what_was_broken_before_is_in_nobodys_way(base: Base) -> None:
    state = base(rpm("a"), rpm("b", "1", "never-there"), rpm("c", "1", "d"), rpm("d"))
    assert overridden(state, [], "a").removed == (nevra("a-1-1"),)
    error = why(state, [], "d")
    assert error.message == "c-1-1.x86_64 of the base needs d, which only d-1-1.x86_64 has"


def test_what_is_taken_away_does_not_come_back_from_a_repository(base: Base, offer: Offer) -> None:
    error = why(base(rpm("a"), rpm("b", "1", "a")), [offer(rpm("a", "2"))], "a")
    assert error.message == "b-1-1.x86_64 of the base needs a, which only a-1-1.x86_64 has"


def test_all_architectures_of_a_name_go(base: Base) -> None:
    found = overridden(base(rpm("a"), rpm("a", arch="i686")), [], "a")
    assert set(found.removed) == {nevra("a-1-1"), nevra("a-1-1", "i686")}


def test_an_older_one_is_said_to_be_older(base: Base, offer: Offer) -> None:
    found = overridden(base(rpm("a", "2")), [offer(rpm("a"))], offered=(Offered("", "a"),))
    assert found.replaced == ((nevra("a-2-1"), nevra("a-1-1")),)
    assert found.downgraded == (nevra("a-1-1"),)


def test_the_repository_that_was_named_counts_alone(base: Base, offer: Offer) -> None:
    both = [offer(rpm("a", "2"), name="two"), offer(rpm("a", "3"), name="three")]
    state = base(rpm("a"), rpm("b"))
    found = overridden(state, both, offered=(Offered("two", "a"),))
    assert found.replaced == ((nevra("a-1-1"), nevra("a-2-1")),)
    any_of_them = overridden(state, both, offered=(Offered("", "a"),))
    assert any_of_them.replaced == ((nevra("a-1-1"), nevra("a-3-1")),)
    with pytest.raises(NotFound, match="repository four has no a"):
        overridden(state, both, offered=(Offered("four", "a"),))
    with pytest.raises(NotFound, match="no enabled repository has b"):
        overridden(state, both, offered=(Offered("", "b"),))


def test_overrides_that_do_nothing_say_why(base: Base, offer: Offer) -> None:
    found = overridden(
        base(rpm("a")),
        [offer(rpm("a"), rpm("b"))],
        "c",
        offered=(Offered("", "a"), Offered("", "b")),
    )
    assert found.inactive_overrides == (
        "remove c: the base has no such package",
        "replace a: the base has the same version",
        "replace b: the base has no such package",
    )
    assert (found.gone, found.selections) == ((), ())


BOTH = (rpm("a"), rpm("a", arch="i686"))


def test_one_architecture_of_two_is_replaced_and_the_other_stays(base: Base, offer: Offer) -> None:
    found = overridden(base(*BOTH), [offer(rpm("a", "2"))], offered=(Offered("", "a"),))
    assert found.replaced == ((nevra("a-1-1"), nevra("a-2-1")),)
    assert added(found) == ["a-2-1.x86_64"]


def test_the_second_architecture_can_be_replaced_alone(base: Base, offer: Offer) -> None:
    found = overridden(
        base(*BOTH), [offer(rpm("a", "2", arch="i686"))], offered=(Offered("", "a"),)
    )
    assert found.replaced == ((nevra("a-1-1", "i686"), nevra("a-2-1", "i686")),)
    assert added(found) == ["a-2-1.i686"]


def test_each_architecture_gives_way_to_its_own(base: Base, offer: Offer) -> None:
    newer = [rpm("a", "2"), rpm("a", "3", arch="i686")]
    found = overridden(base(*BOTH), [offer(*newer)], offered=(Offered("", "a"),))
    assert found.replaced == (
        (nevra("a-1-1", "i686"), nevra("a-3-1", "i686")),
        (nevra("a-1-1"), nevra("a-2-1")),
    )
    half_there = base(rpm("a", "2"), rpm("a", arch="i686"))
    found = overridden(half_there, [offer(*newer, name="s")], offered=(Offered("", "a"),))
    assert found.replaced == ((nevra("a-1-1", "i686"), nevra("a-3-1", "i686")),)
    assert found.inactive_overrides == ()


def test_a_package_without_architecture_takes_the_places_of_both(base: Base, offer: Offer) -> None:
    found = overridden(
        base(*BOTH), [offer(rpm("a", "2", arch="noarch"))], offered=(Offered("", "a"),)
    )
    assert [str(old) for old, _ in found.replaced] == ["a-1-1.i686", "a-1-1.x86_64"]
    assert added(found) == ["a-2-1.noarch"]
