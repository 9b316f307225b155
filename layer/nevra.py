"""The name of a package."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Self

from layer.errors import InvalidInput
from layer.frozen import dataclass

_NEVRA = re.compile(
    r"(?P<name>[^/\s]+)-(?:(?P<epoch>[0-9]{1,10}):)?"
    r"(?P<version>[^-/:\s]+)-(?P<release>[^-/:\s]+)"
    r"\.(?P<arch>[^.\-/\s]+)"
)


@dataclass(frozen=True, slots=True, order=True)
class Nevra:
    """A package's name, epoch, version, release and architecture."""

    name: str
    epoch: int
    version: str
    release: str
    arch: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`NAME-[EPOCH:]VERSION-RELEASE.ARCH`; InvalidInput where it is anything else."""
        found = _NEVRA.fullmatch(text)
        if found is None:
            raise InvalidInput(f"not a package's NEVRA: {text!r}")
        return cls(
            found["name"],
            int(found["epoch"] or 0),
            found["version"],
            found["release"],
            found["arch"],
        )

    @property
    def evr(self) -> str:
        """`[EPOCH:]VERSION-RELEASE`, the epoch left out where it is 0."""
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{epoch}{self.version}-{self.release}"

    def __str__(self) -> str:
        return f"{self.name}-{self.evr}.{self.arch}"


def successors(old: Iterable[Nevra], new: Iterable[Nevra]) -> dict[Nevra, Nevra]:
    """Which of the new ones is in each old one's place: one of its name, of its architecture first.

    Old ones in whose place none is are left out, and each new one is in but one place.
    """
    found: dict[Nevra, Nevra] = {}
    old, new = set(old), set(new)
    for with_arch in (True, False):
        waiting: dict[tuple[str, str], list[Nevra]] = {}
        for nevra in sorted(new - set(found.values())):
            waiting.setdefault((nevra.name, nevra.arch if with_arch else ""), []).append(nevra)
        for nevra in sorted(old - found.keys()):
            candidates = waiting.get((nevra.name, nevra.arch if with_arch else ""))
            if candidates:
                found[nevra] = candidates.pop(0)
    return found
