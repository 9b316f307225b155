"""A change that is about to be made: what the plan shows and what `apply` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from layer.audit.verdict import Audit
from layer.effects import NO_EFFECTS, Effects
from layer.frozen import dataclass
from layer.grouped import NO_NEWS, GroupNews
from layer.lock import Lock
from layer.model import (
    Commit,
    Deployment,
    LockedPackage,
    Nevra,
    Package,
    PackageHeader,
    Repository,
    Resolution,
    SigningKey,
)
from layer.nevra import successors
from layer.origin import Origin
from layer.packages import PackageDiff


@dataclass(frozen=True, slots=True, order=True)
class Leftover:
    """A path on the machine (absolute there) that stays when its package goes.

    `file` is where it lies in the sysroot. `is_edited`: it holds what somebody
    wrote since, so nobody but its owner may take it away.
    """

    path: str
    package: str
    file: Path
    is_edited: bool


# Written along with any edit of accounts, or at each boot; no admin has made them.
_ASIDE = {
    "/etc/passwd-": "the state before the last edit, by useradd and systemd-sysusers",
    "/etc/group-": "the same",
    "/etc/shadow-": "the same",
    "/etc/gshadow-": "the same",
    "/etc/subuid-": "the same",
    "/etc/subgid-": "the same",
    "/etc/.pwd.lock": "what whoever edits accounts locks",
    "/etc/.updated": "when systemd-update-done.service last ran",
}


@dataclass(frozen=True, slots=True, order=True)
class EtcEdit:
    """A path below /etc (absolute) and what happened to it: `A`, `M` or `D`.

    Of a directory that was added or removed only itself is named.
    """

    path: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def is_aside(self) -> bool:
        """Whether only a program cares, which keeps the file beside what somebody did change."""
        return self.path in _ASIDE


@dataclass(frozen=True, slots=True)
class Told:
    """What the plan of a change said when its commit was built: to people, and as JSON."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is going to happen: from a deployment to an origin, and the packages that it takes.

    `base_packages` is what differs between two bases, None where they do not say it.
    `headers` are those of the resolution's packages, in its order, `audits` what
    becomes of their scriptlets, `base_audits` what becomes of triggers that packages of the base
    have for them, `unmade` links of these at whose paths something is; `to_fetch`
    are the packages that are not in the store yet; `triggers` are the names of
    those that will fire, `bringing` those of packages that bring triggers of their
    own, which are known when the packages are here. `previous` is the lock of what
    is layered now, `lock` what holds packages and ids where they are. `files` are
    packages that came as files, by checksum. `keys` vouch for packages and are new to the
    machine; `repositories` are those that were read, with the mirrors that they were found at.
    `overlay` is the initrd of what is tracked in /etc; `is_overlay_new`: the deployment is wanted
    for its sake, too.
    `expected` is the commit that must come of it, "" for any.
    `again` is a commit that is here, "" where the tree is made: `lock` is then its own, nothing is
    resolved then, and `told` is what its plan said, if one did. `effects` is what it does to the
    machine. `group_news` is what came of reading groups, where these were read.
    """

    stateroot: str
    pending: Deployment | None
    before: Origin | None
    after: Origin
    previous_base: Commit | None
    base: Commit
    base_packages: PackageDiff | None = None
    previous: Lock
    lock: Lock
    resolution: Resolution = field(default_factory=Resolution)
    headers: tuple[PackageHeader, ...] = ()
    audits: tuple[Audit, ...] = ()
    unmade: tuple[str, ...] = ()
    to_fetch: tuple[Package, ...] = ()
    triggers: tuple[str, ...] = ()
    bringing: tuple[str, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    kernel_arguments: tuple[str, ...]
    overlay: bytes = field(default=b"", repr=False)
    is_overlay_new: bool = False
    files: tuple[tuple[str, Path], ...] = ()
    keys: tuple[SigningKey, ...] = ()
    repositories: tuple[Repository, ...] = ()
    again: str = ""
    told: Told | None = None
    expected: str = ""
    effects: Effects = NO_EFFECTS
    base_audits: tuple[Audit, ...] = ()
    group_news: GroupNews = NO_NEWS

    @property
    def open_base_audits(self) -> tuple[Audit, ...]:
        """Those of the base with lines that nothing stands in for, of what comes or is new."""
        names = {nevra.name for nevra in self.brought}
        is_other = self.previous_base != self.base
        return tuple(
            audit
            for audit in self.base_audits
            if audit.unknown and (is_other or names & set(audit.runs_for))
        )

    @property
    def is_empty(self) -> bool:
        """Whether the pending deployment is all this already."""
        return (
            self.pending is not None
            and self.pending.kernel_arguments == self.kernel_arguments
            and self.before == self.after
            and self.previous_base == self.base
            and not (self.added or self.removed or self.moved or self.is_overlay_new)
            and (bool(self.again) or self.previous.gone == self.resolution.gone)
            and {self.again, self.expected} <= {"", self.pending.checksum}
        )

    @property
    def restored(self) -> tuple[Nevra, ...]:
        """Packages of the base that are in the tree again."""
        if self.again or self.previous_base != self.base:
            return ()
        return tuple(sorted(set(self.previous.gone) - set(self.resolution.gone)))

    @property
    def added(self) -> tuple[Nevra, ...]:
        """Packages that take no other one's place."""
        moved = {new for _, new in self.moved}
        return tuple(nevra for nevra in self._new if nevra not in moved)

    @property
    def removed(self) -> tuple[Nevra, ...]:
        """Packages in whose place no other one comes."""
        moved = {old for old, _ in self.moved}
        return tuple(nevra for nevra in self._old if nevra not in moved)

    @property
    def moved(self) -> tuple[tuple[Nevra, Nevra], ...]:
        """Packages that were layered and now are another file: the old and the new."""
        found = {new: old for old, new in successors(self._old, self._new).items()}
        return tuple((found[nevra], nevra) for nevra in self._new if nevra in found)

    @property
    def brought(self) -> frozenset[Nevra]:
        """The packages that are new or another file than before."""
        return frozenset({*self.added, *(new for _, new in self.moved)})

    @property
    def _new(self) -> tuple[Nevra, ...]:
        """What is layered now, but for files that were before."""
        before = {package.checksum for package in self.previous.packages}
        return tuple(p.nevra for p in self._packages() if p.checksum not in before)

    @property
    def _old(self) -> tuple[Nevra, ...]:
        """What was layered before, but for files that still are."""
        after = {package.checksum for package in self._packages()}
        return tuple(p.nevra for p in self.previous.packages if p.checksum not in after)

    def _packages(self) -> Sequence[Package | LockedPackage]:
        return self.lock.packages if self.again else self.resolution.packages
