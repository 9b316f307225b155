"""The lock: all that, with the base, decides a derived commit; it stands in the commit itself.

Metadata of a commit that layer made, schema 1. All values are text (OSTree keeps
numbers in an order of bytes of their own), structured ones canonical JSON, so
that `ostree show --print-metadata-key` is readable:

- `layer.schema`, `layer.base` (checksum of the base; absent on a base)
- `layer.packages`: [[NEVRA, SHA-256 of the file], ...] over the base, or of the base
- `layer.gone`: [NEVRA, ...] of the base's packages that are not in the tree
- `layer.ids`: {name: number} where it would not follow from base and names
- `layer.triggers`: digest of the trigger set
- `layer.trigger-runs`: [{name, key, status, values}, ...] in the order of the runs
- `layer.options`: {option: value} where it is not the default
- `layer.tools`: {tool: version} of what wrote bytes from outside the tree
- `layer.written`: {path: writer} of files that came from no package
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.model import Commit, LockedPackage, Nevra, TriggerRun

SCHEMA = 1
LAYER = "layer"  # as the writer of files that come from no package and no trigger


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """What a tree is to have of its packages, and what is made of them.

    `documentation`: the files that are marked %doc. `regenerate_initramfs`: the initramfs is
    made anew, by dracut with `initramfs_arguments`.
    """

    documentation: bool = True
    regenerate_initramfs: bool = False
    initramfs_arguments: tuple[str, ...] = ()


DEFAULTS = TreeOptions()


@dataclass(frozen=True, slots=True)
class Lock:
    """Exact packages, exceptions to ids, the trigger set, options, the tools that write bytes.

    `gone` are the packages of the base that were taken away.
    """

    packages: tuple[LockedPackage, ...] = ()
    ids: tuple[tuple[str, int], ...] = ()
    triggers: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    options: TreeOptions = DEFAULTS
    gone: tuple[Nevra, ...] = ()


EMPTY = Lock()


@dataclass(frozen=True, slots=True)
class Record:
    """What a commit says beyond its lock: which triggers ran, and who wrote which file."""

    runs: tuple[TriggerRun, ...] = ()
    written: tuple[tuple[str, str], ...] = ()


def base_of(commit: Commit) -> str | None:
    """The checksum of the base that a derived commit stands on; None for any other commit."""
    value = commit.metadata.get("layer.base")
    return str(value) if value else None


def read_lock(commit: Commit) -> Lock:
    """The lock that a commit carries, empty where layer did not make it."""
    if "layer.schema" not in commit.metadata:
        return EMPTY
    _check_schema(commit)
    return Lock(
        packages=tuple(
            LockedPackage(Nevra.parse(nevra), checksum)
            for nevra, checksum in _rows(commit, "layer.packages", _is_pair)
        ),
        ids=_table(commit, "layer.ids", int),
        triggers=str(commit.metadata.get("layer.triggers", "")),
        tools=_table(commit, "layer.tools", str),
        options=_options(commit),
        gone=tuple(Nevra.parse(nevra) for nevra in _rows(commit, "layer.gone", _is_text)),
    )


def read_record(commit: Commit) -> Record:
    """What a commit of layer says of trigger runs and of files without a package."""
    _check_schema(commit)
    runs = tuple(
        TriggerRun(run["name"], run["key"], run["status"], tuple(run["values"]))
        for run in _rows(commit, "layer.trigger-runs", _is_run)
    )
    return Record(runs, _table(commit, "layer.written", str))


def format_metadata(lock: Lock, record: Record) -> dict[str, str | bool]:
    """The metadata that says lock and record; the same nouns give the same text."""
    return {
        "layer.schema": str(SCHEMA),
        "layer.packages": canonical(sorted([str(p.nevra), p.checksum] for p in lock.packages)),
        "layer.gone": canonical(sorted(map(str, lock.gone))),
        "layer.ids": canonical(dict(lock.ids)),
        "layer.triggers": lock.triggers,
        "layer.tools": canonical(dict(lock.tools)),
        "layer.options": canonical(
            {k: v for k, v in asdict(lock.options).items() if v != getattr(DEFAULTS, k)}
        ),
        "layer.trigger-runs": canonical([_run(run) for run in record.runs]),
        "layer.written": canonical(dict(record.written)),
    }


def canonical(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON with sorted keys and no spaces: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _options(commit: Commit) -> TreeOptions:
    values = _json(commit, "layer.options", {})
    unknown = sorted(values.keys() - asdict(DEFAULTS).keys())
    if unknown:
        raise InvalidInput(
            f"commit {commit.checksum} has options that this version does not know: "
            f"{', '.join(unknown)}",
            "a newer version of layer made it; use that one",
        )
    arguments = values.pop("initramfs_arguments", [])
    if not _are_texts(arguments) or not all(type(value) is bool for value in values.values()):
        raise _corrupt(commit, "layer.options")
    return TreeOptions(**values, initramfs_arguments=tuple(arguments))


def _run(run: TriggerRun) -> dict[str, Any]:
    return {"name": run.name, "key": run.key, "status": run.status, "values": list(run.values)}


def _table(commit: Commit, key: str, kind: type) -> tuple[tuple[str, Any], ...]:
    """An object whose values are of one type, sorted."""
    found = _json(commit, key, {})
    if not all(type(value) is kind for value in found.values()):
        raise _corrupt(commit, key)
    return tuple(sorted(found.items()))


def _rows(commit: Commit, key: str, is_row: Callable[[Any], bool]) -> list[Any]:
    """A list of what is right."""
    found: list[Any] = _json(commit, key, [])
    if not all(map(is_row, found)):
        raise _corrupt(commit, key)
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_pair(value: Any) -> bool:
    return _are_texts(value) and len(value) == 2


def _is_run(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(_is_text(value.get(key)) for key in ("name", "key", "status"))
        and _are_texts(value.get("values"))
    )


def _json(commit: Commit, key: str, default: Any) -> Any:
    """What the metadata say in JSON, of the default's type; that itself where they do not."""
    text = commit.metadata.get(key)
    if text is None:
        return default
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise _corrupt(commit, key) from error
    if type(found) is not type(default):
        raise _corrupt(commit, key)
    return found


def _corrupt(commit: Commit, key: str) -> InvalidInput:
    return InvalidInput(f"commit {commit.checksum}: {key} is corrupt")


def _check_schema(commit: Commit) -> None:
    schema = commit.metadata.get("layer.schema", "")
    if schema != str(SCHEMA):
        raise InvalidInput(
            f"commit {commit.checksum} has schema {schema}; this version knows {SCHEMA}",
            "a newer version of layer made it; use that one",
        )
