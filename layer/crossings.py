"""Directories of other users on the way to what layer declares in /var and /run.

systemd-tmpfiles goes from a directory of another user into none of root's, "unsafe path
transition", so that nothing below would be made. Seen with systemd 252: it takes the lines that
make things first, and those of type z after them. So such a directory is root's while things
are made in it, and then its owner's. It then refuses the links of that owner all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from layer.layout import is_root, tmpfiles_path
from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.trees import TreeEditor, lookup
from layer.tmpfiles import Line, parse_lines

# Of two lines that make a path the first file's by name counts.
CROSSINGS = "usr/lib/tmpfiles.d/00-layer-owners.conf"
_FOLDERS = ("usr/lib/tmpfiles.d", "usr/etc/tmpfiles.d")  # the latter's file takes the place of one
_OURS = tmpfiles_path("").rpartition("/")[2].removesuffix(".conf")
_ROOT = "root"


def add_crossings(
    store: ObjectStore, base: Tree | None, tree: Tree
) -> tuple[Tree, tuple[str, ...]]:
    """The tree with the lines for such directories, and the paths written.

    Where the declarations are those of `base`, its own lines stay.
    """
    if base is not None and all(lookup(store, base, f) == lookup(store, tree, f) for f in _FOLDERS):
        return tree, ()
    text = "".join(owners_handed_over(_configuration(store, tree)))
    if text:
        changed = write_text(store, tree, {CROSSINGS: text})
        return changed, ((CROSSINGS,) if changed != tree else ())
    if lookup(store, tree, CROSSINGS) is None:
        return tree, ()
    editor = TreeEditor(store, tree)
    editor.remove(CROSSINGS)
    return editor.write(), ()


def owners_handed_over(files: Mapping[str, str]) -> tuple[str, ...]:
    """Lines that make directories root's at first, and their owners' in the end.

    `files` are the texts of the configuration by their names without folder.
    """
    makers: dict[str, Line] = {}
    wanted: set[str] = set()
    owners: dict[str, str] = {}
    for name, text in sorted(files.items()):
        for line in parse_lines(text):
            if line.makes:
                makers.setdefault(line.path, line)
                wanted |= {line.path} if name.startswith(_OURS) else set()
            elif line.kind in "zZ" and line.user:
                owners[line.path] = line.user  # of these the last counts
    owners = {path: line.user for path, line in makers.items() if line.user} | owners
    crossed = {folder for path in wanted for folder in _crossed(path, owners)}
    found = []
    for folder in sorted(crossed & makers.keys()):
        line = makers[folder]
        found.append(line.owned_by(_ROOT))
        found.append(f"z {line.fields[1]} - {owners[folder]} -\n")
    return tuple(found)


def _crossed(path: str, owners: Mapping[str, str]) -> Sequence[str]:
    """The directories above a path that another's directory lies in, where they are not root's."""
    names = path.split("/")[1:-1]
    above = ["/" + "/".join(names[: count + 1]) for count in range(len(names))]
    found = []
    for outer, inner in itertools.pairwise(above):
        owner = owners.get(outer, _ROOT)
        if not is_root(owner) and owners.get(inner, _ROOT) != owner:
            found.append(outer)
    return found


def _configuration(store: ObjectStore, tree: Tree) -> dict[str, str]:
    """The texts that systemd-tmpfiles would read, by their names, without our own."""
    texts = {}
    for folder in _FOLDERS:
        found = lookup(store, tree, folder)
        files = store.read_directory(found.contents).files if isinstance(found, Tree) else {}
        for name, checksum in files.items():
            if not name.endswith(".conf") or f"{folder}/{name}" == CROSSINGS:
                continue
            # A link to /dev/null masks, and where other links lead is not looked at.
            is_link = bool(store.read_file_attributes(checksum).target)
            texts[name] = "" if is_link else read_text(store, tree, f"{folder}/{name}")
    return texts
