"""Owners of paths: nouns, and their JSON."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from layer.frozen import dataclass


class OwnerKind(enum.Enum):
    """What may own a path."""

    PACKAGE = "package"
    TRIGGER = "trigger"
    LAYER = "layer"


@dataclass(frozen=True, slots=True)
class Owned:
    """An owner: a package by its NEVRA, a trigger by its name, or `layer`.

    `header_path` is what the package calls the path, for others what a person calls it.
    """

    kind: OwnerKind
    name: str
    header_path: str

    def __str__(self) -> str:
        return f"trigger {self.name}" if self.kind is OwnerKind.TRIGGER else self.name


@dataclass(frozen=True, slots=True)
class OwnedPath:
    """A path as a person calls it, and its owners: one, or of a directory any number."""

    path: str
    owners: tuple[Owned, ...]
    is_directory: bool = False


def as_json(paths: Iterable[OwnedPath]) -> list[dict[str, Any]]:
    """The array that `layer db owner --json` prints."""
    return [
        {
            "path": item.path,
            "directory": item.is_directory,
            "owners": [
                {"kind": o.kind.value, "name": o.name, "header-path": o.header_path}
                for o in item.owners
            ],
        }
        for item in paths
    ]
