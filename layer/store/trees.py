"""Reading, comparing and editing trees in any store, without a checkout.

Trees are immutable and share what they have in common: two equal subtrees have
equal checksums, so comparing and editing cost what differs, not what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from layer.errors import StoreError
from layer.model import Directory, DirectoryAttributes, Tree, TreeDiff
from layer.store.contract import ObjectStore

EMPTY = Directory({}, {})


def lookup(store: ObjectStore, root: Tree, path: str) -> Tree | str | None:
    """What `path` (no leading slash) is: a directory, a file's checksum, or None."""
    found: Tree | str | None = root
    for name in _names(path):
        if not isinstance(found, Tree):
            return None
        directory = store.read_directory(found.contents)
        found = directory.directories.get(name) or directory.files.get(name)
    return found


def lookup_all(store: ObjectStore, root: Tree, paths: Iterable[str]) -> dict[str, Tree | str]:
    """What `lookup` says of each of the paths that are there; a directory is looked up once."""
    found: dict[str, Tree | str] = {}
    folders: dict[str, Directory] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        directory = folders.get(folder)
        if directory is None:
            there = lookup(store, root, folder)
            directory = store.read_directory(there.contents) if isinstance(there, Tree) else EMPTY
            folders[folder] = directory
        at_path = directory.directories.get(name) or directory.files.get(name)
        if at_path is not None:
            found[path] = at_path
    return found


def empty_tree(store: ObjectStore) -> Tree:
    """A root directory with nothing in it."""
    return Tree(
        store.write_directory(EMPTY), store.write_directory_attributes(DirectoryAttributes())
    )


def files_of(store: ObjectStore, tree: Tree, prefix: str = "") -> Iterator[tuple[str, str]]:
    """All files and symlinks below `tree` with their checksums, in order of their paths."""
    directory = store.read_directory(tree.contents)
    for name in sorted(directory.files.keys() | directory.directories.keys()):
        if name in directory.files:
            yield prefix + name, directory.files[name]
        else:
            yield from files_of(store, directory.directories[name], f"{prefix}{name}/")


def directories_of(store: ObjectStore, tree: Tree, prefix: str = "") -> Iterator[tuple[str, Tree]]:
    """All directories below `tree`, each before what is in it, in order of their paths."""
    for name, child in sorted(store.read_directory(tree.contents).directories.items()):
        yield prefix + name, child
        yield from directories_of(store, child, f"{prefix}{name}/")


def diff(store: ObjectStore, old: Tree, new: Tree) -> TreeDiff:
    """The files and symlinks that differ; equal subtrees are not entered."""
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    _compare(store, old, new, "", (added, changed, removed))
    return TreeDiff(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(removed)))


def altered_directories(
    store: ObjectStore, old: Tree, new: Tree, prefix: str = ""
) -> tuple[str, ...]:
    """The directories of both trees whose owner, mode or attributes differ, sorted."""
    found = [prefix.rstrip("/")] if old.attributes != new.attributes else []
    if old.contents != new.contents:
        before, after = store.read_directory(old.contents), store.read_directory(new.contents)
        for name in before.directories.keys() & after.directories.keys():
            one, other = before.directories[name], after.directories[name]
            if one != other:
                found += altered_directories(store, one, other, f"{prefix}{name}/")
    return tuple(sorted(found))


def _compare(
    store: ObjectStore,
    old: Tree,
    new: Tree,
    prefix: str,
    found: tuple[list[str], list[str], list[str]],
) -> None:
    if old.contents == new.contents:
        return
    added, changed, removed = found
    before, after = store.read_directory(old.contents), store.read_directory(new.contents)
    for name, checksum in after.files.items():
        if name not in before.files:
            added.append(prefix + name)
        elif before.files[name] != checksum:
            changed.append(prefix + name)
    removed += [prefix + name for name in before.files if name not in after.files]
    for name, tree in after.directories.items():
        if name in before.directories:
            _compare(store, before.directories[name], tree, f"{prefix}{name}/", found)
        else:
            added += [path for path, _ in files_of(store, tree, f"{prefix}{name}/")]
    for name, tree in before.directories.items():
        if name not in after.directories:
            removed += [path for path, _ in files_of(store, tree, f"{prefix}{name}/")]


class TreeEditor:
    """A tree that is being changed: reads lazily, and writes only the directories it changed.

    Paths have no leading slash; putting something makes missing parents,
    owned by root with mode 0755.
    """

    def __init__(self, store: ObjectStore, root: Tree) -> None:
        self._store = store
        self._root = _Node(store, root)
        self._empty: Tree | None = None

    def lookup(self, path: str) -> Tree | str | None:
        """What `path` is now; a directory that was edited is stored to tell its checksum."""
        names = _names(path)
        if not names:
            return self._root.write()
        parent = self._find(names[:-1])
        if parent is None:
            return None
        child = parent.directories.get(names[-1])
        if isinstance(child, _Node):
            return child.write()
        return child or parent.files.get(names[-1])

    def file(self, path: str) -> str | None:
        """The checksum of the file or symlink at `path`; None where there is none."""
        *parents, name = _names(path)
        node = self._find(parents)
        return node.files.get(name) if node else None

    def directory_attributes(self, path: str) -> str | None:
        """The attributes checksum of the directory at `path`; None where there is none."""
        node = self._find(_names(path))
        return node.attributes if node else None

    def put_file(self, path: str, checksum: str) -> None:
        """Makes `path` that file or symlink, whatever it was before."""
        *parents, name = _names(path)
        node = self._enter(parents)
        node.directories.pop(name, None)
        node.files[name] = checksum

    def put_directory(self, path: str, attributes: str) -> None:
        """Makes `path` a directory with these attributes; what is in it stays."""
        self._enter(_names(path)).attributes = attributes

    def put_tree(self, path: str, tree: Tree) -> None:
        """Makes `path` that very tree, whatever it was before."""
        *parents, name = _names(path)
        node = self._enter(parents)
        node.files.pop(name, None)
        node.directories[name] = tree

    def remove(self, path: str) -> None:
        """Takes away a file or a whole directory; StoreError where there is none."""
        *parents, name = _names(path)
        node = self._find(parents)
        if node is None or (name not in node.files and name not in node.directories):
            raise StoreError(f"the tree has no {path}")
        node = self._enter(parents)
        node.files.pop(name, None)
        node.directories.pop(name, None)

    def write(self) -> Tree:
        """Stores what has changed; returns the tree as it is now. Editing may go on."""
        return self._root.write()

    def _new_directory(self) -> Tree:
        if self._empty is None:
            self._empty = empty_tree(self._store)
        return self._empty

    def _find(self, names: list[str]) -> _Node | None:
        node: _Node | None = self._root
        for name in names:
            node = node.child(name) if node else None
        return node

    def _enter(self, names: list[str]) -> _Node:
        """The directory of that path, made where it is missing; all on the way is marked."""
        node = self._root
        node.is_changed = True
        for name in names:
            if name in node.files:
                raise StoreError(f"the tree has a file where {'/'.join(names)} wants a directory")
            child = node.child(name)
            if child is None:
                child = node.directories[name] = _Node(self._store, self._new_directory())
            child.is_changed = True
            node = child
        return node


class _Node:
    """A directory that is being looked at or changed."""

    def __init__(self, store: ObjectStore, tree: Tree) -> None:
        directory = store.read_directory(tree.contents)
        self._store = store
        self._contents = tree.contents
        self.attributes = tree.attributes
        self.files = dict(directory.files)
        self.directories: dict[str, Tree | _Node] = dict(directory.directories)
        self.is_changed = False

    def child(self, name: str) -> _Node | None:
        child = self.directories.get(name)
        if isinstance(child, Tree):
            child = self.directories[name] = _Node(self._store, child)
        return child

    def write(self) -> Tree:
        if self.is_changed:
            subtrees = {
                name: child if isinstance(child, Tree) else child.write()
                for name, child in self.directories.items()
            }
            self._contents = self._store.write_directory(Directory(self.files, subtrees))
            self.is_changed = False
        return Tree(self._contents, self.attributes)


def _names(path: str) -> list[str]:
    return path.split("/") if path else []
