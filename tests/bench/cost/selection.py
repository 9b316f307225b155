"""Which packages of the full set make bases of a given number of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A package of the set: what it gives and needs, by name alone, and its files."""

    name: str
    provides: frozenset[str]
    requires: tuple[tuple[str, ...], ...]  # of each some that are enough
    files: int


class Graph:
    """The packages of a set, and who needs whom."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = {member.name: member for member in members}
        self._providers: dict[str, list[str]] = {}
        for name in sorted(self.members):
            for capability in sorted({name, *self.members[name].provides}):
                self._providers.setdefault(capability, []).append(name)

    def files(self, names: Iterable[str]) -> int:
        """How many files they have together."""
        return sum(self.members[name].files for name in names)

    def tainted(self, names: Iterable[str]) -> set[str]:
        """These, and all packages that cannot be without one of them."""
        found = set(names)
        while True:
            more = {name for name in self.members.keys() - found if self._cannot(name, found)}
            if not more:
                return found
            found |= more

    def closure(self, name: str, there: set[str], without: set[str]) -> set[str]:
        """The package and what it needs beyond what is there."""
        found: set[str] = set()
        todo = [name]
        while todo:
            one = todo.pop()
            if one in found or one in there:
                continue
            found.add(one)
            for wanted in self.members[one].requires:
                providers = [p for p in self._all_providers(wanted) if p not in without]
                if providers and not there.union(found).intersection(providers):
                    todo.append(providers[0])
        return found

    def leaves(self, names: set[str]) -> list[str]:
        """Those of the names that none of the others needs, sorted."""
        needed = {
            provider
            for name in names
            for wanted in self.members[name].requires
            for provider in self._all_providers(wanted)
            if provider != name
        }
        return sorted(names - needed)

    def _all_providers(self, wanted: Iterable[str]) -> list[str]:
        return [name for capability in wanted for name in self._providers.get(capability, ())]

    def _cannot(self, name: str, without: set[str]) -> bool:
        for wanted in self.members[name].requires:
            providers = self._all_providers(wanted)
            if providers and without.issuperset(providers):
                return True
        return False


def alternatives(requirement: str) -> tuple[str, ...]:
    """The capabilities of which one is enough, by name: several in a rich dependency."""
    if not requirement.startswith("("):
        return (requirement,)
    return tuple(part.split()[0] for part in requirement.strip("()").split(" or "))


def grown(
    graph: Graph, core: set[str], without: set[str], sizes: Sequence[int]
) -> Mapping[int, tuple[str, ...]]:
    """For each size, in rising order, a closed set of packages with at most so many files.

    Each contains the one before, and `core`; as few files as can be are missing.
    """
    there = set(core)
    found = {}
    for size in sorted(sizes):
        room = size - graph.files(there)
        for name in sorted(graph.members):
            if name in there or name in without:
                continue
            more = graph.closure(name, there, without)
            taken = graph.files(more)
            if taken <= room and not more & without:
                there |= more
                room -= taken
        found[size] = tuple(sorted(there))
    return found
