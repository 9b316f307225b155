"""SELinux labels of a tree, from its own policy.

What differs from the base gets its label; a file of the base keeps the one it
has, unless the two policies differ on its path. A tree without a policy stays
as it is.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

from layer import spans
from layer.contexts import (
    CONFIG,
    FOLDER,
    SPECIFICATIONS,
    SUBSTITUTIONS,
    Contexts,
    is_touched,
    parse_contexts,
    parse_type,
    touched,
    with_moved_paths,
)
from layer.copies import Copies
from layer.frozen import dataclass
from layer.lock import canonical
from layer.model import Directory, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.selinux import Policy, label_of, with_label
from layer.store.trees import EMPTY, files_of, lookup


@spans.phase("labels")
def label(store: ObjectStore, base: Tree, tree: Tree, copies: Copies, scratch: Path) -> Tree:
    """The tree with labels, of all that is in it where the base has no policy.

    `scratch` is an empty directory on the store's filesystem. Must be called
    inside a transaction of the store.
    """
    found = _find_source(store, tree)
    if found is None:
        return tree
    before = _find_source(store, base)
    work = _Labelling(store, copies, _Labels(store, tree, found, copies, scratch / "new"))
    if before != found:
        work.prefixes = ("",)
        if before is not None:
            work.before = _Labels(store, base, before, copies, scratch / "old")
            work.prefixes = touched(
                _read_contexts(store, base, before), _read_contexts(store, tree, found)
            )
    labelled = work.directory(base, tree, "")
    work.remember()
    return labelled


def has_policy(store: ObjectStore, tree: Tree) -> bool:
    """Whether what is in a tree gets labels."""
    return _find_source(store, tree) is not None


def with_moved_labels(store: ObjectStore, tree: Tree) -> dict[str, str]:
    """The file, if any, that a base's policy needs so that /usr/etc is labelled like /etc."""
    found = _find_source(store, tree)
    if found is None:
        return {}
    path = f"{found.files_folder}/file_contexts.subs_dist"
    text = read_text(store, tree, path)
    wanted = with_moved_paths(text)
    return {path: wanted} if wanted != text else {}


@dataclass(frozen=True, slots=True)
class _Source:
    """A policy in a tree: its type, and the files with checksums that labels follow from."""

    type: str
    files: tuple[tuple[str, str], ...]

    @property
    def files_folder(self) -> str:
        """Where a tree has them."""
        return f"{FOLDER}/{self.type}/contexts/files"

    @property
    def key(self) -> str:
        """A name for what the policy says of labels."""
        return hashlib.sha256(canonical([self.type, dict(self.files)]).encode()).hexdigest()


def _find_source(store: ObjectStore, tree: Tree) -> _Source | None:
    """None where there is no policy, none is named, or SELinux is disabled."""
    name = parse_type(read_text(store, tree, CONFIG))
    folder = lookup(store, tree, f"{FOLDER}/{name}/contexts/files") if name else None
    if not name or not isinstance(folder, Tree):
        return None
    there = store.read_directory(folder.contents).files
    if SPECIFICATIONS[0] not in there:
        return None
    wanted = (*SPECIFICATIONS, *SUBSTITUTIONS)
    return _Source(name, tuple((file, there[file]) for file in wanted if file in there))


def _read_contexts(store: ObjectStore, tree: Tree, source: _Source) -> Contexts:
    return parse_contexts(
        *(
            [read_text(store, tree, f"{source.files_folder}/{name}") for name in names]
            for names in (SPECIFICATIONS, SUBSTITUTIONS)
        )
    )


class _Labels:
    """The labels that one policy gives; those that were asked for once are remembered."""

    def __init__(
        self, store: ObjectStore, tree: Tree, source: _Source, copies: Copies, folder: Path
    ) -> None:
        _lay_out(store, tree, source, folder)
        self._policy = Policy(folder)
        self._name = f"labels-{source.key}"
        self._copies = copies
        self._used: dict[str, str | None] = {}
        self._known: dict[str, str | None] = {}
        for note in copies.notes(self._name):
            self._known.update(json.loads(note))

    def of(self, path: str, mode: int) -> str | None:
        """The label of a path (no leading slash), whose type the mode says."""
        key = f"{stat.S_IFMT(mode):o} /{path}"
        if key not in self._used:
            # libselinux tries thousands of expressions one after another.
            self._used[key] = (
                self._known[key] if key in self._known else self._policy.label(f"/{path}", mode)
            )
        return self._used[key]

    def remember(self) -> None:
        """Keeps what was asked for."""
        self._copies.note(self._name, canonical(self._used).encode())


def _lay_out(store: ObjectStore, tree: Tree, source: _Source, root: Path) -> None:
    """What libostree reads of a policy, as files below `root`.

    Without *.bin, which says the same for one version of one machine's library.
    """
    wanted = [(CONFIG, lookup(store, tree, CONFIG))]
    wanted += [(f"{source.files_folder}/{name}", checksum) for name, checksum in source.files]
    binary = lookup(store, tree, f"{FOLDER}/{source.type}/policy")
    if isinstance(binary, Tree):
        wanted += files_of(store, binary, f"{FOLDER}/{source.type}/policy/")
    for path, checksum in wanted:
        if isinstance(checksum, str):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            store.link_file(checksum, root / path)


class _Labelling:
    """A walk over base and tree side by side, into what differs and what a policy touches."""

    def __init__(self, store: ObjectStore, copies: Copies, labels: _Labels) -> None:
        self.labels = labels
        self.before: _Labels | None = None
        self.prefixes: tuple[str, ...] = ()  # of the paths that the policies may differ on
        self._store = store
        self._copies = copies

    def directory(self, old: Tree | None, new: Tree, path: str) -> Tree:
        """The directory at `path` with labels in it; `old` is what the base has there."""
        if new == old and not is_touched(self.prefixes, f"/{path}"):
            return new
        before = self._store.read_directory(old.contents) if old else EMPTY
        after = self._store.read_directory(new.contents)
        prefix = f"{path}/" if path else ""
        files = {
            name: self._file(before.files.get(name), checksum, prefix + name)
            for name, checksum in after.files.items()
        }
        directories = {
            name: self.directory(before.directories.get(name), child, prefix + name)
            for name, child in after.directories.items()
        }
        attributes = self._attributes(old, new, path)
        if files == after.files and directories == after.directories:
            return Tree(new.contents, attributes)
        return Tree(self._store.write_directory(Directory(files, directories)), attributes)

    def remember(self) -> None:
        """Keeps the labels for later commits."""
        for labels in filter(None, (self.labels, self.before)):
            labels.remember()

    def _attributes(self, old: Tree | None, new: Tree, path: str) -> str:
        is_new = old is None or old.attributes != new.attributes
        if not is_new and not is_touched(self.prefixes, f"/{path}"):
            return new.attributes
        attributes = self._store.read_directory_attributes(new.attributes)
        label = self._wanted(path, attributes.mode, label_of(attributes), is_new=is_new)
        return self._store.write_directory_attributes(with_label(attributes, label))

    def _file(self, old: str | None, new: str, path: str) -> str:
        if new == old and not is_touched(self.prefixes, f"/{path}"):
            return new
        attributes = self._store.read_file_attributes(new)
        label = self._wanted(path, attributes.mode, label_of(attributes), is_new=new != old)
        labelled = with_label(attributes, label)
        return new if labelled == attributes else self._copies.of(new, labelled)

    def _wanted(self, path: str, mode: int, present: str | None, *, is_new: bool) -> str | None:
        label = self.labels.of(path, mode)
        if is_new:
            return label
        # ostree, too, keeps a label where the policy gives none.
        has_changed = self.before is None or self.before.of(path, mode) != label
        return label if has_changed and label is not None else present
