"""What goes first where libostree removes objects that nothing needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from layer.store.gobject import OSTree


def forget_commits(repo: Any, deployed: Collection[str]) -> None:
    """Removes the commits without a ref, before their trees: libostree has no such order.

    Of who is killed in between, no commit is there without its tree, which fsck takes for damage.
    """
    exclusive = OSTree.RepoLockType.EXCLUSIVE  # what others pull has no ref until they are done
    repo.lock_push(exclusive, None)
    try:
        _, refs = repo.list_refs(None, None)
        # Those that were mirrored from other collections are not among these.
        _, mirrored = repo.list_collection_refs(None, OSTree.RepoListRefsExtFlags.NONE, None)
        kept = {*refs.values(), *mirrored.values(), *deployed}
        _, commits = repo.list_commit_objects_starting_with("", None)
        for name in sorted(commit.unpack()[0] for commit in commits):
            if name not in kept:
                repo.delete_object(OSTree.ObjectType.COMMIT, name, None)
    finally:
        repo.lock_pop(exclusive, None)
