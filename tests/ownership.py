"""Every path of a commit has one owner on record, and it is the right one."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter

from layer.model import Commit
from layer.owners import OwnerKind
from layer.ownership import open_ownership
from layer.paths import header_paths, tree_paths
from layer.store.contract import ObjectStore
from layer.store.trees import directories_of, files_of


def check_owners(store: ObjectStore, commit: Commit) -> Counter[OwnerKind]:
    """How many files have which kind of owner, after each was found to be the one it is of."""
    found: Counter[OwnerKind] = Counter()
    unowned, wrong = [], []
    with open_ownership(store, commit) as ownership:
        for path, checksum in files_of(store, commit.root):
            owner = ownership.owner_of(path)
            if owner is None:
                unowned.append(path)
                continue
            found[owner.kind] += 1
            if owner.kind is OwnerKind.PACKAGE:
                file = next(
                    file
                    for header, file in ownership.claims(path)
                    if (str(header.nevra), file.path) == (owner.name, owner.header_path)
                )
                assert path in tree_paths(owner.header_path)
                assert owner.header_path in header_paths(path)
                if (file.link_to or file.digest) != content(store, checksum):
                    wrong.append((path, owner.name))
        for path, _ in directories_of(store, commit.root):
            assert all(o.kind is OwnerKind.PACKAGE for o in ownership.owners_of_directory(path))
    assert (unowned, wrong) == ([], [])
    return found


def content(store: ObjectStore, checksum: str) -> str:
    """A symlink's target, or the SHA-256 of a file."""
    attributes = store.read_file_attributes(checksum)
    if stat.S_ISLNK(attributes.mode):
        return attributes.target
    with store.open_file(checksum) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
