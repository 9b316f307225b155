"""Editing the kernel arguments of a boot entry, as rpm-ostree's `kargs` does; pure."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from layer.errors import InvalidInput
from layer.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Edits:
    """What to do, in this order; each an argument, `KEY` or `KEY=VALUE`.

    `replace` are `KEY=NEW`, where the key stands once, or `KEY=OLD=NEW`; a key that is to be
    deleted without a value must stand once.
    """

    delete: tuple[str, ...] = ()
    delete_if_present: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    append_if_missing: tuple[str, ...] = ()


def edited(arguments: Sequence[str], edits: Edits) -> tuple[str, ...]:
    """The arguments after the edits; InvalidInput names everything that cannot be done."""
    found = list(arguments)
    faults = _faults(edits)
    for word in edits.delete:
        _delete(found, word, faults)
    for word in edits.delete_if_present:
        if _matching(found, word):
            _delete(found, word, faults)
    for word in edits.replace:
        _replace(found, word, faults)
    found += edits.append
    found += [w for w in dict.fromkeys(edits.append_if_missing) if w not in found]
    if faults:
        raise InvalidInput(
            "\n  ".join(["the kernel arguments stay as they are:", *faults]),
            f"there are: {' '.join(arguments) or 'none'}",
        )
    return tuple(found)


def _faults(edits: Edits) -> list[str]:
    words = (
        *edits.delete,
        *edits.delete_if_present,
        *edits.replace,
        *edits.append,
        *edits.append_if_missing,
    )
    faults = []
    for word in dict.fromkeys(words):
        if not word or not word.isprintable() or " " in word.partition("=")[0]:
            faults.append(f"{word!r} is no kernel argument")
        elif word.partition("=")[0] == "ostree":
            faults.append("ostree= names the deployment itself")
    return faults


def _matching(arguments: Sequence[str], word: str) -> list[int]:
    """Where an argument stands; by its key alone if no value is given."""
    if "=" in word:
        return [i for i, present in enumerate(arguments) if present == word]
    return [i for i, present in enumerate(arguments) if present.partition("=")[0] == word]


def _delete(arguments: list[str], word: str, faults: list[str]) -> None:
    places = _matching(arguments, word)
    if not places:
        faults.append(f"there is no {word}")
    elif len({arguments[place] for place in places}) > 1:
        faults.append(f"{word} stands there with several values: name one")
    else:
        del arguments[places[0]]


def _replace(arguments: list[str], word: str, faults: list[str]) -> None:
    key, _, rest = word.partition("=")
    old, divider, new = rest.partition("=")
    if divider and f"{key}={old}" in arguments:
        arguments[arguments.index(f"{key}={old}")] = f"{key}={new}"
        return
    places = _matching(arguments, key)
    if len(places) == 1:
        arguments[places[0]] = word
    elif places:
        faults.append(f"{key} stands there {len(places)} times: {key}=OLD=NEW names one")
    else:
        faults.append(f"there is no {key}")


def parse_shipped(text: str, source: str) -> tuple[str, ...]:
    """The arguments in a file of bootc's format; InvalidInput names `source`."""
    try:
        found = tomllib.loads(text).get("kargs", [])
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise InvalidInput(f"{source}: kargs must be a list of texts")
    return tuple(found)
