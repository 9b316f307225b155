"""Frozen dataclasses whose methods are made without a compiler, and `__init__` when first called.

`dataclasses` compiles six methods for each class as its module is imported, 0.4 ms for each of the
150 nouns that a plan's modules have, of which it makes a few: a tenth of its time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter, eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen=False, slots=False, order=False, kw_only=False):
        """As `dataclasses.dataclass`, for classes without a parent that has fields."""
        if not frozen or not slots:
            return dataclasses.dataclass(frozen=frozen, slots=slots, order=order, kw_only=kw_only)
        return lambda cls: _made(cls, is_ordered=order, kw_only=kw_only)


_MISSING = dataclasses.MISSING
_ORDER = {"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge}


def _made(cls: type, *, is_ordered: bool, kw_only: bool) -> type:
    dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    fields = dataclasses.fields(cls)
    names = tuple(field.name for field in fields)
    own = {k: v for k, v in vars(cls).items() if k not in {*names, "__dict__", "__weakref__"}}
    values = _getter([field.name for field in fields if field.compare])
    members = {
        "__repr__": _repr(tuple(field.name for field in fields if field.repr)),
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
        "__getstate__": lambda self: [getattr(self, name) for name in names],
        "__setstate__": lambda self, state: _set_state(self, names, state),
        "__eq__": _comparison(eq, values),
        "__hash__": lambda self: hash(values(self)),
        **({n: _comparison(f, values) for n, f in _ORDER.items()} if is_ordered else {}),
        **own,
        "__slots__": names,
        "__qualname__": cls.__qualname__,
    }
    made: Any = type(cls)(cls.__name__, cls.__bases__, members)
    if "__init__" not in own:
        made.__init__ = _first_init(made, fields)
    return made  # type: ignore[no-any-return]


def _getter(names: list[str]) -> Callable[[Any], Any]:
    """What counts when two are compared: a tuple, or where there is one field its value."""
    return attrgetter(*names) if names else lambda _: ()


def _comparison(decide: Callable[[Any, Any], Any], values: Callable[[Any], Any]) -> object:
    def compare(self: object, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return decide(values(self), values(other))

    return compare


def _repr(names: tuple[str, ...]) -> object:
    def show(self: object) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({shown})"

    return show


def _refuse_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _set_state(self: object, names: tuple[str, ...], state: list[object]) -> None:
    for name, value in zip(names, state, strict=True):
        object.__setattr__(self, name, value)


def _first_init(cls: Any, fields: tuple[dataclasses.Field[Any], ...]) -> object:
    def init(self: Any, /, *arguments: object, **named: object) -> None:
        # A thread may come to this when another one has replaced it already.
        compiled = cls.__init__ = _compiled_init(cls, fields)
        compiled(self, *arguments, **named)

    return init


def _compiled_init(cls: Any, fields: tuple[dataclasses.Field[Any], ...]) -> Any:
    """The slots are set by their own descriptors, past the class's refusal to set anything."""
    parameters, lines = ["self"], ["pass"]
    scope: dict[str, Any] = {"_MISSING": _MISSING}
    if any(field.kw_only for field in fields):
        parameters.append("*")
    for field in fields:
        name = value = field.name
        scope[f"_set_{name}"] = vars(cls)[name].__set__
        scope[f"_default_{name}"] = field.default
        scope[f"_make_{name}"] = field.default_factory
        is_given = field.default is _MISSING and field.default_factory is _MISSING
        parameters.append(name if is_given else f"{name}=_default_{name}")
        if field.default_factory is not _MISSING:
            value = f"_make_{name}() if {name} is _MISSING else {name}"
        lines.append(f"_set_{name}(self, {value})")
    text = f"def __init__({', '.join(parameters)}):\n" + "".join(f" {line}\n" for line in lines)
    exec(text, scope)  # noqa: S102  # names of fields alone
    made = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
