"""Small text files in trees."""

from __future__ import annotations

from collections.abc import Mapping

from layer.model import FileAttributes, Tree
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, lookup


def read_text(store: ObjectStore, tree: Tree, path: str) -> str:
    """The text of a file; bytes outside UTF-8 as surrogates.

    "" where the tree has none, or a symlink in its place, as it is made to mask a file.
    """
    checksum = lookup(store, tree, path)
    if not isinstance(checksum, str) or store.read_file_attributes(checksum).target:
        return ""
    with store.open_file(checksum) as content:
        return content.read().decode("utf-8", "surrogateescape")


def write_text(store: ObjectStore, tree: Tree, texts: Mapping[str, str]) -> Tree:
    """The tree with these files, owned by root with mode 0644, in place of what was there."""
    editor = TreeEditor(store, tree)
    for path, text in sorted(texts.items()):
        data = text.encode("utf-8", "surrogateescape")
        editor.put_file(path, store.write_file(FileAttributes(), [data]))
    return editor.write()
