"""Lists of packages, and what differs between two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from hashlib import sha1
from typing import Any

from layer.frozen import dataclass
from layer.model import Nevra

# rpm-ostree's numbers for what happened to a package (RpmOstreePackageDiffType).
_ADDED, _REMOVED, _UPGRADED, _DOWNGRADED = range(4)


@dataclass(frozen=True, slots=True)
class ListedPackage:
    """A package of a tree; `header` is the checksum of its header's file in the store.

    `is_derived`: that file was made from the rpm database, as the tree has none.
    """

    nevra: Nevra
    header: str
    is_layered: bool = False
    is_derived: bool = False


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that is another now; `old` or `new` is None where there is none."""

    old: ListedPackage | None
    new: ListedPackage | None

    @property
    def name(self) -> str:
        """The package's name."""
        return self.either.nevra.name

    @property
    def is_layered(self) -> bool:
        """Whether the package is layered; one that moves into the base no longer is."""
        return self.either.is_layered

    @property
    def either(self) -> ListedPackage:
        """The new one, or the old one where there is no new."""
        either = self.new or self.old
        assert either is not None
        return either


@dataclass(frozen=True, slots=True)
class PackageDiff:
    """What differs between two lists, each sorted; rebuilt are other files of the same NEVRA."""

    upgraded: tuple[PackageChange, ...] = ()
    downgraded: tuple[PackageChange, ...] = ()
    removed: tuple[PackageChange, ...] = ()
    added: tuple[PackageChange, ...] = ()
    rebuilt: tuple[PackageChange, ...] = ()


def diff(
    old: Iterable[ListedPackage],
    new: Iterable[ListedPackage],
    compare: Callable[[Nevra, Nevra], int],
) -> PackageDiff:
    """What differs; `compare` gives -1, 0 or 1 for the versions of two packages."""
    before, after = ({p.nevra: p for p in packages} for packages in (old, new))
    gone: dict[str, list[ListedPackage]] = defaultdict(list)
    come: dict[str, list[ListedPackage]] = defaultdict(list)
    for nevra in sorted(before.keys() ^ after.keys()):
        if nevra in before:
            gone[nevra.name].append(before[nevra])
        else:
            come[nevra.name].append(after[nevra])
    found: dict[str, list[PackageChange]] = defaultdict(list)
    for name in sorted(gone.keys() | come.keys()):
        for change in _changes(gone[name], come[name]):
            found[_kind(change, compare)].append(change)
    for nevra in sorted(before.keys() & after.keys()):
        one, other = before[nevra], after[nevra]
        if one.header != other.header and one.is_derived == other.is_derived:
            found["rebuilt"].append(PackageChange(one, other))
    return PackageDiff(**{kind: tuple(changes) for kind, changes in found.items()})


def select(packages: Iterable[ListedPackage], patterns: Sequence[str]) -> tuple[ListedPackage, ...]:
    """Those that any of the shell patterns fits: by name, NAME.ARCH, name and version, NEVRA."""
    return tuple(
        package
        for package in packages
        if any(fnmatchcase(form, pattern) for form in _forms(package) for pattern in patterns)
    )


def version_of(packages: Iterable[ListedPackage]) -> str:
    """The number of packages and a digest of their names, as `rpm-ostree db version` has it."""
    nevras = sorted(package.nevra for package in packages)
    digest = sha1(usedforsecurity=False)
    for nevra in nevras:
        epoch = f"{nevra.epoch}:" if nevra.epoch else ""
        text = f"{epoch}{nevra.name}-{nevra.version}-{nevra.release}.{nevra.arch}"
        digest.update(text.encode())
    return f"{len(nevras)}:{digest.hexdigest()}"


def list_as_json(checksum: str, packages: Iterable[ListedPackage]) -> dict[str, Any]:
    """The object that `layer db list --json` prints."""
    return {
        "ostree-commit": checksum,
        "packages": [
            {
                "nevra": str(package.nevra),
                "name": package.nevra.name,
                "evr": package.nevra.evr,
                "arch": package.nevra.arch,
                "layered": package.is_layered,
            }
            for package in packages
        ],
    }


def diff_as_json(old: str, new: str, item: PackageDiff) -> dict[str, Any]:
    """The object that `rpm-ostree db diff --format=json` prints; `layered` and `rebuilt` are ours.

    `old` and `new` are the checksums of the commits.
    """
    kinds = (
        (_UPGRADED, item.upgraded),
        (_DOWNGRADED, item.downgraded),
        (_REMOVED, item.removed),
        (_ADDED, item.added),
    )
    entries = [(c.name, kind, _values(c)) for kind, changes in kinds for c in changes]
    return {
        "ostree-commit-from": old,
        "ostree-commit-to": new,
        "pkgdiff": sorted(entries, key=lambda entry: entry[:2]),
        "rebuilt": [(c.name, _values(c)) for c in item.rebuilt],
    }


def _changes(gone: list[ListedPackage], come: list[ListedPackage]) -> Iterator[PackageChange]:
    """Pairs where it is clear which package took which one's place, else goings and comings."""
    for arch in sorted({package.nevra.arch for package in (*gone, *come)}):
        old, new = ([p for p in packages if p.nevra.arch == arch] for packages in (gone, come))
        if len(old) == len(new) == 1:
            yield PackageChange(old[0], new[0])
            gone = [p for p in gone if p is not old[0]]
            come = [p for p in come if p is not new[0]]
    if len(gone) == len(come) == 1:
        yield PackageChange(gone[0], come[0])
        return
    yield from (PackageChange(package, None) for package in gone)
    yield from (PackageChange(None, package) for package in come)


def _kind(change: PackageChange, compare: Callable[[Nevra, Nevra], int]) -> str:
    if change.old is None:
        return "added"
    if change.new is None:
        return "removed"
    return "downgraded" if compare(change.old.nevra, change.new.nevra) > 0 else "upgraded"


def _forms(package: ListedPackage) -> tuple[str, ...]:
    nevra = package.nevra
    return (nevra.name, f"{nevra.name}.{nevra.arch}", f"{nevra.name}-{nevra.evr}", str(nevra))


def _values(change: PackageChange) -> dict[str, Any]:
    values: dict[str, Any] = {"layered": change.is_layered}
    for key, package in (("PreviousPackage", change.old), ("NewPackage", change.new)):
        if package is not None:
            values[key] = [package.nevra.name, package.nevra.evr, package.nevra.arch]
    return values
