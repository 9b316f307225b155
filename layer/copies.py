"""Files of the store again with other attributes, and the memory of those once made.

An object's checksum covers content, owner and labels together, so that another
owner means to read, hash and write the content again. What was made for a
commit is therefore kept beside it, as a commit `layer/copies/NAME`; without it
the same comes out, only later.
"""

from __future__ import annotations

import hashlib
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence

from layer.lock import canonical
from layer.model import Directory, DirectoryAttributes, FileAttributes, Tree
from layer.store.contract import ObjectStore
from layer.store.trees import lookup

REFS = "layer/copies"
SCHEMA = 1
_CHUNK = 1 << 20
_SHARD = 2  # letters of a name: so many more directories, none of them large


class Copies:
    """Makes copies, finds those that an earlier commit needed, and notes what this one does."""

    def __init__(self, store: ObjectStore, earlier: Sequence[Tree] = ()) -> None:
        self._store = store
        self._earlier = earlier
        self._files: dict[str, str] = {}
        self._notes: dict[str, bytes] = {}

    @classmethod
    def open(cls, store: ObjectStore) -> Copies:
        """Those of all commits that have some in a form that is known."""
        commits = map(store.read_commit, sorted(set(store.refs(REFS).values())))
        ours = (c for c in commits if c.metadata.get("layer.schema") == str(SCHEMA))
        return cls(store, [commit.root for commit in ours])

    def of(self, checksum: str, attributes: FileAttributes) -> str:
        """The checksum of the same content with these attributes, which are not those it has."""
        if stat.S_ISLNK(attributes.mode):
            return self._store.write_file(attributes)
        name = _name(checksum, attributes)
        if name not in self._files:
            self._files[name] = self._find(name) or self._make(checksum, attributes)
        return self._files[name]

    def notes(self, name: str) -> Iterator[bytes]:
        """What earlier commits noted under a name."""
        for tree in self._earlier:
            checksum = lookup(self._store, tree, name)
            if isinstance(checksum, str):
                with self._store.open_file(checksum) as content:
                    yield content.read()

    def note(self, name: str, content: bytes) -> None:
        """Keeps something for later commits to find."""
        self._notes[name] = content

    def write(self) -> str | None:
        """A commit that keeps what was used, for a ref below REFS; None where nothing was."""
        if not self._files and not self._notes:
            return None
        store = self._store
        shards: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, checksum in self._files.items():
            shards[name[:_SHARD]][name[_SHARD:]] = checksum
        notes = {
            name: store.write_file(FileAttributes(), [content])
            for name, content in self._notes.items()
        }
        attributes = store.write_directory_attributes(DirectoryAttributes())
        directories = {
            shard: Tree(store.write_directory(Directory(files, {})), attributes)
            for shard, files in shards.items()
        }
        root = Tree(store.write_directory(Directory(notes, directories)), attributes)
        subject = "Files with the owners and labels of a tree"
        metadata: dict[str, str | bool] = {"layer.schema": str(SCHEMA)}
        return store.write_commit(
            root, parent=None, timestamp=0, subject=subject, metadata=metadata
        )

    def _find(self, name: str) -> str | None:
        for tree in self._earlier:
            found = lookup(self._store, tree, f"{name[:_SHARD]}/{name[_SHARD:]}")
            if isinstance(found, str):
                return found
        return None

    def _make(self, checksum: str, attributes: FileAttributes) -> str:
        with self._store.open_file(checksum) as content:
            return self._store.write_file(attributes, iter(lambda: content.read(_CHUNK), b""))


def _name(checksum: str, attributes: FileAttributes) -> str:
    xattrs = [[name.hex(), value.hex()] for name, value in attributes.xattrs]
    owner = [attributes.uid, attributes.gid, attributes.mode]
    return hashlib.sha256(canonical([checksum, *owner, xattrs]).encode()).hexdigest()
