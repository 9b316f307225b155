"""Packages without their documentation, for trees that are to do without."""

from __future__ import annotations

import posixpath
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from layer import tmpfiles
from layer.importer import read_package_header
from layer.layout import FACTORY, Placement, place, tmpfiles_path
from layer.model import DirectoryAttributes, FileAttributes, PackageFile, PackageTree, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import TreeEditor


def documentation_of(files: Sequence[PackageFile]) -> frozenset[str]:
    """The paths in a package that rpm leaves out with --excludedocs.

    What is marked %doc, and the package's own entry of each directory that has lost all that the
    package had in it (skipInstallFiles in rpm's lib/transaction.c).
    """
    left_out = {file.path for file in files if file.is_doc}
    folders = {file.path for file in files if stat.S_ISDIR(file.mode)}
    remaining = Counter(posixpath.dirname(file.path) for file in files)
    lost = Counter(posixpath.dirname(path) for path in left_out)
    for folder in sorted(remaining, reverse=True):  # what is inside before what it is in
        is_emptied = lost[folder] == remaining[folder]
        if is_emptied and folder in folders and folder not in left_out:
            left_out.add(folder)
            lost[posixpath.dirname(folder)] += 1
    return frozenset(left_out)


def documentation_positions(store: ObjectStore, package: PackageTree) -> tuple[int, ...]:
    """The same by position in the package's list of files."""
    files = read_package_header(store, package).files
    left_out = documentation_of(files)
    return tuple(n for n, file in enumerate(files) if file.path in left_out)


def placed_without_documentation(placement: Placement, files: Sequence[PackageFile]) -> Placement:
    """What becomes of the package's paths but for its documentation."""
    left_out = documentation_of(files)
    kept = tuple(placed for placed in placement.files if placed.source.path not in left_out)
    return replace(placement, files=kept)


def without_documentation(store: ObjectStore, package: PackageTree) -> PackageTree:
    """The imported package less its documentation; to be called in a transaction."""
    header = read_package_header(store, package)
    left_out = documentation_of(header.files)
    if not left_out:
        return package
    placed = place(header).files
    gone = [p for p in placed if p.source.path in left_out]
    kept = {p.path for p in placed if stat.S_ISDIR(p.source.mode)} - {p.path for p in gone}
    editor = TreeEditor(store, package.root)
    for item in gone:
        if not stat.S_ISDIR(item.source.mode):
            editor.remove(item.path)
    default = store.write_directory_attributes(DirectoryAttributes())
    for item in gone:
        if stat.S_ISDIR(item.source.mode):
            editor.put_directory(item.path, default)  # as where files alone imply it
    for item in sorted(gone, key=lambda p: p.path, reverse=True):
        _remove_emptied(store, editor, item.path, kept)
    _remove_lines(store, editor, package, left_out | {_at_boot(p.path) for p in gone})
    paths = {p.path for p in gone}
    owners = tuple(owner for owner in package.owners if owner.path not in paths)
    return replace(package, root=editor.write(), owners=owners)


def _remove_emptied(store: ObjectStore, editor: TreeEditor, path: str, kept: set[str]) -> None:
    """Removes an empty directory, or those above a path that nothing else is in."""
    while path and path not in kept:
        found = editor.lookup(path)
        if isinstance(found, Tree):
            directory = store.read_directory(found.contents)
            if directory.files or directory.directories:
                return
            editor.remove(path)
        path = path.rpartition("/")[0]


def _at_boot(tree_path: str) -> str:
    """What tmpfiles.d makes of a path of the tree, "" for most."""
    is_factory = tree_path.startswith(f"{FACTORY}/")
    return tree_path.removeprefix(FACTORY) if is_factory else ""


def _remove_lines(
    store: ObjectStore, editor: TreeEditor, package: PackageTree, paths: set[str] | frozenset[str]
) -> None:
    """Takes the generated tmpfiles.d lines for these absolute paths away."""
    where = tmpfiles_path(package.nevra.name)
    lines = read_text(store, package.root, where).splitlines(keepends=True)
    kept = [line for line in lines if not tmpfiles.declared_paths(line) & paths]
    if len(kept) == len(lines):
        return
    if kept:
        data = "".join(kept).encode()
        editor.put_file(where, store.write_file(FileAttributes(), [data]))
    else:
        editor.remove(where)
        _remove_emptied(store, editor, where, set())
