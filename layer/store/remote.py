"""OSTree remotes: where base commits come from."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from layer import spans
from layer.errors import InvalidInput, NotFound, RepositoryError, StoreError
from layer.report import Reporter
from layer.status import Signature
from layer.store.gobject import Gio, GLib, OSTree, interruptible, translated
from layer.store.objects import OstreeStore
from layer.store.stalls import Connections, Watch
from layer.words import did_you_mean

# ostree-repo-pull.c: what it counts for those who show progress.
_COUNTERS = (
    "fetched",
    "metadata-fetched",
    "fetched-delta-parts",
    "outstanding-writes",
    "outstanding-metadata-fetches",
    "outstanding-fetches",
)


def add_remote(
    store: OstreeStore, name: str, url: str, *, verify: bool, keys: Path | None = None
) -> None:
    """Adds a remote, or keys to the one that is there. `keys` is a file of GPG keys.

    InvalidInput where it exists with another URL or another mind about
    verification. A failure leaves the remotes as they were.
    """
    _check(name, url)
    repo = store.repo
    if name in remote_names(store):
        _check_same(store, name, url, verify=verify)
        if keys is not None:
            _import_keys(repo, name, keys)
        return
    options = GLib.Variant("a{sv}", {"gpg-verify": GLib.Variant("b", verify)})
    with translated(f"cannot add the remote {name}"):
        repo.remote_add(name, url, options, None)
    try:
        if keys is not None:
            _import_keys(repo, name, keys)
    except BaseException:
        delete_remote(store, name)
        raise


def delete_remote(store: OstreeStore, name: str) -> None:
    """Takes a remote away; NotFound where there is none of that name."""
    if name not in (names := remote_names(store)):
        hint = did_you_mean([name], names, otherwise="`layer remote list` shows all")
        raise NotFound(f"there is no remote {name}", hint)
    with translated(f"cannot delete the remote {name}"):
        store.repo.remote_delete(name, None)


def remote_names(store: OstreeStore) -> tuple[str, ...]:
    """The names of all remotes, sorted."""
    return tuple(sorted(store.repo.remote_list() or ()))


def remote_url(store: OstreeStore, name: str) -> str:
    """Where the remote's commits come from."""
    with translated(f"cannot read the remote {name}"):
        _, url = store.repo.remote_get_url(name)
    return str(url)


def ask(store: OstreeStore, name: str) -> None:
    """Asks a remote for the list of its refs, to see that it answers; RepositoryError if not."""
    try:
        store.repo.remote_fetch_summary(name, None)
    except GLib.Error as error:
        hint = "check the network, and its URL: `layer remote list`"
        raise RepositoryError(f"remote {name}: {error.message}", hint) from error


def read_signatures(store: OstreeStore, remote: str, checksum: str) -> tuple[Signature, ...] | None:
    """The GPG signatures of a commit by the remote's keys; None where the remote asks for none."""
    if remote not in remote_names(store):
        return None
    with translated(f"cannot read the remote {remote}"):
        _, is_verified = store.repo.remote_get_gpg_verify(remote)
    if not is_verified:
        return None
    try:
        result = store.repo.verify_commit_for_remote(checksum, remote, None)
    except GLib.Error as error:
        if error.matches(OSTree.gpg_error_quark(), OSTree.GpgError.NO_SIGNATURE):
            return ()
        raise StoreError(f"cannot verify {checksum}: {error.message}") from error
    return tuple(Signature(*result.get_all(n).unpack()) for n in range(result.count_all()))


@spans.phase("download")
def pull(
    store: OstreeStore, remote: str, ref: str, reporter: Reporter, *, commit: str | None = None
) -> str:
    """Fetches the newest commit of `ref`, or `commit`, with all it lacks; returns its checksum.

    The ref itself stays as it was: it moves when the commit is deployed.
    RepositoryError names the remote and its URL. What was fetched before an
    interruption is kept and not fetched again. A server that sends nothing for
    `stalls.PATIENCE` seconds is given up.
    """
    options = {"refs": GLib.Variant("as", [ref])}
    if commit is not None:
        options["override-commit-ids"] = GLib.Variant("as", [commit])
    return _pull(store, remote, ref, reporter, options)


@spans.phase("download")
def pull_history(store: OstreeStore, remote: str, ref: str, reporter: Reporter) -> str:
    """Fetches what the commits of `ref` say of themselves, without their trees; as `pull`."""
    options = {
        "refs": GLib.Variant("as", [ref]),
        "depth": GLib.Variant("i", -1),
        "flags": GLib.Variant("i", int(OSTree.RepoPullFlags.COMMIT_ONLY)),
    }
    return _pull(store, remote, ref, reporter, options)


def read_history(store: OstreeStore, newest: str) -> tuple[tuple[str, str], ...]:
    """Checksum and version ("" for none) of a commit and those before it, as far as they are here.

    Their trees need not be.
    """
    found: list[tuple[str, str]] = []
    at: str | None = newest
    with translated("cannot read the history"):
        while at is not None and store.repo.has_object(OSTree.ObjectType.COMMIT, at, None)[1]:
            _, variant, _ = store.repo.load_commit(at)
            version = variant.get_child_value(0).unpack().get("version", "")
            found.append((at, str(version)))
            at = OSTree.commit_get_parent(variant)
    return tuple(found)


def require_complete(store: OstreeStore, checksum: str, name: str) -> None:
    """RepositoryError for a commit whose pull was cut short: no tree is built upon it."""
    with translated(f"cannot read commit {checksum}"):
        # The commit itself may come last of all that is pulled.
        _, is_here = store.repo.has_object(OSTree.ObjectType.COMMIT, checksum, None)
        state = store.repo.load_commit(checksum)[2] if is_here else None
    if state is None or state & OSTree.RepoCommitState.PARTIAL:
        raise RepositoryError(
            f"{name}: of commit {checksum} only a part is here",
            "pull the rest of it while there is a network: leave out --cache-only",
        )


def _pull(
    store: OstreeStore, remote: str, ref: str, reporter: Reporter, options: dict[str, Any]
) -> str:
    if remote not in remote_names(store):
        known = ", ".join(remote_names(store)) or "none"
        raise NotFound(
            f"there is no remote {remote} (there is: {known})",
            did_you_mean(
                [remote],
                remote_names(store),
                otherwise=f"add it: layer remote add {remote} URL --gpg-import FILE",
            ),
        )
    progress = OSTree.AsyncProgress.new()
    progress.connect("changed", lambda it: _tell(reporter, f"{remote}:{ref}", it))
    connections = Connections()
    with _ref_kept(store, remote, ref), interruptible(connections.hang_up) as cancellable:
        watch = Watch(connections, partial(_work_done, progress), cancellable.cancel)
        try:
            wanted = GLib.Variant("a{sv}", options)
            with watch:
                store.repo.pull_with_options(remote, wanted, progress, cancellable)
            _, checksum = store.repo.resolve_rev(f"{remote}:{ref}", False)
        except GLib.Error as error:
            url = remote_url(store, remote)
            why, hint = error.message, "is the server up, and does it have that ref?"
            if watch.has_stalled:
                why = f"nothing came for {watch.patience:g} seconds"
                hint = "run the command again: what has come is kept, and not fetched again"
            raise RepositoryError(
                f"cannot pull {ref} from remote {remote} ({url}): {why}", hint
            ) from error
        finally:
            progress.finish()
    return str(checksum)


@contextmanager
def borrow(store: OstreeStore) -> Iterator[OstreeStore]:
    """A store of one's own over `store`, with its remotes, for who may only read there.

    What is pulled into it is gone at the end.
    """
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        yield OstreeStore.create_over(store, Path(folder))


@contextmanager
def _ref_kept(store: OstreeStore, remote: str, ref: str) -> Iterator[None]:
    """Puts the ref back at the end: a plan that nobody said yes to changes none."""
    before = store.find_commit(f"{remote}:{ref}")
    try:
        yield
    finally:
        if store.find_commit(f"{remote}:{ref}") != before:
            with translated(f"cannot set {remote}:{ref}"):
                store.repo.set_ref_immediate(remote, ref, before, None)


def set_remote_ref(store: OstreeStore, refspec: str, checksum: str | None) -> None:
    """Says that `checksum` is what we have of a remote's ref, as `ostree pull` does.

    None: we have nothing.
    """
    remote, _, ref = refspec.partition(":")
    with translated(f"cannot set {refspec}"):
        store.repo.set_ref_immediate(remote, ref, checksum, None)


def _check(name: str, url: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.\-]*", name, re.ASCII):
        raise InvalidInput(f"not a name for a remote: {name!r}", "letters, digits and . _ - do")
    if not re.fullmatch(r"(https?|file)://[!-~]+", url):
        raise InvalidInput(
            f"not the URL of a remote: {url!r}", "it is http://, https:// or file://"
        )


def _check_same(store: OstreeStore, name: str, url: str, *, verify: bool) -> None:
    hint = f"take it away first: layer remote delete {name}"
    present = remote_url(store, name)
    if present != url:
        raise InvalidInput(f"the remote {name} exists with another URL: {present}", hint)
    with translated(f"cannot read the remote {name}"):
        _, is_verified = store.repo.remote_get_gpg_verify(name)
    if is_verified != verify:
        does = "verifies signatures" if is_verified else "does not verify signatures"
        raise InvalidInput(f"the remote {name} exists and {does}", hint)


def _import_keys(repo: Any, name: str, keys: Path) -> None:
    try:
        stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(keys.read_bytes()))
    except OSError as error:
        raise NotFound(f"cannot read the GPG keys {keys}: {error.strerror}") from error
    hint = "it must have public keys of OpenPGP, as `gpg --export` writes them"
    try:
        _, imported = repo.remote_gpg_import(name, stream, None, None)
    except GLib.Error as error:
        raise InvalidInput(f"cannot import the GPG keys {keys}: {error.message}", hint) from error
    if not imported and not _has_keys(repo, name):  # 0 are imported of those that are there, too
        raise InvalidInput(f"there is no GPG key in {keys}", hint)


def _has_keys(repo: Any, name: str) -> bool:
    try:
        _, known = repo.remote_get_gpg_keys(name, None, None)
    except GLib.Error:  # a remote without any has no keyring
        return False
    return bool(known)


def _work_done(progress: Any) -> tuple[int, ...]:
    """What changes while libostree is at work, be it on what came long ago."""
    return tuple(progress.get_uint(key) for key in _COUNTERS)


def _tell(reporter: Reporter, name: str, progress: Any) -> None:
    total = progress.get_uint("requested")
    if total:
        reporter.progress(name, progress.get_uint("fetched"), total, "objects")
