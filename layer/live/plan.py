"""The classes of what differs between the /usr that is seen and the one that is pending."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field

from layer.frozen import dataclass
from layer.live.rules import hard
from layer.model import TreeDiff


class LiveClass(enum.Enum):
    """How safe a difference is, from the safest on; the values stand in JSON."""

    OURS = "ours"
    SAFE = "safe"
    SAFE_IDLE = "safe-idle"
    IN_USE = "in-use"
    REFUSED = "refused"


class Difference(enum.Enum):
    """What happens to a path."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process: its number, its name, and the unit of systemd that it belongs to, "" for none."""

    pid: int
    name: str
    unit: str = ""

    def __str__(self) -> str:
        where = f" of {self.unit}" if self.unit else ""
        return f"{self.name} (pid {self.pid}{where})"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose a path is: a package by its NEVRA, "" where nobody knows, or layer's or a trigger's.

    `hard` says what else the package has that only a reboot may change.
    """

    package: str = ""
    is_ours: bool = False
    hard: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Who uses what: of a path the very file, of a package any file of it or of its dependents."""

    files: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    packages: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Differences:
    """All that the classes are decided from.

    `owner` is asked for a path as it is now, or where it is new as it will be; `shadows` are
    added paths with those whose part they take. `attributes` are directories, `types` paths that
    become another kind of file. `refusals` are other facts, each with what it is about.
    """

    diff: TreeDiff
    owner: Callable[[str], Whose]
    shadows: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LiveItem:
    """A path (no leading slash) or another thing, its class, and the reason in words."""

    path: str
    difference: Difference
    package: str
    live_class: LiveClass
    reason: str
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What becomes of each difference, sorted by path; `commit` is what is to be seen.

    `seen` is the commit that is seen now. `notes` say what waits for the reboot all the same.
    """

    commit: str
    seen: str
    items: tuple[LiveItem, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, *classes: LiveClass) -> tuple[LiveItem, ...]:
        """The items of these classes."""
        return tuple(item for item in self.items if item.live_class in classes)

    @property
    def is_empty(self) -> bool:
        """Whether what is pending is seen already."""
        return self.commit == self.seen

    def obstacles(self, *, allow_replacement: bool) -> tuple[LiveItem, ...]:
        """The items for which it cannot be done."""
        wanted = (LiveClass.IN_USE, LiveClass.REFUSED)
        return self.of(*wanted) if allow_replacement else self.of(LiveClass.SAFE_IDLE, *wanted)


def classify(found: Differences, usage: Usage) -> tuple[LiveItem, ...]:
    """The class of each difference, sorted by path."""
    rows = (
        (Difference.ADDED, found.diff.added),
        (Difference.CHANGED, found.diff.changed),
        (Difference.REMOVED, found.diff.removed),
    )
    items = [_item(path, kind, found, usage) for kind, paths in rows for path in paths]
    items += [
        LiveItem(
            path,
            Difference.CHANGED,
            found.owner(path).package,
            LiveClass.REFUSED,
            "owner, mode or label of a directory differ",
        )
        for path in found.attributes
    ]
    items += [
        LiveItem(what, Difference.CHANGED, "", LiveClass.REFUSED, why)
        for what, why in found.refusals
    ]
    return tuple(sorted(items, key=lambda item: (item.path, item.difference.value)))


def packages_to_watch(found: Differences) -> tuple[str, ...]:
    """The packages whose use decides a class, sorted: those with files that change or go."""
    about = [*found.diff.changed, *found.diff.removed, *found.shadows.values()]
    owners = (found.owner(path) for path in about)
    return tuple(sorted({o.package for o in owners if o.package and not o.is_ours}))


def _item(path: str, kind: Difference, found: Differences, usage: Usage) -> LiveItem:
    whose = found.owner(path)
    live_class, reason, processes = _judged(path, kind, whose, found, usage)
    return LiveItem(path, kind, whose.package, live_class, reason, tuple(sorted(processes)))


_Judgement = tuple[LiveClass, str, Sequence[Process]]


def _judged(
    path: str, kind: Difference, whose: Whose, found: Differences, usage: Usage
) -> _Judgement:
    what = hard(path)
    if what:
        return LiveClass.REFUSED, f"it is {what}", ()
    if not path.startswith("usr/"):
        return LiveClass.REFUSED, "it is not below /usr", ()
    if path in found.types:
        return LiveClass.REFUSED, "it becomes another kind of file", ()
    if whose.is_ours:
        return LiveClass.OURS, "written by layer or a trigger", ()
    if path.startswith("usr/etc/"):
        return LiveClass.SAFE, "a default of /etc, which nobody runs from", ()
    if kind is Difference.ADDED:
        return _judged_added(path, found, usage)
    if whose.hard:
        return LiveClass.REFUSED, f"its package has {whose.hard}", ()
    users = usage.files.get(path, ())
    if users:
        return LiveClass.REFUSED, "the file itself is open or mapped", users
    return _by_package(whose, usage)


def _judged_added(path: str, found: Differences, usage: Usage) -> _Judgement:
    other = found.shadows.get(path)
    if other is None:
        return LiveClass.SAFE, "nothing of the name is there", ()
    whose = found.owner(other)
    if whose.hard or hard(other):
        return LiveClass.REFUSED, f"it comes before /{other}: {whose.hard or hard(other)}", ()
    live_class, reason, users = _by_package(whose, usage)
    return live_class, f"it takes or changes the part of /{other}: {reason}", users


def _by_package(whose: Whose, usage: Usage) -> _Judgement:
    if not whose.package:
        return LiveClass.REFUSED, "nobody knows whose it is, nor who uses it", ()
    users = usage.packages.get(whose.package, ())
    if users:
        return LiveClass.IN_USE, "its package, or one that needs it, is in use", users
    return LiveClass.SAFE_IDLE, "nobody uses its package, nor what needs it", ()


def users_of(items: Iterable[LiveItem]) -> tuple[Process, ...]:
    """All processes that stand in the way, sorted."""
    return tuple(sorted({process for item in items for process in item.processes}))
