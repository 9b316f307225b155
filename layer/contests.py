"""Different files of one path while packages are merged: colours decide, or nobody does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from layer.conflicts import Claim, beaten, first_clash
from layer.frozen import dataclass
from layer.importer import read_package_header
from layer.layout import place
from layer.model import Nevra, PackageFile, PackageHeader, PackageTree
from layer.multilib import gives_way, is_decided
from layer.ownership import Ownership
from layer.rpmfile.states import FileState, FileStates
from layer.store.contract import ObjectStore
from layer.words import shown


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a newcomer may have a path beside what is there, and takes its place.

    Where it may not, `opponent` is the package that it cannot be with, "" for whatever is there.
    """

    may_come: bool
    wins: bool = False
    opponent: str = ""


class Contests:
    """What packages say of the paths for which they meet; headers are read only then."""

    def __init__(self, store: ObjectStore, base: Callable[[], Ownership]) -> None:
        self._store = store
        self._base = base
        self._claims: dict[str, list[Claim]] = {}  # by path
        self._sharing: dict[str, list[PackageTree]] = defaultdict(list)  # by path
        self._read: dict[Nevra, tuple[PackageHeader, Mapping[str, PackageFile]]] = {}

    def share(self, path: str, package: PackageTree) -> None:
        """Notes that a package brings the very file that is there."""
        self._sharing[path].append(package)

    def settle(self, path: str, holder: PackageTree | None, package: PackageTree) -> Verdict:
        """Who has a path: its holder (None for the base) or a package with a different file."""
        there = self._claims.get(path)
        if there is None:
            there = self._claims_of(path, holder)
        new = self._claim(package, path)
        lost = beaten(there)
        holding = [claim for claim in there if claim not in lost]
        if not holding or not all(is_decided(c[1].color, new[1].color) for c in holding):
            return Verdict(may_come=False)
        clash = first_clash(lost, new)
        if clash is not None:
            return Verdict(may_come=False, opponent=str(clash[0][0].nevra))
        self._claims[path] = [*there, new]
        return Verdict(may_come=True, wins=not gives_way(new[1].color, holding[0][1].color))

    def states(self) -> FileStates:
        """Who has the paths that were decided and who gave way, by positions in the headers."""
        states: dict[Nevra, dict[int, FileState]] = defaultdict(dict)
        for path in self._claims:
            for header, file in self._claims[path]:
                states[header.nevra][header.files.index(file)] = FileState.NORMAL
            for header, file in self._beaten(path):
                states[header.nevra][header.files.index(file)] = FileState.WRONG_COLOR
        return states

    def notes(self) -> list[str]:
        """Who had to give way, in words; paths as they are in the packages."""
        return [
            f"{shown(file.path)}: {header.nevra} gives way to {self._winner(path)[0].nevra}, "
            "whose file is of 64 bits"
            for path in self._claims
            for header, file in self._beaten(path)
        ]

    def without_lost(self, package: PackageTree) -> PackageTree:
        """The package without the owners of files that are another's."""
        gone = {
            path
            for path in self._claims
            if any(header.nevra == package.nevra for header, _ in self._beaten(path))
        }
        return replace(package, owners=tuple(o for o in package.owners if o.path not in gone))

    def _beaten(self, path: str) -> Sequence[Claim]:
        known = {header.nevra for header, _ in self._claims[path]}
        more = [p for p in self._sharing.get(path, ()) if p.nevra not in known]
        return beaten([*self._claims[path], *(self._claim(p, path) for p in more)])

    def _winner(self, path: str) -> Claim:
        lost = beaten(self._claims[path])
        return next(claim for claim in self._claims[path] if claim not in lost)

    def _claims_of(self, path: str, holder: PackageTree | None) -> list[Claim]:
        if holder is not None:
            return [self._claim(holder, path)]
        return [claim for claim in self._base().claims(path) if not claim[1].is_ghost]

    def _claim(self, package: PackageTree, path: str) -> Claim:
        if package.nevra not in self._read:
            header = read_package_header(self._store, package)
            placed = {file.path: file.source for file in place(header).files}
            self._read[package.nevra] = (header, placed)
        header, files = self._read[package.nevra]
        return header, files[path]
