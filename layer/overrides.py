"""Overrides: packages of the base that are wanted otherwise; nouns, and what follows from them."""

from __future__ import annotations

from layer.frozen import dataclass
from layer.model import LockedPackage, Request, RequestKind


@dataclass(frozen=True, slots=True, order=True)
class Offered:
    """A package by its name, of one repository; of any where `repository` is ""."""

    repository: str
    name: str

    def __str__(self) -> str:
        return f"repo={self.repository},{self.name}" if self.repository else self.name


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user wants otherwise than the base has it; all sorted.

    `removed` are names of packages to take away; `files` and `offered` take the place of the
    base's packages of their names.
    """

    removed: tuple[str, ...] = ()
    files: tuple[LockedPackage, ...] = ()
    offered: tuple[Offered, ...] = ()

    @property
    def requests(self) -> tuple[Request, ...]:
        """The packages that are to take others' places."""
        texts = [f"{p.checksum}:{p.nevra}" for p in self.files] + [str(o) for o in self.offered]
        return tuple(Request(RequestKind.REPLACEMENT, text) for text in texts)


NO_OVERRIDES = Overrides()
