"""Deployments and their boot entries: the one place whose writes the next boot can see."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layer.durable import sync_directory
from layer.errors import Busy, InvalidInput, NotFound, StoreError
from layer.interrupts import uninterrupted
from layer.model import BootPlan, Deployment, NewDeployment, Recycling
from layer.store.deploy_options import deploy_options, forget_staged
from layer.store.gobject import Gio, GLib, OSTree, interruptible, translated
from layer.store.objects import OstreeStore
from layer.store.pruning import forget_commits

if TYPE_CHECKING:
    from layer.store.recycling import Recycler

_LOCK_POLL = 0.2  # seconds between two tries to get the sysroot's lock
# libostree leaves what is staged alone at shutdown while this is there. The version that we
# know makes the file not itself (ostree-sysroot-deploy.c).
_LOCKED = Path("/run/ostree/staged-deployment-locked")
_STAGED = Path("/run/ostree/staged-deployment")
# Where as many deployments come as go, libostree 2022.7 looks at kernels and their arguments alone
# (deployment_bootconfigs_equal). Entries of two stateroots that change places are then left as
# they are, and name what is no longer there. This argument, which means nothing to anybody else,
# makes it write them anew.
_MARK = "layer.stateroot="


class Sysroot:
    """A physical root with an OSTree repository, stateroots and deployments.

    `has_written`: it has changed what boots. `is_locked`: by us.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_written = False
        self.is_locked = False
        if not _is_sysroot(path):
            raise NotFound(
                f"{path} is not an OSTree sysroot",
                f"make one with `layer init --sysroot {path} --stateroot NAME`",
            )
        self._sysroot = _open(path)
        with translated(f"cannot open the sysroot {path}"):
            self._sysroot.load(None)
            _, repo = self._sysroot.get_repo(None)
        self.store = OstreeStore.adopt(repo, path / "ostree/repo")

    @contextmanager
    def lock(self, *, wait: bool, on_wait: Callable[[], None]) -> Iterator[None]:
        """Holds libostree's lock, which `ostree admin` takes too; Busy where `wait` is false.

        `on_wait` is called once when another program has it. What is deployed is read anew.
        """
        if not self._try_lock():
            if not wait:
                raise Busy(
                    f"another program works on {self.path} (it holds ostree/lock)",
                    "leave out --no-wait to wait for it",
                )
            on_wait()
            while not self._try_lock():
                time.sleep(_LOCK_POLL)
        try:
            self.is_locked = True
            with translated("cannot read the deployments"):
                self._sysroot.load_if_changed(None)
            yield
        finally:
            self.is_locked = False
            self._sysroot.unlock()

    def ensure_writable(self) -> None:
        """Lets the repository be written without the lock, where /sysroot is read-only."""
        # libostree mounts it anew as soon as somebody asks for the lock, given or not.
        if self._try_lock():
            self._sysroot.unlock()

    def deployments(self) -> tuple[Deployment, ...]:
        """All deployments in the order of the boot menu."""
        booted = self._sysroot.get_booted_deployment()
        return tuple(
            self._noun(item, index, is_booted=booted is not None and item.equal(booted))
            for index, item in enumerate(self._sysroot.get_deployments())
        )

    def stateroots(self) -> tuple[str, ...]:
        """The names of the stateroots, sorted."""
        return tuple(sorted(p.name for p in (self.path / "ostree/deploy").iterdir()))

    def var(self, stateroot: str) -> Path:
        """The directory that is /var in that stateroot's deployments."""
        booted = self._sysroot.get_booted_deployment()
        if booted is not None and booted.get_osname() == stateroot:
            return Path("/var")  # the same one, writable where /sysroot is not
        return self.path / "ostree/deploy" / stateroot / "var"

    @property
    def is_booted(self) -> bool:
        """Whether the running machine has booted one of its deployments."""
        return self._sysroot.get_booted_deployment() is not None

    @property
    def is_finalization_locked(self) -> bool:
        """Whether the staged deployment, if there is one, stays so at shutdown."""
        return self._sysroot.get_staged_deployment() is not None and _LOCKED.exists()

    def write(
        self,
        plan: BootPlan,
        *,
        lock_finalization: bool = False,
        recycling: Recycling = Recycling.SAMPLED,
    ) -> tuple[Deployment, ...]:
        """Makes the new deployments and then, in one step, the boot entries; no clean-up.

        The single act of this program that changes what boots. Until its last
        step the machine boots as before, and that step is not interrupted.

        On a booted machine a new default is staged instead: /etc is merged and the boot
        entries are written at shutdown, unless `lock_finalization`. libostree then keeps of its
        stateroot what is booted, merged from or pinned.

        A new tree is made of one that nothing boots, where there is one that `recycling` allows.
        """
        new = plan.deployments[0] if plan.deployments else None
        if isinstance(new, NewDeployment) and self.is_booted:
            with translated("cannot stage"), self._unmade_on_failure(plan):
                self._stage(new, recycling, lock_finalization=lock_finalization)
            return self.deployments()
        if lock_finalization:
            raise StoreError(
                f"{self.path} has not booted: nothing is left to finalize at shutdown",
                "leave out --lock-finalization",
            )
        current = self._sysroot.get_deployments()
        with translated("cannot deploy"), self._unmade_on_failure(plan):
            with interruptible() as cancellable:
                wanted = [
                    self._deploy(item, current, recycling, cancellable)
                    if isinstance(item, NewDeployment)
                    else current[item.index]
                    for item in plan.deployments
                ]
            options = OSTree.SysrootWriteDeploymentsOpts()
            options.do_postclean = False
            before = self._boot_links()
            with uninterrupted():
                try:
                    self._sysroot.write_deployments_with_options(wanted, options, None)
                finally:
                    # libostree may fail after it has written; then nothing may be cleaned up.
                    self.has_written = self._boot_links() != before
                self._sync_links()
                self._sysroot.load(None)
        deployments = self.deployments()
        forget_staged([overlay for one in deployments for overlay in one.overlays])
        return deployments

    def will_recycle(self, recycling: Recycling) -> bool:
        """Whether the next deployment's tree is made of one that is there and nobody boots."""
        return self._recycler(recycling).is_foreseen()

    def unlock_finalization(self) -> None:
        """The staged deployment is finalized at the next shutdown after all."""
        _LOCKED.unlink(missing_ok=True)

    def pin(self, deployment: Deployment, *, is_pinned: bool) -> None:
        """Keeps a deployment from being removed, or lets it be; boot entries stay as they are."""
        with translated(f"cannot pin deployment {deployment.index}"):
            item = self._sysroot.get_deployments()[deployment.index]
            self._sysroot.deployment_set_pinned(item, is_pinned)

    def unlock_booted(self, *, is_hotfix: bool) -> None:
        """Lays a writable overlay over the running /usr; one that stays, where it is a hotfix."""
        booted = self._sysroot.get_booted_deployment()
        if booted is None:
            raise StoreError(
                f"no deployment of {self.path} is booted, so that there is no running /usr",
                "`layer run` tries what is layered on any sysroot",
            )
        state = _unlocked(booted)
        if state != "none":
            raise StoreError(
                f"/usr is writable already ({state})", "a reboot brings the read-only /usr back"
            )
        wanted = OSTree.DeploymentUnlockedState
        with translated("cannot make /usr writable"):
            self._sysroot.deployment_unlock(
                booted, wanted.HOTFIX if is_hotfix else wanted.DEVELOPMENT, None
            )

    def clean_up(
        self, recycling: Recycling = Recycling.SAMPLED, *, may_check_out: bool = False
    ) -> None:
        """Removes checkouts and boot files that no deployment needs, and objects without a ref.

        One checkout stays for the next deployment to be made of; `may_check_out` one for it.
        """
        from layer.store.spares import Spares

        spares, deployments = Spares(self._sysroot, self.path, self.store), self.deployments()
        if recycling is Recycling.NEVER or not deployments:
            spares.forget()
        else:
            spares.keep(
                self.store.read_commit(deployments[0].checksum),
                may_check_out=may_check_out,
                is_full=recycling is Recycling.VERIFIED,
            )
        with translated("cannot clean up"):
            self._sysroot.prepare_cleanup(None)  # no checkout outlives its commit
            forget_commits(self.store.repo, {deployment.checksum for deployment in deployments})
            self._sysroot.cleanup(None)

    @contextmanager
    def _unmade_on_failure(self, plan: BootPlan) -> Iterator[None]:
        """Removes the checkouts that were made when no boot entry came to name them."""
        try:
            yield
        except BaseException:
            if not self.has_written and any(isinstance(d, NewDeployment) for d in plan.deployments):
                with uninterrupted():
                    self._sysroot.prepare_cleanup(None)
            raise

    def _sync_links(self) -> None:
        """Makes durable the one that libostree renames and leaves to the filesystem's time."""
        try:
            sync_directory(self.path / "ostree")
        except OSError as error:
            raise StoreError(
                f"what boots has changed, and may not last: {self.path}/ostree: {error.strerror}"
            ) from error

    def _boot_links(self) -> tuple[str, ...]:
        """The links that lead to the boot entries in force; each write changes one of them."""
        links = (self.path / name for name in ("boot/loader", "ostree/boot.0", "ostree/boot.1"))
        return tuple(str(link.readlink()) if link.is_symlink() else "" for link in links)

    def _stage(self, new: NewDeployment, recycling: Recycling, *, lock_finalization: bool) -> None:
        merge = None if new.merge is None else self._sysroot.get_deployments()[new.merge.index]
        was_locked, before = _LOCKED.exists(), _identity(_STAGED)
        if lock_finalization:
            # Beforehand, so that a shutdown cannot come between.
            _LOCKED.parent.mkdir(exist_ok=True)
            _LOCKED.touch()
        try:
            with interruptible() as cancellable:
                given = (_keyfile(new.origin), self._marked(new), cancellable)
                if not self._recycler(recycling).stage(new, merge, *given):
                    self._stage_anew(new, merge, *given)
        finally:
            with uninterrupted():
                self.has_written = _identity(_STAGED) != before
                is_locked = lock_finalization if self.has_written else was_locked
                if not is_locked:
                    _LOCKED.unlink(missing_ok=True)
                self._sysroot.load(None)

    def _stage_anew(
        self, new: NewDeployment, merge: Any, origin: Any, arguments: Sequence[str], cancel: Any
    ) -> None:
        with deploy_options(self._sysroot, arguments, new.overlay, cancel) as options:
            self._sysroot.stage_tree_with_options(
                new.stateroot, new.checksum, origin, merge, options, cancel
            )

    def _deploy(
        self, new: NewDeployment, current: list[Any], recycling: Recycling, cancel: Any
    ) -> Any:
        origin, arguments = _keyfile(new.origin), self._marked(new)
        merge = None if new.merge is None else current[new.merge.index]
        recycled = self._recycler(recycling).deploy(new, merge, origin, arguments, cancel)
        if recycled is not None:
            return recycled
        with deploy_options(self._sysroot, arguments, new.overlay, cancel) as options:
            _, deployment = self._sysroot.deploy_tree_with_options(
                new.stateroot, new.checksum, origin, merge, options, cancel
            )
        return deployment

    def _recycler(self, recycling: Recycling) -> Recycler:
        from layer.store.recycling import Recycler  # which few processes need

        return Recycler(self._sysroot, self.path, self.store, recycling)

    def _marked(self, new: NewDeployment) -> tuple[str, ...]:
        """The kernel arguments, told from those of other stateroots where there are any."""
        others = {d.get_osname() for d in self._sysroot.get_deployments()} - {new.stateroot}
        mark = (f"{_MARK}{new.stateroot}",) if others else ()
        return (*new.kernel_arguments, *mark)

    def _noun(self, item: Any, index: int, *, is_booted: bool) -> Deployment:
        origin = item.get_origin()
        options = item.get_bootconfig().get("options") or ""
        return Deployment(
            index=index,
            stateroot=item.get_osname(),
            checksum=item.get_csum(),
            serial=item.get_deployserial(),
            origin=origin.to_data()[0] if origin else "",
            path=self.path / self._sysroot.get_deployment_dirpath(item),
            # ostree= names the deployment itself and is written anew with each.
            kernel_arguments=tuple(
                a for a in options.split() if not a.startswith(("ostree=", _MARK))
            ),
            is_booted=is_booted,
            is_staged=item.is_staged(),
            is_pinned=item.is_pinned(),
            unlocked=_unlocked(item),
            boot_checksum=item.get_bootcsum() or "",
            overlays=tuple(
                Path(path).stem for path in item.get_bootconfig().get_overlay_initrds() or ()
            ),
        )

    def _try_lock(self) -> bool:
        with translated(f"cannot lock {self.path}"):
            _, acquired = self._sysroot.try_lock()
        return bool(acquired)


def _open(path: Path) -> Any:
    """libostree's object, by which /sysroot can be written to once the lock is asked for."""
    with translated(f"cannot open the sysroot {path}"):
        # Where the machine has booted from OSTree and /sysroot is read-only, a
        # process of root gets a mount namespace of its own in which it is not. The object
        # that makes it holds on to the mounts of the old one, so it is not the one to use.
        for _ in range(2):
            sysroot = OSTree.Sysroot.new(Gio.File.new_for_path(str(path)))
            sysroot.initialize_with_mount_namespace(None)
    return sysroot


def _keyfile(text: str) -> Any:
    keyfile = GLib.KeyFile()
    keyfile.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.NONE)
    return keyfile


def _identity(path: Path) -> tuple[int, int] | None:
    """What differs as soon as a file has been written anew; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _unlocked(item: Any) -> str:
    return str(OSTree.Deployment.unlocked_state_to_string(item.get_unlocked()))


def _is_sysroot(path: Path) -> bool:
    try:
        return all((path / name).is_dir() for name in ("ostree/repo", "ostree/deploy"))
    except PermissionError as error:
        hint = "try it with sudo, or name another place with --sysroot"
        raise StoreError(f"{path} may not be read: {error.filename}", hint) from error


def initialize(path: Path, stateroot: str) -> None:
    """Makes an OSTree sysroot at `path` where there is none, and a new stateroot in it."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+\-]*", stateroot, re.ASCII):
        raise InvalidInput(
            f"not a name for a stateroot: {stateroot!r}",
            "letters, digits and . _ + - make one, and the first is a letter or digit",
        )
    if (path / "ostree/deploy" / stateroot).exists():
        hint = f"go on with it: layer remote add --sysroot {path} NAME URL"
        raise StoreError(f"{path} has a stateroot {stateroot} already", hint)
    for name in ("boot", "ostree"):
        (path / name).mkdir(parents=True, exist_ok=True)
    is_new = not (path / "ostree/repo/objects").exists()
    # The running machine's may be read-only until it is asked for so.
    sysroot = OSTree.Sysroot.new(Gio.File.new_for_path(str(path))) if is_new else _open(path)
    with translated(f"cannot make a sysroot at {path}"):
        sysroot.ensure_initialized(None)
        sysroot.load(None)
        sysroot.init_osname(stateroot, None)
        if is_new:
            _, repo = sysroot.get_repo(None)
            config = repo.copy_config()
            # No boot loader of its own to rewrite: the entries follow the Boot
            # Loader Specification. /sysroot is read-only on a booted machine.
            config.set_string("sysroot", "bootloader", "none")
            config.set_boolean("sysroot", "readonly", True)
            repo.write_config(config)
