"""Small JSON files in a stateroot's /var: each says its schema and is written in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from layer.durable import sync_directory
from layer.errors import InvalidInput


def write_record(path: Path, schema: int, values: Mapping[str, Any]) -> None:
    """Puts a record in the place of the one before; durable when it returns. May raise OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("w") as file:
            json.dump({"schema": schema, **values}, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(path.parent)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def read_record(path: Path, schema: int) -> dict[str, Any] | None:
    """The values; None where there is no record, or nothing that is one.

    InvalidInput where a newer version wrote it. What the keys hold is not looked at.
    """
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    found = values.pop("schema", None)
    if type(found) is int and found > schema:
        raise InvalidInput(
            f"{path} has schema {found}; this version knows {schema}",
            "a newer version of layer wrote it; use that one",
        )
    return values if found == schema else None


def read_cached(path: Path, schema: int) -> dict[str, Any] | None:
    """The same of a record that can be made anew at any time: None for a newer version's."""
    with suppress(InvalidInput):
        return read_record(path, schema)
    return None
