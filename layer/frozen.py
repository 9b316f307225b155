"""Frozen dataclasses whose methods are made without a compiler, and `__init__` when often called.

`dataclasses` compiles six methods for each class as its module is imported, 0.4 ms for each of the
150 nouns that a plan's modules have, of which it makes a few: a tenth of its time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
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


_FEW = 50  # calls of an `__init__` that cost what it costs to compile one
_MISSING = dataclasses.MISSING
_ORDER = {"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge}


def _made(cls: type, *, is_ordered: bool, kw_only: bool) -> type:
    fields = _fields_of(cls)
    own = {k: v for k, v in vars(cls).items() if k not in {*fields, "__dict__", "__weakref__"}}
    names = tuple(fields)
    values = _getter([name for name, field in fields.items() if field.compare])
    members = {
        "__repr__": _repr(tuple(name for name, field in fields.items() if field.repr)),
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
        "__getstate__": lambda self: [getattr(self, name) for name in names],
        "__setstate__": lambda self, state: _set_state(self, names, state),
        "__eq__": _comparison(eq, values),
        "__hash__": lambda self: hash(values(self)),
        **({n: _comparison(f, values) for n, f in _ORDER.items()} if is_ordered else {}),
        **own,
        "__slots__": names,
        "__match_args__": () if kw_only else names,
        "__qualname__": cls.__qualname__,
        "__dataclass_fields__": _LibrarysFields(cls, kw_only=kw_only),
    }
    made: Any = type(cls)(cls.__name__, cls.__bases__, members)
    if "__init__" not in own:
        made.__init__ = _first_init(made, fields, kw_only=kw_only)
    return made  # type: ignore[no-any-return]


def _fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """What a class's body says of its fields, without what the library makes of it."""
    found = {}
    for name in cls.__annotations__:
        value = vars(cls).get(name, _MISSING)
        is_said = isinstance(value, dataclasses.Field)
        found[name] = value if is_said else dataclasses.field(default=value)
    return found


class _LibrarysFields:
    """The library's own description of a class, for its functions, made when one first asks."""

    def __init__(self, cls: type, *, kw_only: bool) -> None:
        self._cls = cls
        self._kw_only = kw_only

    def __get__(self, _instance: object, owner: Any) -> object:
        described: Any = dataclasses.dataclass(
            init=False, repr=False, eq=False, kw_only=self._kw_only
        )(self._cls)
        owner.__dataclass_fields__ = described.__dataclass_fields__
        return described.__dataclass_fields__


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


def _first_init(cls: Any, fields: Mapping[str, dataclasses.Field[Any]], *, kw_only: bool) -> object:
    """Sets one slot after the other, until the class has been made so often that it is compiled."""
    setters = {name: vars(cls)[name].__set__ for name in fields}
    required = {name for name, field in fields.items() if _is_required(field)}
    most, calls = 0 if kw_only else len(fields), 0

    def init(self: Any, /, *arguments: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        values = dict(zip(fields, arguments, strict=False)) | named
        is_right = (
            len(arguments) <= most
            and len(values) == len(arguments) + len(named)
            and required <= values.keys() <= setters.keys()
        )
        if calls > _FEW or not is_right:  # the compiled one says what is wrong
            # A thread may come to this when another one has replaced it already.
            compiled = cls.__init__ = _compiled_init(cls, fields, kw_only=kw_only)
            compiled(self, *arguments, **named)
            return
        for name, set_slot in setters.items():
            set_slot(self, values[name] if name in values else _default(fields[name]))

    return init


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is _MISSING and field.default_factory is _MISSING


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is _MISSING else field.default_factory()


def _compiled_init(cls: Any, fields: Mapping[str, dataclasses.Field[Any]], *, kw_only: bool) -> Any:
    """The slots are set by their own descriptors, past the class's refusal to set anything."""
    parameters, lines = ["self", *(["*"] if kw_only and fields else [])], ["pass"]
    scope: dict[str, Any] = {"_MISSING": _MISSING}
    for name, field in fields.items():
        value = name
        scope[f"_set_{name}"] = vars(cls)[name].__set__
        scope[f"_default_{name}"] = field.default
        scope[f"_make_{name}"] = field.default_factory
        parameters.append(name if _is_required(field) else f"{name}=_default_{name}")
        if field.default_factory is not _MISSING:
            value = f"_make_{name}() if {name} is _MISSING else {name}"
        lines.append(f"_set_{name}(self, {value})")
    text = f"def __init__({', '.join(parameters)}):\n" + "".join(f" {line}\n" for line in lines)
    exec(text, scope)  # noqa: S102  # names of fields alone
    made = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
