"""JSON files that leave the machine: of one kind and schema, and sealed against damage and edits.

The seal is a checksum, no signature: it tells a slip, and not who wrote the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from layer.errors import InvalidInput
from layer.lock import canonical
from layer.model import Nevra

_SEAL = "seal"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


def seal(value: Mapping[str, Any]) -> str:
    """The file's text; the same value gives the same text."""
    digest = hashlib.sha256(canonical(value).encode()).hexdigest()
    return json.dumps({**value, _SEAL: digest}, indent=1, sort_keys=True) + "\n"


def unseal(text: str, kind: str, schema: int, name: str) -> dict[str, Any]:
    """What was sealed; InvalidInput, which names the file, where it is anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is damaged, or no file of layer's: it is no JSON") from error
    if not isinstance(value, dict) or value.get("kind") != kind:
        raise InvalidInput(f"{name} is not what `layer {kind}` writes")
    if value.get("schema") != schema:
        raise InvalidInput(
            f"{name} has schema {value.get('schema')}; this version knows {schema}",
            "a newer version of layer wrote it; use that one",
        )
    found = value.pop(_SEAL, None)
    if found != hashlib.sha256(canonical(value).encode()).hexdigest():
        raise InvalidInput(f"{name} was edited, or is damaged", "write it anew")
    return value


class Reading:
    """A sealed value, read key by key; InvalidInput names the file and the key that is wrong."""

    def __init__(self, value: Mapping[str, Any], name: str) -> None:
        self._value = value
        self._name = name

    def text(self, key: str) -> str:
        """A text."""
        found: str = self._take(key, str)
        return found

    def whole(self, key: str) -> int:
        """A number that is not negative."""
        number: int = self._take(key, int)
        if number < 0 or isinstance(number, bool):
            raise self.wrong(key)
        return number

    def checksum(self, key: str) -> str:
        """A SHA-256 in hex."""
        found = self.text(key)
        if not _CHECKSUM.fullmatch(found):
            raise self.wrong(key)
        return found

    def nevra(self, key: str) -> Nevra:
        """A package's name."""
        return self._nevra(key, self.text(key))

    def nevras(self, key: str) -> tuple[Nevra, ...]:
        """Names of packages."""
        return tuple(self._nevra(key, text) for text in self.texts(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found: list[Any] = self._take(key, list)
        if not all(isinstance(item, str) for item in found):
            raise self.wrong(key)
        return tuple(found)

    def pairs(self, key: str, kind: type) -> tuple[tuple[str, Any], ...]:
        """An object whose values are of one type."""
        found: dict[str, Any] = self._take(key, dict)
        if not all(type(item) is kind for item in found.values()):
            raise self.wrong(key)
        return tuple(sorted(found.items()))

    def object(self, key: str) -> Mapping[str, Any]:
        """An object, as it is."""
        found: dict[str, Any] = self._take(key, dict)
        return found

    def rows(self, key: str) -> tuple[Reading, ...]:
        """A list of objects."""
        found: list[Any] = self._take(key, list)
        if not all(isinstance(item, dict) for item in found):
            raise self.wrong(key)
        return tuple(Reading(item, self._name) for item in found)

    def wrong(self, key: str) -> InvalidInput:
        """What is raised for a key that is not as it should be."""
        return InvalidInput(f"{self._name}: {key} is not what it should be", "write it anew")

    def _take(self, key: str, kind: type) -> Any:
        found = self._value.get(key)
        if not isinstance(found, kind):
            raise self.wrong(key)
        return found

    def _nevra(self, key: str, text: str) -> Nevra:
        try:
            found = Nevra.parse(text)
        except InvalidInput as error:
            raise self.wrong(key) from error
        if "/" in text:
            raise self.wrong(key)
        return found
