"""Paths that two packages, or a package and the base, want for themselves, as headers tell it.

What headers cannot tell is left to `assembly.merge`, which compares what is there.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from layer.errors import Conflict
from layer.layout import PlacedFile, is_root
from layer.model import Commit, Nevra, PackageFile, PackageHeader, Tree
from layer.multilib import gives_way, is_decided
from layer.paths import directories_above, user_path
from layer.store.contract import ObjectStore
from layer.store.trees import lookup, lookup_all
from layer.words import shown

if TYPE_CHECKING:
    from layer.ownership import Ownership

DIFFERENT = "different content, mode or owner"
FILE_OVER_DIRECTORY = "a file over a directory"
DIRECTORY_OVER_FILE = "a directory over a file"

Placed = tuple[PackageHeader, Sequence[PlacedFile]]
Claim = tuple[PackageHeader, PackageFile]


def check_conflicts(
    store: ObjectStore,
    base: Commit,
    packages: Sequence[Placed],
    *,
    gone: Collection[str] = (),
    without: Collection[Nevra] = (),
) -> None:
    """Raises Conflict, which names every path and its owners, where the headers show any.

    The base's packages `without`, and the paths `gone` with them, are in nobody's way.
    """
    ordered = sorted(packages, key=lambda placed: placed[0].nevra)
    lines = [*_among(ordered), *_with_base(store, base, ordered, gone, without)]
    if lines:
        raise conflict(lines)


def conflict(lines: Sequence[str]) -> Conflict:
    """The error for all paths at once."""
    return Conflict(
        "these paths have two owners:\n  " + "\n  ".join(sorted(set(lines))),
        "leave out one of the packages",
    )


def line(path: str, first: str, second: str, what: str) -> str:
    """One path of a tree, who had it and who wants it, and why that cannot be."""
    return f"{shown(user_path(path))}: {first} and {second}: {what}"


def owner_in(ownership: Ownership, path: str) -> str:
    """Whose a path of the base is, in words."""
    owner = ownership.owner_of(path)
    found = (owner,) if owner else ownership.owners_of_directory(path)
    return str(found[0]) if found else "the base"


def _among(packages: Sequence[Placed]) -> Iterator[str]:
    taken: dict[str, list[Claim]] = defaultdict(list)
    implied: dict[str, set[Nevra]] = defaultdict(set)  # the packages that have files below a path
    for header, files in packages:
        for folder in directories_above(placed.path for placed in files):
            implied[folder].add(header.nevra)
    for header, files in packages:
        for placed in files:
            claims, new = taken[placed.path], (header, placed.source)
            clash = first_clash(claims, new)
            if clash is not None:
                yield line(placed.path, str(clash[0][0].nevra), str(header.nevra), clash[1])
            elif all(is_decided(claim[1].color, placed.source.color) for claim in claims):
                claims.append(new)
            if not stat.S_ISDIR(placed.source.mode):
                yield from _over_implied(placed.path, header.nevra, implied.get(placed.path, set()))


def _over_implied(path: str, nevra: Nevra, others: set[Nevra]) -> Iterator[str]:
    """A file where others have files below; the package that comes first has the path."""
    for other in others - {nevra}:
        if nevra < other:
            yield line(path, str(nevra), str(other), DIRECTORY_OVER_FILE)
        else:
            yield line(path, str(other), str(nevra), FILE_OVER_DIRECTORY)


def beaten(claims: Sequence[Claim]) -> list[Claim]:
    """Those whose file gives way to another's of the same path."""
    return [c for c in claims if any(gives_way(c[1].color, other[1].color) for other in claims)]


def first_clash(claims: Sequence[Claim], new: Claim) -> tuple[Claim, str] | None:
    """The claim beside which another cannot be, and why; first of those that have the path."""
    if not claims:
        return None  # as of nearly all paths
    lost = beaten(claims)
    for claim in sorted(claims, key=lambda claim: claim in lost):
        what = _clash(claim, new)
        if what:
            return claim, what
    return None


def _clash(first: Claim, second: Claim) -> str:
    """Why two packages cannot both have a path, "" where they can or headers do not say it."""
    is_first, is_second = (stat.S_ISDIR(claim[1].mode) for claim in (first, second))
    if is_first and is_second:
        return ""
    if is_first:
        return FILE_OVER_DIRECTORY
    if is_second:
        return DIRECTORY_OVER_FILE
    return DIFFERENT if _differ(first, second) else ""


def _differ(first: Claim, second: Claim) -> bool:
    """Whether two files of one path certainly differ."""
    (header, one), (other_header, other) = first, second
    if is_decided(one.color, other.color):
        return False  # one of them is not there at all
    if (one.mode, one.link_to) != (other.mode, other.link_to):
        return True
    if any(_name(a) != _name(b) for a, b in ((one.user, other.user), (one.group, other.group))):
        return True
    if not stat.S_ISREG(one.mode):
        return False
    has_same_algorithm = header.digest_algorithm == other_header.digest_algorithm
    return (
        one.size != other.size
        or bool(one.capabilities) != bool(other.capabilities)
        or (has_same_algorithm and one.digest != other.digest)
    )


def _name(owner: str) -> str:
    return "root" if is_root(owner) else owner


def _with_base(
    store: ObjectStore,
    base: Commit,
    packages: Sequence[Placed],
    gone: Collection[str],
    without: Collection[Nevra],
) -> Iterator[str]:
    with ExitStack() as stack:
        ownership: Ownership | None = None
        for header, path, claim in _met(store, base.root, packages, gone):
            # Only now: mostly nobody meets anything in the base.
            from layer.ownership import open_ownership

            ownership = ownership or stack.enter_context(open_ownership(store, base))
            what, opponent = _clash_with_base(store, base.root, ownership, path, claim, without)
            if what:
                first = opponent or owner_in(ownership, path)
                yield line(path, first, str(header.nevra), what)


def _met(
    store: ObjectStore, base: Tree, packages: Sequence[Placed], gone: Collection[str]
) -> Iterator[tuple[PackageHeader, str, Claim | None]]:
    """Where packages come upon something of the base; no claim for a directory they imply."""
    for header, files in packages:
        implied = directories_above(placed.path for placed in files)
        there = lookup_all(store, base, [*implied, *(placed.path for placed in files)])
        for path in sorted(implied):
            if isinstance(there.get(path), str) and path not in gone:
                yield header, path, None
        for placed in files:
            found = None if placed.path in gone else there.get(placed.path)
            is_directory = stat.S_ISDIR(placed.source.mode)
            if found is not None and not (is_directory and isinstance(found, Tree)):
                yield header, placed.path, (header, placed.source)


def _clash_with_base(
    store: ObjectStore,
    base: Tree,
    ownership: Ownership,
    path: str,
    claim: Claim | None,
    without: Collection[Nevra],
) -> tuple[str, str]:
    """Why it cannot be, and with which package if not with the one that has the path."""
    if isinstance(lookup(store, base, path), Tree):
        return FILE_OVER_DIRECTORY, ""
    if claim is None or stat.S_ISDIR(claim[1].mode):
        return DIRECTORY_OVER_FILE, ""
    if not ownership.is_of_package(path):
        return "", ""  # headers do not say what a trigger wrote
    claims = ownership.claims(path)
    present = [c for c in claims if not c[1].is_ghost and c[0].nevra not in without]
    lost = beaten(present)
    if all(_clash(there, claim) for there in present if there not in lost):
        return DIFFERENT, ""
    clash = first_clash(lost, claim)
    return (clash[1], str(clash[0][0].nevra)) if clash else ("", "")
