"""A sysroot with a base deployed, which every scene finds as it was."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layer.host import Host, Options, open_host
from layer.importer import find_package
from layer.model import Commit, Nevra
from layer.store.objects import OstreeStore
from layer.store.sysroot import initialize
from tests.bench.cost.metering import Cost, measure
from tests.world import ostree, write_repo_file

STATEROOT = "bench"


@dataclass(frozen=True, slots=True)
class Start:
    """What a machine begins with: a bare repository with two versions of a base, and packages."""

    repository: Path
    versions: tuple[str, str]
    packages: Path  # a directory of RPMs with its repodata


class Machine:
    """A sysroot of its own below `folder`; objects are hard links to the repository's.

    What scenes take away between them stays in `bin` to the end: ext4 passes over each inode
    that was freed in the last minutes, which the next to make files would pay for.
    """

    def __init__(self, folder: Path, start: Start, *, is_synced: bool = True) -> None:
        self.folder = folder
        self.synced = folder if is_synced else None  # whose filesystem runs wait for
        self.start = start
        self.path = folder / "sysroot"
        self.repos = folder / "repos"
        self.taken: dict[str, list[Path]] = {}  # the RPMs that come with a package
        self._profile = folder / "profile.json"
        self._number = itertools.count()
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        self.repos.mkdir()
        write_repo_file(self.repos, "bench", start.packages.as_uri())
        initialize(self.path, STATEROOT)
        repo = f"--repo={self.path}/ostree/repo"
        ostree("pull-local", repo, str(start.repository), *start.versions)
        ostree("refs", repo, "--create=next", start.versions[1])
        self._set_base(0)
        ostree("admin", "deploy", f"--sysroot={self.path}", f"--os={STATEROOT}", "base")
        ostree("admin", "pin", f"--sysroot={self.path}", "0")  # else an upgrade takes it away

    def layer(self, verb: str, *words: str, is_deployed: bool = True) -> Cost:
        """What the real program costs; without a deployment where it is not to come so far."""
        program = "layer" if is_deployed else "tests.bench.cost.commit_only"
        options = ["--sysroot", str(self.path)]
        if verb != "cleanup":
            options += ["--repo-dir", str(self.repos), "-y"]
        command = [sys.executable, "-m", program, "--profile-json", str(self._profile), verb]
        return measure([*command, *options, *words], self.synced, self._profile)

    def host(self) -> Host:
        """A fresh view of it."""
        return open_host(self.path, Options(repository_directories=(self.repos,)))

    def newest(self) -> Commit:
        """What was derived from the base last, deployed or not."""
        heads = self.path / "ostree/repo/refs/heads/layer/derived"
        found = max(heads.iterdir(), key=lambda ref: ref.stat().st_mtime_ns)
        return self.host().store.read_commit(found.name)

    def imported(self, nevras: Sequence[Nevra]) -> list[str]:
        """The commits of packages, in the order of their names."""
        store = self.host().store
        commits = {}
        for ref in sorted(store.refs("layer/pkg")):
            package = find_package(store, ref.rpartition("/")[2])
            if package is not None:
                commits[package.nevra] = package.commit
        return [commits[nevra] for nevra in sorted(nevras)]

    def offer_next(self) -> None:
        """The next version of the base is there to upgrade to."""
        self._set_base(1)

    def forget(self, *kinds: str) -> None:
        """Removes refs of layer's of these kinds, and what only they held."""
        for kind in kinds:
            shutil.rmtree(self.path / "ostree/repo/refs/heads" / kind, ignore_errors=True)
        self._keep_objects()
        ostree("prune", f"--repo={self.path}/ostree/repo", "--refs-only")

    def undeploy(self) -> None:
        """Leaves the base alone deployed; what was imported stays."""
        while others := [d for d in self.host().sysroot.deployments() if not d.is_pinned]:
            path = others[0].path
            subprocess.run(["chattr", "-i", path], check=True)
            self.discard(path)
            path.mkdir()
            ostree("admin", "undeploy", f"--sysroot={self.path}", str(others[0].index))
        self.discard(self.folder / "checkout")

    def discard(self, path: Path) -> None:
        """Takes a directory away, if it is there."""
        if path.exists():
            path.rename(self._bin / str(next(self._number)))

    def reset(self) -> None:
        """As at the beginning, but for the metadata of repositories, which is warm."""
        self._set_base(0)
        self.undeploy()
        for header in (self.path / f"ostree/deploy/{STATEROOT}/var/cache/layer").glob("headers/*"):
            header.unlink()
        self.forget("layer", "classic")

    def _keep_objects(self) -> None:
        """Gives a second name to each object that only this repository has."""
        kept = self._bin / str(next(self._number))
        kept.mkdir()
        for folder in os.scandir(self.path / "ostree/repo/objects"):
            for entry in os.scandir(folder):
                if entry.stat(follow_symlinks=False).st_nlink == 1:
                    os.link(entry, kept / entry.name, follow_symlinks=False)

    def _set_base(self, version: int) -> None:
        repo = f"--repo={self.path}/ostree/repo"
        ostree("refs", repo, "--delete", "base")
        ostree("refs", repo, "--create=base", self.start.versions[version])

    @property
    def store(self) -> OstreeStore:
        """Its repository."""
        return self.host().store

    @property
    def deployment(self) -> Path:
        """The checkout that boots next."""
        return self.host().require_pending().path
