"""One machine, or one sysroot: its paths, its lock and what is deployed on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layer import bootplan, staged
from layer.configured import read_configured, read_default_access
from layer.errors import InvalidInput, LayerError, NotFound, StoreError
from layer.frozen import dataclass
from layer.kernel_arguments import parse_shipped
from layer.lock import Lock, base_of
from layer.model import Commit, Deployment, NearTree, PackageHeader, Repository, Request, Tree
from layer.next_files import NextFiles
from layer.origin import Origin, parse_origin
from layer.report import SILENT, Reporter
from layer.repository import Access, Preference
from layer.repository_choice import Choice, choose
from layer.settings import PATH as SETTINGS
from layer.settings import Settings, parse_settings
from layer.signing import Fetching
from layer.status import DeploymentState, MachineState, Signature, fulfils
from layer.store.files import read_text
from layer.store.objects import OstreeStore
from layer.store.remote import read_signatures
from layer.store.sysroot import Sysroot
from layer.store.trees import empty_tree, files_of, lookup
from layer.takeover import read_any_lock, read_base
from layer.trigger_set import LocalFiles, read_local, read_triggers
from layer.triggers.format import Trigger
from layer.user_cache import cache_of_user

if TYPE_CHECKING:
    from layer.sandbox.box import SandboxOptions

_KARGS = "usr/lib/bootc/kargs.d"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of a verb may choose about the machine it works on.

    `repository_directories` are read besides the deployment's own
    /etc/yum.repos.d; `cache` holds repository metadata and downloads.
    `accept_unscripted` names packages that may come although nothing does what
    lines of their scriptlets would; `scriptlets` is the policy on such lines, in place
    of the machine's setting, `usual_scriptlets` that where the machine has none.
    `cache_only`: nothing is fetched, neither bases nor packages.
    `command` are the words of the command line, for the history.
    `lock_finalization`: what is staged stays so at shutdown. `once`: it is tried for one boot.
    `preference`: how packages are chosen. `refresh`: the newest is wanted, not the cached.
    `choice`: which repositories count.
    """

    stateroot: str | None = None
    repository_directories: tuple[Path, ...] = ()
    cache: Path | None = None
    wait: bool = True
    sandbox: SandboxOptions | None = None
    accept_unscripted: tuple[str, ...] = ()
    scriptlets: str | None = None
    usual_scriptlets: str = "stop"
    cache_only: bool = False
    command: tuple[str, ...] = ()
    lock_finalization: bool = False
    once: bool = False
    preference: Preference = field(default_factory=Preference)
    refresh: bool = False
    choice: Choice = field(default_factory=Choice)


@dataclass(frozen=True, slots=True)
class Host:
    """The one holder of state: a sysroot and a stateroot in it.

    What a verb has no use for is not loaded: rpm and the audit take longer than all else of it.
    `borrowed` stands over the sysroot's repository for who may not write there.
    """

    sysroot: Sysroot
    stateroot: str
    options: Options
    reporter: Reporter
    borrowed: OstreeStore | None = None

    @property
    def store(self) -> OstreeStore:
        """The sysroot's repository."""
        return self.borrowed or self.sysroot.store

    @property
    def cache(self) -> Path:
        """Where metadata and downloads are kept: in the stateroot's /var, or the user's own."""
        if self.options.cache is not None:
            return self.options.cache
        if is_root():
            return self.sysroot.var(self.stateroot) / "cache/layer"
        return cache_of_user()

    @property
    def fetching(self) -> Fetching:
        """How repositories are fetched."""
        given = self.options
        return Fetching(self.cache, self.reporter, given.cache_only, given.refresh)

    def refreshing(self) -> Host:
        """The same, that asks for the newest of everything."""
        return replace(self, options=replace(self.options, refresh=True))

    def pending(self) -> Deployment | None:
        """The deployment on which the next change builds."""
        return bootplan.pending(self.sysroot.deployments(), self.stateroot)

    def require_pending(self) -> Deployment:
        """The same; NotFound where nothing was deployed yet."""
        found = self.pending()
        if found is None:
            raise NotFound(
                f"{self.stateroot} has no base yet",
                "deploy one: layer rebase REMOTE:REF",
            )
        return found

    def origin(self, deployment: Deployment) -> Origin:
        """What was asked for in a deployment."""
        return parse_origin(deployment.origin)

    def base_commit(self, deployment: Deployment) -> Commit:
        """The base that a deployment stands on: its own commit where nothing is layered."""
        return read_base(self.store, self.store.read_commit(deployment.checksum))

    def find_base(self, deployment: Deployment) -> Commit | None:
        """The same; None where rpm-ostree layered it and its base is not here."""
        with suppress(NotFound):
            return self.base_commit(deployment)
        return None

    def lock_of(self, deployment: Deployment) -> Lock:
        """The lock of what is layered in a deployment, empty where it is pristine."""
        return read_any_lock(self.store, self.store.read_commit(deployment.checksum))

    def places(self) -> tuple[Path, ...]:
        """The directories that are /var, of all stateroots."""
        return tuple(self.sysroot.var(stateroot) for stateroot in self.sysroot.stateroots())

    def state(self) -> MachineState:
        """All deployments of all stateroots, and what became of the one that was staged last."""
        present = self.sysroot.deployments()
        return MachineState(
            deployments=tuple(self._state(deployment) for deployment in present),
            lost=staged.find_lost(self.sysroot.path, self.places(), present),
            is_locked=self.sysroot.is_finalization_locked,
            is_once=staged.is_once(self.sysroot.var(self.stateroot)),
        )

    def repositories(self, target: Commit | None = None) -> tuple[Repository, ...]:
        """The enabled repositories of a base with what the admin edited, and of the caller's.

        They are those of the base to come, never of the one that runs; without `target` of
        the one that boots next.
        """
        return tuple(r for r in self.all_repositories(target) if r.is_enabled)

    def all_repositories(self, target: Commit | None = None) -> tuple[Repository, ...]:
        """The same, disabled ones included."""
        files, base = self._next_files(target)
        found = read_configured(files, base, self.options.repository_directories, self.cache)
        return choose(found, self.options.choice)

    def access(self) -> Access:
        """How servers of no repository are reached, as the deployment to come has it."""
        return read_default_access(*self._next_files(None), self.cache)

    def settings(self) -> Settings:
        """What the machine's admin has set about layer."""
        found = self._merge_source()
        file = found.path / SETTINGS if found else None
        if file is None or not file.is_file():
            return Settings()
        try:
            return parse_settings(file.read_text(), f"/{SETTINGS}")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"cannot read /{SETTINGS}: {error}") from error

    def near(self, base: Commit) -> NearTree:
        """The clean deployment that resembles `base` most, to run triggers over."""
        deployments = [d for d in self.sysroot.deployments() if d.unlocked == "none"]
        for wanted in (base.checksum, None):
            for deployment in deployments:
                commit = self.store.read_commit(deployment.checksum)
                if wanted is None or wanted in (commit.checksum, base_of(commit)):
                    return NearTree(deployment.path, commit.root)
        return NearTree(None, empty_tree(self.store))

    def triggers(self, tree: Tree) -> tuple[Trigger, ...]:
        """The triggers for a tree that this machine is to have, in their order."""
        return read_triggers(self.store, tree, self.local_triggers())

    def local_triggers(self) -> LocalFiles:
        """The trigger files that somebody has changed in the /etc that the next tree takes over."""
        merge = self._merge_source()
        return read_local(merge.path) if merge else {}

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory beside the objects, removed at the end.

        After a TriggerFailed it stays, for the command line that replays the
        failure. libostree removes what is left in this place after a day.
        """
        from layer.pipeline import scratch_in

        with scratch_in(self.store.path / "tmp") as folder:
            yield folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the sysroot's lock; needs root.

        An interruption that came too late, when what boots was changed, is a
        LayerError that says so.
        """
        require_root()
        with self.sysroot.lock(
            wait=self.options.wait,
            on_wait=lambda: self.reporter.note(
                f"waiting: another program works on {self.sysroot.path}"
            ),
        ):
            self._sweep()
            try:
                yield
            except KeyboardInterrupt as error:
                if not self.sysroot.has_written:
                    raise
                raise LayerError(
                    "interrupted, but what boots next was changed already",
                    "`layer status` shows it; `layer rollback` goes back",
                ) from error

    def layered_headers(self) -> tuple[PackageHeader, ...]:
        """The headers of what is layered in the pending deployment."""
        pending = self.pending()
        return self._headers(pending, self.lock_of(pending)) if pending else ()

    def _sweep(self) -> None:
        from layer.sweeping import settle, sweep

        for var in self.places():
            settle(var, self.sysroot.deployments())
        sweep(self.sysroot.path, self.store, self.cache)

    def _merge_source(self) -> Deployment | None:
        """The deployment with the /etc which the next one takes over."""
        return bootplan.merge_source(self.sysroot.deployments(), self.stateroot)

    def _headers(self, deployment: Deployment, lock: Lock) -> tuple[PackageHeader, ...]:
        if not lock.packages:
            return ()
        from layer.takeover import read_headers

        return read_headers(self.store, self.store.read_commit(deployment.checksum), lock)

    def _state(self, deployment: Deployment) -> DeploymentState:
        origin, lock, problem = None, Lock(), ""
        try:
            origin, lock = self.origin(deployment), self.lock_of(deployment)
        except InvalidInput as error:
            problem = error.message  # shown beside the deployments that can be read
        requests = origin.requests if origin else ()
        headers = self._headers(deployment, lock)
        active = tuple(r for r in requests if any(fulfils(h, r) for h in headers))
        wanted = origin.wanted if origin else ()
        inactive = tuple(r for r in wanted if r in requests and r not in active)
        commit = self.store.read_commit(deployment.checksum)
        base = self.find_base(deployment)
        if base is None:
            problem = f"its base {commit.parent} is not here; layer upgrade pulls a newer one"
            base = replace(commit, checksum=commit.parent or "")
        return DeploymentState(
            deployment=deployment,
            origin=origin,
            commit=commit,
            base=base,
            lock=lock,
            active=active,
            inactive=inactive,
            reasons=self._reasons(base, inactive),
            problem=problem,
            signatures=self._signatures(deployment, origin),
            pending_base=self._pending_base(origin, base),
            lines_not_run=self._lines_not_run(deployment, headers),
        )

    def _reasons(
        self, base: Commit, inactive: Sequence[Request]
    ) -> tuple[tuple[Request, str], ...]:
        if not inactive:
            return ()
        from layer.standing import reasons

        return reasons(self.store, base, inactive)

    def _lines_not_run(self, deployment: Deployment, headers: Sequence[PackageHeader]) -> int:
        from layer.base_triggers import lines_not_run

        def triggers() -> tuple[Trigger, ...]:
            local = self.local_triggers() if deployment.is_staged else read_local(deployment.path)
            return read_triggers(self.store, root, local)

        root = self.store.read_commit(deployment.checksum).root
        return lines_not_run(self.store, root, headers, triggers) if headers else 0

    def _pending_base(self, origin: Origin | None, base: Commit) -> Commit | None:
        found = self.store.find_commit(str(origin.base)) if origin else None
        if found in (None, base.checksum):
            return None
        with suppress(StoreError):  # a ref may be set before its commit is here
            return self.store.read_commit(str(found))
        return None

    def _signatures(
        self, deployment: Deployment, origin: Origin | None
    ) -> tuple[Signature, ...] | None:
        if origin is None:
            return None
        found = self.find_base(deployment)
        base = found.checksum if found else deployment.checksum
        return read_signatures(self.store, origin.base.remote, base)

    def _next_files(self, target: Commit | None) -> tuple[NextFiles, Commit | None]:
        """The files of the deployment to come on `target`, and the base that counts."""
        pending, merge = self.pending(), self._merge_source()
        if pending is None:
            tree = target.root if target else empty_tree(self.store)
            return NextFiles(self.store, tree, merge.path if merge else None), target
        commit, base = self.store.read_commit(pending.checksum), self.find_base(pending)
        base = base or commit
        target = target or base
        layered = (commit.root, base.root) if base != commit else None
        return NextFiles(self.store, target.root, merge.path if merge else None, layered), target


def open_host(root: Path, options: Options | None = None, reporter: Reporter = SILENT) -> Host:
    """The sysroot at `root`, on its booted, only, or named stateroot."""
    options = options or Options()
    sysroot = Sysroot(root.resolve())
    return Host(sysroot, _choose_stateroot(sysroot, options.stateroot), options, reporter)


def is_root() -> bool:
    """Whether we may change the machine."""
    return os.geteuid() == 0


def require_root() -> None:
    """LayerError unless root: only root may own what others own."""
    if not is_root():
        raise LayerError(
            "this needs root", "try it with sudo; --dry-run, where a verb has it, needs none"
        )


def base_kernel_arguments(store: OstreeStore, tree: Tree) -> tuple[str, ...]:
    """The kernel arguments that a base ships in usr/lib/bootc/kargs.d (bootc's format)."""
    folder = lookup(store, tree, _KARGS)
    found: list[str] = []
    if isinstance(folder, Tree):
        for name, _ in files_of(store, folder):
            text = read_text(store, tree, f"{_KARGS}/{name}")
            found += parse_shipped(text, f"the base's /{_KARGS}/{name}")
    return tuple(found)


def _choose_stateroot(sysroot: Sysroot, wanted: str | None) -> str:
    there = sysroot.stateroots()
    if wanted is not None:
        if wanted not in there:
            known = ", ".join(there) or "none"
            hint = f"make it: layer init --stateroot {wanted}"
            raise NotFound(f"there is no stateroot {wanted} (there is: {known})", hint)
        return wanted
    deployments = sysroot.deployments()
    booted = next((d for d in deployments if d.is_booted), None)
    if booted is not None:
        return booted.stateroot
    if deployments:
        return deployments[0].stateroot
    if len(there) != 1:
        raise NotFound(
            f"which stateroot of {sysroot.path}? (there is: {', '.join(there) or 'none'})",
            "name it with --stateroot, or make one: layer init --stateroot NAME",
        )
    return there[0]
