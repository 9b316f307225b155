"""Deployments whose tree is a recycled one, and all else libostree's own work.

libostree makes a deployment with one call, most of which is the checkout of the tree, and can
take over no tree that is there. So it is given a small commit to deploy: of the same tree no
more than /usr/etc, the kernel and what else it looks at. What comes of it, /etc with the
machine's changes and labels, the origin file, the boot entry to be, is what would have come of
the whole one; it is moved to the recycled tree, and the small deployment is removed. It is
never in a boot entry, and neither is the tree until it is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from layer.errors import StoreError
from layer.frozen import dataclass
from layer.model import Directory, NewDeployment, Recycling, Tree
from layer.store.deploy_options import deploy_options
from layer.store.gobject import GLib, OSTree, translated
from layer.store.objects import OstreeStore
from layer.store.spares import Spares
from layer.store.trees import TreeEditor, empty_tree, lookup

# Later ones make more of a deployment than is known here, such as the image of composefs.
_KNOWN = (2022, 7)
_STAGED = Path("/run/ostree/staged-deployment")
_MODULES = "usr/lib/modules"
# Of the directory of a kernel, what libostree takes beside the files.
_DEVICE_TREES = ("dtb", "devicetree")
_WHOLE = ("usr/etc", "usr/lib/ostree", "usr/lib/ostree-boot", "boot")
_EXPECTED = {"etc", "usr", "boot"}


@dataclass(frozen=True, slots=True)
class Recycler:
    """Makes deployments of recycled trees, where there is one that `recycling` lets it trust."""

    sysroot: Any  # libostree's own object, for this room alone
    path: Path
    store: OstreeStore
    recycling: Recycling

    def is_foreseen(self) -> bool:
        """Whether there is a tree that the next deployment's is made of, as far as we may see."""
        with suppress(OSError):  # who is not root does not see what is mounted
            return self._is_allowed and Spares(self.sysroot, self.path, self.store).has_any()
        return False

    @property
    def _is_allowed(self) -> bool:
        """Whether trees may be recycled, and libostree is one whose deployments are known here."""
        is_known = (OSTree.YEAR_VERSION, OSTree.RELEASE_VERSION) <= _KNOWN
        return self.recycling is not Recycling.NEVER and is_known

    def deploy(
        self, new: NewDeployment, merge: Any, origin: Any, arguments: Sequence[str], cancel: Any
    ) -> Any | None:
        """What `deploy_tree` returns, for `write_deployments`; None where it has to do it."""
        made = self._make(new, merge, origin, arguments, cancel)
        if made is not None:
            with translated("cannot deploy"):
                self.sysroot.deployment_set_mutable(made, False, cancel)
        return made

    def stage(
        self, new: NewDeployment, merge: Any, origin: Any, arguments: Sequence[str], cancel: Any
    ) -> bool:
        """As `stage_tree`, which has to do it where this is False: /etc is merged at shutdown."""
        before = self.sysroot.get_staged_deployment()
        made = self._make(new, None, origin, arguments, cancel)
        if made is None:
            return False
        _write_record(_record(made, merge, arguments))
        if before is not None:
            Spares(self.sysroot, self.path, self.store).put_aside(before)
        # By this other programs see that something changed.
        os.utime(self.path / "ostree/deploy")
        return True

    def _make(
        self, new: NewDeployment, merge: Any, origin: Any, arguments: Sequence[str], cancel: Any
    ) -> Any | None:
        if new.overlay or not self._is_allowed:
            return None
        spares = Spares(self.sysroot, self.path, self.store)
        # Where anything is in doubt libostree does it all, and finds words for what is wrong.
        with suppress(StoreError, OSError):
            commit = self.store.read_commit(new.checksum)
            source = spares.find_nearest(commit.root)
            # stage_tree removes what was staged before, and that takes as long as a checkout.
            gives_way = self.sysroot.get_staged_deployment() is not None
            small = _small(self.store, commit.root) if source or gives_way else None
            if small is None:
                return None
            with (
                translated("cannot deploy"),
                deploy_options(self.sysroot, arguments, b"", cancel) as options,
            ):
                _, item = self.sysroot.deploy_tree_with_options(
                    new.stateroot, small, origin, merge, options, cancel
                )
            serial = self._next_serial(new)
            with self._without_small_on_failure(item):
                if source is None:
                    tree = spares.check_out(commit, cancel)
                else:
                    is_full = self.recycling is Recycling.VERIFIED
                    tree = spares.take(source, commit.root, is_full=is_full)
                made = self._assembled(new, item, tree, serial)
            spares.tidy()
            return made
        with suppress(OSError):
            spares.sweep()
        return None

    @contextmanager
    def _without_small_on_failure(self, small: Any) -> Iterator[None]:
        """Takes the small deployment away again, as far as it is there, where it helps nobody."""
        try:
            yield
        except (StoreError, OSError):
            here = self.path / self.sysroot.get_deployment_dirpath(small)
            with suppress(GLib.Error):
                self.sysroot.deployment_set_mutable(small, True, None)
            shutil.rmtree(here, ignore_errors=True)
            _origin(here).unlink(missing_ok=True)
            raise

    def _assembled(self, new: NewDeployment, small: Any, tree: Path, serial: int) -> Any:
        """The deployment of `tree` with all that was made for the `small` one, which goes."""
        words = (new.stateroot, new.checksum, serial, small.get_bootcsum())
        made = OSTree.Deployment.new(0, *words, -1)
        made.set_bootconfig(small.get_bootconfig())
        made.set_origin(small.get_origin())
        here, there = (
            self.path / self.sysroot.get_deployment_dirpath(item) for item in (small, made)
        )
        if not {path.name for path in here.iterdir()} <= _EXPECTED:
            raise StoreError(f"{here} has more in it than is known here")
        with translated("cannot deploy"):
            self.sysroot.deployment_set_mutable(small, True, None)
        (here / "etc").rename(tree / "etc")
        tree.rename(there)
        _origin(here).rename(_origin(there))
        shutil.rmtree(here)
        return made

    def _next_serial(self, new: NewDeployment) -> int:
        """As libostree counts deployments of one commit, whether they boot or not."""
        folder = self.path / "ostree/deploy" / new.stateroot / "deploy"
        there = folder.glob(f"{new.checksum}.*")
        serials = [int(path.name.partition(".")[2]) for path in there if path.is_dir()]
        return max(serials, default=-1) + 1


def _small(store: OstreeStore, root: Tree) -> str | None:
    """The commit of what libostree looks at in a tree; None for one that it would treat apart."""
    kernels = lookup(store, root, _MODULES)
    if not isinstance(lookup(store, root, "usr/etc"), Tree) or lookup(store, root, "etc"):
        return None
    if not isinstance(kernels, Tree):
        return None
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for path in _WHOLE:
            found = lookup(store, root, path)
            if isinstance(found, Tree):
                editor.put_tree(path, found)
        for name, kernel in store.read_directory(kernels.contents).directories.items():
            inside = store.read_directory(kernel.contents)
            trees = {n: t for n, t in inside.directories.items() if n in _DEVICE_TREES}
            contents = store.write_directory(Directory(inside.files, trees))
            editor.put_tree(f"{_MODULES}/{name}", Tree(contents, kernel.attributes))
        return store.write_commit(
            editor.write(), parent=None, timestamp=0, subject="For a deployment", metadata={}
        )


def _record(made: Any, merge: Any, arguments: Sequence[str]) -> bytes:
    """What libostree notes of a staged deployment until shutdown (ostree-sysroot-deploy.c)."""
    values = {"target": _variant(made)}
    if merge is not None:
        values["merge-deployment"] = _variant(merge)
    values["kargs"] = GLib.Variant("as", list(arguments))
    data: bytes = GLib.Variant("a{sv}", values).get_data_as_bytes().get_data()
    return data


def _variant(item: Any) -> Any:
    words = {
        "name": f"{item.get_csum()}.{item.get_deployserial()}",
        "osname": item.get_osname(),
        "bootcsum": item.get_bootcsum(),
    }
    return GLib.Variant("a{sv}", {key: GLib.Variant("s", word) for key, word in words.items()})


def _write_record(data: bytes) -> None:
    _STAGED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = _STAGED.with_name(f"{_STAGED.name}.layer")
    new.write_bytes(data)
    new.chmod(0o644)
    new.replace(_STAGED)


def _origin(deployment: Path) -> Path:
    return deployment.with_name(f"{deployment.name}.origin")
