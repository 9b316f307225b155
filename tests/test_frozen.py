"""The house's dataclasses behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field

import pytest

from layer import frozen


@frozen.dataclass(frozen=True, slots=True, order=True)
class Ours:
    """A noun of all kinds of fields."""

    name: str
    size: int = 3
    parts: tuple[str, ...] = field(default_factory=tuple, compare=False)
    secret: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Theirs:
    """The same."""

    name: str
    size: int = 3
    parts: tuple[str, ...] = field(default_factory=tuple, compare=False)
    secret: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.name


@frozen.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A noun whose fields are given by name."""

    first: int
    second: int = 2


ARGUMENTS = [("a",), ("b", 2), ("b", 3, ("x",)), ("b", 3, ("y",)), ("b", 3, (), "hush")]


def test_comparing_hashing_and_showing_are_the_standard_librarys() -> None:
    ours = [Ours(*arguments) for arguments in ARGUMENTS]
    theirs = [Theirs(*arguments) for arguments in ARGUMENTS]
    for one, other in [(a, b) for a in range(len(ours)) for b in range(len(ours))]:
        assert (ours[one] == ours[other]) is (theirs[one] == theirs[other])
        assert (ours[one] < ours[other]) is (theirs[one] < theirs[other])
        assert (ours[one] >= ours[other]) is (theirs[one] >= theirs[other])
    assert [hash(one) for one in ours] == [hash(other) for other in theirs]
    assert [repr(one) for one in ours] == [repr(o).replace("Theirs", "Ours") for o in theirs]
    assert str(ours[0]) == "a"
    assert ours[0] != theirs[0]


def test_what_is_no_such_thing_is_not_compared() -> None:
    with pytest.raises(TypeError):
        assert Ours("a") < 3  # type: ignore[operator]
    assert Ours("a") != "a"


def test_nothing_can_be_set_or_deleted() -> None:
    one = Ours("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        one.name = "b"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
        del one.name
    assert not hasattr(one, "__dict__")


def test_the_standard_librarys_functions_take_it() -> None:
    one = Ours("a", 1)
    assert dataclasses.replace(one, size=2) == Ours("a", 2)
    assert dataclasses.asdict(one) == dataclasses.asdict(Theirs("a", 1))
    assert dataclasses.astuple(one) == ("a", 1, (), "")
    assert [f.name for f in dataclasses.fields(Ours)] == ["name", "size", "parts", "secret"]
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    match one:
        case Ours(name, size):
            assert (name, size) == ("a", 1)


def test_arguments_are_taken_and_refused_as_the_fields_have_it() -> None:
    assert Ours("a", secret="s").secret == "s"
    assert Named(first=1) == Named(second=2, first=1)
    assert Ours("a").parts == ()
    for call in (Ours, Named):
        with pytest.raises(TypeError, match=f"{call.__name__}.__init__\\(\\) missing 1 required"):
            call()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Named(1)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Ours("a", unknown=1)  # type: ignore[call-arg]
    assert list(inspect.signature(Ours.__init__).parameters)[1:] == [
        *("name", "size", "parts", "secret")
    ]


def test_the_hundredth_is_made_as_the_first_is() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Often:
        """One whose `__init__` is worth compiling in the end."""

        name: str
        size: int = 3
        parts: list[str] = field(default_factory=list)

    first, begin = Often("a", size=4), Often.__init__
    many = [Often("a", size=4) for _ in range(100)]
    assert Often.__init__ is not begin
    assert [first, *many] == [Often("a", 4, [])] * 101
    assert len({id(each.parts) for each in (first, *many)}) == 101


def test_threads_may_make_the_first_one_at_once() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Fresh:
        """One that nobody has made yet."""

        name: str

    begin = Fresh.__init__  # a thread that is about to call it, and then waits
    assert Fresh("first").name == "first"
    second = object.__new__(Fresh)
    begin(second, "second")
    assert second == Fresh("second")
