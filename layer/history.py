"""What was done on a machine: entries of an append-only file, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from layer.frozen import dataclass
from layer.words import instant, printable

SCHEMA = 1
PATH = "lib/layer/history.jsonl"  # below /var
_SHOWN = 12  # hex digits of a checksum that a person is shown


@dataclass(frozen=True, slots=True)
class BaseVersion:
    """A base as it was called, and its commit."""

    source: str
    checksum: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of what boots: what was asked for, when, by whom, and what came of it.

    `time` is in seconds since 1970. `command` are the words after `layer`, () where a program
    called its functions. `agent` is the name that the caller gave itself. `running` is the
    commit that ran then, "" where none of this sysroot did. `has_booted`: that is known of
    `checksum`; False says nothing.
    """

    time: int
    stateroot: str
    checksum: str
    command: tuple[str, ...] = ()
    user: str = ""
    agent: str = ""
    base: BaseVersion | None = None
    previous_base: BaseVersion | None = None
    requested: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    upgraded: tuple[tuple[str, str], ...] = ()
    downgraded: tuple[tuple[str, str], ...] = ()
    rebuilt: tuple[str, ...] = ()
    running: str = ""
    has_booted: bool = False


def as_object(entry: Entry) -> dict[str, Any]:
    """What the file holds of an entry: all that is not empty."""
    fields: dict[str, Any] = {"schema": SCHEMA}
    for name in Entry.__slots__:
        value = getattr(entry, name)
        if isinstance(value, BaseVersion):
            value = {k: getattr(value, k) for k in BaseVersion.__slots__}
        if value is not False and value not in ("", (), None):
            fields[name.replace("_", "-")] = value
    return fields


def format_entry(entry: Entry) -> str:
    """The line of an entry, with its end."""
    return json.dumps(as_object(entry), sort_keys=True, separators=(",", ":")) + "\n"


def parse_entries(lines: Iterable[str]) -> tuple[tuple[Entry, ...], int]:
    """The entries in the file's order, and how many lines cannot be read here.

    Such are a last one that was cut short, and those of a newer version.
    """
    found = [_parse(line) for line in lines]
    entries = tuple(entry for entry in found if entry is not None)
    return entries, len(found) - len(entries)


def with_boots(entries: Sequence[Entry], booted: Collection[str]) -> tuple[Entry, ...]:
    """The entries with what is known of boots: what runs now, and what ran at a later change."""
    ran = set(booted)
    found = []
    for entry in reversed(entries):
        found.append(replace(entry, has_booted=entry.checksum in ran))
        if entry.running:
            ran.add(entry.running)
    return tuple(reversed(found))


def as_text(entries: Sequence[Entry]) -> str:
    """The entries for a person, in the order given."""
    if not entries:
        return "No history."
    return "\n\n".join("\n".join(_lines(entry)) for entry in entries)


def _parse(line: str) -> Entry | None:
    try:
        fields = json.loads(line)
        if fields.pop("schema") != SCHEMA:
            return None
        values = {name.replace("-", "_"): _value(value) for name, value in fields.items()}
        entry = Entry(**values)
        instant(entry.time)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return None
    except RecursionError:  # nested deeper than any line of ours
        return None
    return entry if _is_right(entry) else None


def _is_right(entry: Entry) -> bool:
    """Whether every field is of its type: a line may hold anything that is JSON."""
    bases = [base for base in (entry.base, entry.previous_base) if base is not None]
    texts: list[object] = [entry.stateroot, entry.checksum, entry.user, entry.agent, entry.running]
    texts += [getattr(base, name, None) for base in bases for name in BaseVersion.__slots__]
    lists: list[object] = [
        entry.command,
        entry.requested,
        entry.dropped,
        entry.left_out,
        entry.added,
    ]
    lists += [entry.removed, entry.rebuilt]
    moves = (entry.upgraded, entry.downgraded)
    lists += [pair for pairs in moves if isinstance(pairs, tuple) for pair in pairs]
    return (
        all(isinstance(text, str) for text in texts)
        and all(_are_texts(found) for found in lists)
        and all(isinstance(pairs, tuple) and all(len(p) == 2 for p in pairs) for pairs in moves)
        and type(entry.time) is int
        and type(entry.has_booted) is bool
    )


def _are_texts(found: object) -> bool:
    return isinstance(found, tuple) and all(isinstance(text, str) for text in found)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return BaseVersion(**value)
    if isinstance(value, list):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    return value


def _lines(entry: Entry) -> Iterable[str]:
    words = printable(" ".join(("layer", *entry.command)) if entry.command else "(a program)")
    yield f"{instant(entry.time)}  {words}"
    by = entry.user + (f" ({entry.agent})" if entry.agent else "")
    rows = [("By", printable(by))]
    rows += [("Base", line) for line in _base_lines(entry)]
    rows += [
        (name, " ".join(values))
        for name, values in (
            ("Asked for", entry.requested),
            ("No longer asked for", entry.dropped),
            ("Left out", entry.left_out),
            ("Added", entry.added),
            ("Removed", entry.removed),
            ("Upgraded", [f"{old} -> {new}" for old, new in entry.upgraded]),
            ("Downgraded", [f"{old} -> {new}" for old, new in entry.downgraded]),
            ("Rebuilt", entry.rebuilt),
        )
        if values
    ]
    booted = ", booted" if entry.has_booted else ""
    rows.append(("Commit", f"{entry.checksum[:_SHOWN]} of {entry.stateroot}{booted}"))
    width = max(len(name) for name, _ in rows)
    yield from (f"  {name.rjust(width)}: {value}" for name, value in rows if value)


def _base_lines(entry: Entry) -> Iterable[str]:
    if entry.base is None or entry.base == entry.previous_base:
        return
    named = [
        f"{base.source} {base.version} {base.checksum[:_SHOWN]}".replace("  ", " ")
        for base in (entry.previous_base, entry.base)
        if base is not None
    ]
    yield printable(" -> ".join(named))
