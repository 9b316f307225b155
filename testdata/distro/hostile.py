"""Packages that must be refused: what a hostile or broken RPM may look like.

The tables stand in the modules beside this one, by what they attack:
`hostile_files`, `hostile_headers`, `hostile_paths`, `hostile_payloads`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testdata.distro.forge import Draft, draft, seal
from testdata.distro.rpmspec import FileSpec, RpmSpec

ORDINARY = FileSpec("/usr/share/hostile/ordinary", b"ordinary\n")


@dataclass(frozen=True, slots=True)
class HostilePackage:
    """A package by name, why it is there, and the regex of the one line that refuses it.

    `expected` is "" for one that looks hostile and is taken all the same. `make`
    gives its bytes; most of them are named `name` in their header too.
    """

    name: str
    why: str
    expected: str
    make: Callable[[], bytes]

    @property
    def data(self) -> bytes:
        """The package's bytes, made anew each time: some are large."""
        return self.make()


def good(name: str, *files: FileSpec) -> RpmSpec:
    """A package with nothing wrong, for others to spoil."""
    return RpmSpec(name, arch="noarch", files=files or (ORDINARY,))


def of_files(name: str, why: str, expected: str, *files: FileSpec) -> HostilePackage:
    """A package whose files are hostile; they are written as they are."""
    return HostilePackage(name, why, expected, lambda: seal(draft(good(name, ORDINARY, *files))))


def of_draft(
    name: str, why: str, expected: str, spoil: Callable[[Draft], Draft], *files: FileSpec
) -> HostilePackage:
    """A package of which a part was changed and sealed again."""
    return HostilePackage(name, why, expected, lambda: seal(spoil(draft(good(name, *files)))))
