"""Small JSON files in a stateroot's /var: each says its schema and is written in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_record(path: Path, schema: int, values: Mapping[str, Any]) -> None:
    """Puts a record in the place of the one before; durable when it returns. May raise OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        json.dump({"schema": schema, **values}, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes durable which names are in a directory."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_record(path: Path, schema: int) -> dict[str, Any] | None:
    """The values; None where there is no record, or one that a newer version wrote or nobody did.

    What the keys hold is not looked at.
    """
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or values.pop("schema", None) != schema:
        return None
    return values
