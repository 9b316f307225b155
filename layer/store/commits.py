"""Commits and refs on their way into a repository: they come when what they name is there.

libostree moves the objects of a transaction to their places in no order. A process that is killed
meanwhile would leave commits without their trees, which `ostree fsck` takes for damage.

It then syncs each of the 256 directories of objects, one after the other, whatever came into them.
In place of that the filesystem is synced once before objects are moved, and once after all are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from layer.durable import sync_filesystem
from layer.errors import StoreError
from layer.model import Tree
from layer.store.gobject import GLib, OSTree, translated

FORMAT = "(a{sv}aya(say)sstayay)"  # OSTREE_COMMIT_GVARIANT_STRING
_BLOCK = 4096  # bytes


class WaitingCommits:
    """What a transaction adds when all else of it is durable."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._commits: dict[str, Any] = {}
        self._refs: dict[str, str | None] = {}

    def find(self, checksum: str) -> Any | None:
        """A commit that waits, as libostree's variant; None where none of that checksum does."""
        return self._commits.get(checksum)

    def add(self, commit: Any) -> str:
        """Has a commit wait; returns its checksum."""
        data: bytes = commit.get_data_as_bytes().get_data()
        checksum = hashlib.sha256(data).hexdigest()
        self._commits[checksum] = commit
        return checksum

    def set_ref(self, ref: str, checksum: str | None) -> None:
        """Has a ref wait for its new commit, None to take it away."""
        self._refs[ref] = checksum

    def write(self, *, has_objects: bool) -> None:
        """Writes all that waits, the refs last, durable when it returns.

        `has_objects`: libostree has begun a transaction, whose objects come first.
        """
        if has_objects:
            _move_objects(self._repo)
        if self._commits:
            with translated("cannot commit the transaction"):
                self._repo.prepare_transaction(None)
                for checksum, commit in sorted(self._commits.items()):
                    self._repo.write_metadata(OSTree.ObjectType.COMMIT, checksum, commit, None)
            _move_objects(self._repo)
        if has_objects or self._commits:
            _sync(self._repo)
        for refspec, named in sorted(self._refs.items()):
            with translated(f"cannot set {refspec}"):
                _, remote, ref = OSTree.parse_refspec(refspec)
                self._repo.set_ref_immediate(remote, ref, named, None)

    def new_bytes(self) -> int:
        """What the commits will take on the disk, in whole blocks, without those that are there."""
        kind = OSTree.ObjectType.COMMIT
        return sum(
            -(-commit.get_size() // _BLOCK) * _BLOCK
            for checksum, commit in self._commits.items()
            if not self._repo.has_object(kind, checksum, None)[1]
        )

    def forget(self) -> None:
        """Nothing waits any longer."""
        self._commits.clear()
        self._refs.clear()


def commit_variant(
    root: Tree, *, parent: str | None, timestamp: int, subject: str, metadata: Mapping[str, Any]
) -> Any:
    """A commit as libostree itself makes it of these, to the byte."""
    return GLib.Variant(
        FORMAT,
        (
            metadata,
            bytes.fromhex(parent or ""),
            [],
            subject,
            "",
            int.from_bytes(timestamp.to_bytes(8, "big"), "little"),
            bytes.fromhex(root.contents),
            bytes.fromhex(root.attributes),
        ),
    )


def _move_objects(repo: Any) -> None:
    """Ends a transaction: its objects come to their places whole, to stay there after a sync."""
    _sync(repo)
    is_synced = not repo.get_disable_fsync()
    repo.set_disable_fsync(True)
    try:
        with translated("cannot commit the transaction"):
            repo.commit_transaction(None)
    finally:
        repo.set_disable_fsync(not is_synced)


def _sync(repo: Any) -> None:
    """Makes durable what was written, unless the repository's configuration wants no such thing."""
    if repo.get_disable_fsync():
        return
    try:
        sync_filesystem(repo.get_dfd())
    except OSError as error:
        raise StoreError(f"cannot commit the transaction: {error.strerror}") from error
