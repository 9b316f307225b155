"""What is measured: each scene by all who can play it, to the same point, with equal trees."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from layer.layout import place
from layer.lock import read_lock, read_record
from layer.model import Commit, Nevra, PackageHeader
from layer.rpmfile.header import read_header
from layer.store.contract import ObjectStore
from layer.store.trees import diff, lookup
from tests.bench.cost.machine import Machine
from tests.bench.cost.metering import Cost
from tests.bench.cost.rivals import Classic, Root
from tests.world import ostree

LAYER, DNF, RPM, CLASSIC = "layer", "dnf --installroot", "rpm -U", "classic"
SMALL, SMALL_AGAIN = "small, commit only", "small again, commit only"
SMALL_BOOT, SMALL_ALL = "small, to the boot entry", "small, with all deferred work"
SMALL_OFF = "small taken away, to the boot entry"
LARGE, LARGE_KEPT = "large, commit only", "large, imported before"
LARGE_AGAIN, LARGE_BOOT = "large again, commit only", "large again, to the boot entry"
UPGRADE, LARGE_OFF = "upgrade with large", "large taken away, to the boot entry"
SCENES = (
    *(SMALL, SMALL_AGAIN, SMALL_BOOT, SMALL_ALL, SMALL_OFF),
    *(LARGE, LARGE_KEPT, LARGE_AGAIN, LARGE_BOOT, UPGRADE, LARGE_OFF),
)
Sample = tuple[str, str, Cost]  # scene, contender


class Unequal(Exception):
    """Two sides did not make the same tree."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is layered: a small package, a large one, and what of it is agreed to."""

    small: str
    large: str
    accepted: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The options of verbs that bring the large one."""
        return tuple(w for name in self.accepted for w in ("--accept-unscripted", name))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenes are played, and by whom beside layer."""

    machine: Machine
    subject: Subject
    root: Root
    classic: Classic

    def play(self, *, is_first: bool, is_turned: bool) -> Iterator[Sample]:
        """One round of all scenes; trees are compared in the first. `is_turned`: rivals begin."""
        for package, scenes in (
            (self.subject.small, (self._small, self._small_to_boot)),
            (self.subject.large, (self._large, self._large_to_boot)),
        ):
            self.machine.reset()
            if is_first:
                self.machine.layer(*self._install(package), is_deployed=False)
                self._compare(package)
                self.machine.reset()
            for scene in scenes:
                yield from scene(is_turned=is_turned)

    def _small(self, *, is_turned: bool) -> Iterator[Sample]:
        install = self._install(self.subject.small)
        name = self.subject.small
        if is_turned:
            yield from self._rivals(SMALL, name)
        yield SMALL, LAYER, self.machine.layer(*install, is_deployed=False)
        self.machine.forget("layer/derived")
        yield SMALL_AGAIN, LAYER, self.machine.layer(*install, is_deployed=False)
        yield SMALL, CLASSIC, self._classic("commit")
        self._clear_classic()
        if not is_turned:
            yield from self._rivals(SMALL, name)

    def _small_to_boot(self, *, is_turned: bool) -> Iterator[Sample]:
        """Both have imported the package."""
        self.machine.forget("layer/derived", "classic")
        if is_turned:
            yield from self._classic_to_boot()
        self._rest()
        deployed = self.machine.layer(*self._install(self.subject.small))
        yield SMALL_BOOT, LAYER, deployed
        yield SMALL_ALL, LAYER, deployed.plus(self.machine.layer("cleanup", "-b"))
        yield SMALL_OFF, LAYER, self.machine.layer("uninstall", self.subject.small)
        self.machine.undeploy()
        if not is_turned:
            yield from self._classic_to_boot()

    def _large(self, *, is_turned: bool) -> Iterator[Sample]:
        install = self._install(self.subject.large)
        if is_turned:
            yield from self._rivals(LARGE, self.subject.large)
        yield LARGE, LAYER, self.machine.layer(*install, is_deployed=False)
        if not is_turned:
            yield from self._rivals(LARGE, self.subject.large)
        self.machine.forget("layer/derived", "layer/trigger")
        yield LARGE_KEPT, LAYER, self.machine.layer(*install, is_deployed=False)
        self.machine.forget("layer/derived")
        yield LARGE_AGAIN, LAYER, self.machine.layer(*install, is_deployed=False)

    def _large_to_boot(self, *, is_turned: bool) -> Iterator[Sample]:
        del is_turned  # nobody else plays
        self.machine.forget("layer/derived")
        self._rest()
        yield LARGE_BOOT, LAYER, self.machine.layer(*self._install(self.subject.large))
        self.machine.offer_next()
        self._rest()
        yield UPGRADE, LAYER, self.machine.layer("upgrade", *self.subject.words)
        self._rest()
        yield LARGE_OFF, LAYER, self.machine.layer("uninstall", self.subject.large)

    def _rest(self) -> None:
        """What the timer of `layer cleanup` does between a boot and the next change."""
        self.machine.layer("cleanup", "-b")

    def _rivals(self, scene: str, package: str) -> Iterator[Sample]:
        yield scene, DNF, self.root.dnf(package)
        yield scene, RPM, self.root.rpm(self._files(package))

    def _classic_to_boot(self) -> Iterator[Sample]:
        deployed = self._classic("deploy")
        yield SMALL_BOOT, CLASSIC, deployed
        yield SMALL_ALL, CLASSIC, deployed.plus(self.classic.clean_up(self.machine))
        self._clear_classic()

    def _classic(self, stop: str) -> Cost:
        """From the start that layer has."""
        files = self._files(self.subject.small)
        commits = self.machine.imported([read_header(path).nevra for path in files])
        return self.classic.run(self.machine, stop, commits, files)

    def _clear_classic(self) -> None:
        self.machine.undeploy()
        self.machine.forget("classic")

    def _install(self, package: str) -> tuple[str, ...]:
        return ("install", package, *(self.subject.words if package == self.subject.large else ()))

    def _files(self, package: str) -> list[Path]:
        """The RPMs that layer takes for a package: as many as it takes for the rivals."""
        known = self.machine.taken.get(package)
        if known is None:
            nevras = [p.nevra for p in read_lock(self.machine.newest()).packages]
            known = [_file(self.machine.start.packages, nevra) for nevra in sorted(nevras)]
            self.machine.taken[package] = known
        return known

    def _compare(self, package: str) -> None:
        """Unequal, unless dnf, rpm and the classic way make what layer has just made."""
        ours = self.machine.newest()
        files = self._files(package)
        headers = [read_header(path) for path in files]
        store = self.machine.store
        wanted = {p: d for h in headers for p, d in _contents(store, ours, h).items()}
        for name, install in (
            (DNF, lambda: self.root.dnf(package)),
            (RPM, lambda: self.root.rpm(files)),
        ):
            install()
            if found := self.root.differences(wanted):
                raise Unequal(f"{name} did not make {', '.join(found[:5])}")
        if package == self.subject.small:
            self._compare_classic(ours)

    def _compare_classic(self, ours: Commit) -> None:
        """All but what layer itself writes: its rpm database has one date on all machines."""
        self._classic("commit")
        store = self.machine.store
        repo = f"--repo={self.machine.path}/ostree/repo"
        theirs = store.read_commit(ostree("rev-parse", repo, "classic").strip())
        found = diff(store, ours.root, theirs.root)
        own = {path for path, _ in read_record(ours).written}
        differing = {*found.added, *found.changed, *found.removed} - own
        if differing:
            raise Unequal(f"the classic way made others: {', '.join(sorted(differing)[:5])}")
        self._clear_classic()


def _file(packages: Path, nevra: Nevra) -> Path:
    name = f"{nevra.name}-{nevra.version}-{nevra.release}.{nevra.arch}.rpm"
    return next(packages.rglob(name))


def _contents(store: ObjectStore, ours: Commit, header: PackageHeader) -> Mapping[str, str]:
    """The package's files in our tree: where they are in others, and their SHA-256.

    Unequal where ours is another one than the package's.
    """
    found = {}
    for placed in place(header).files:
        source = placed.source
        if not stat.S_ISREG(source.mode) or not source.digest:
            continue
        checksum = lookup(store, ours.root, placed.path)
        if not isinstance(checksum, str):
            raise Unequal(f"{header.nevra}: there is no {placed.path}")
        with store.open_file(checksum) as content:
            digest = hashlib.sha256(content.read()).hexdigest()
        if digest != source.digest:
            raise Unequal(f"{header.nevra}: {placed.path} is another one")
        found[source.path] = digest
    return found
