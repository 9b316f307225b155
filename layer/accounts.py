"""Users and groups of a tree: their numbers, and the files that are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from layer import ids, spans
from layer.copies import Copies
from layer.errors import PackageRefused
from layer.model import PackageTree, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.trees import TreeEditor, files_of, lookup
from layer.words import is_number


def read_accounts(store: ObjectStore, tree: Tree) -> ids.Accounts:
    """The users and groups of a tree's own /etc (and of /usr/lib, for nss-altfiles)."""
    texts = [
        "\n".join(read_text(store, tree, f"{folder}/{name}") for folder in ("usr/etc", "usr/lib"))
        for name in ("passwd", "group")
    ]
    return ids.parse_accounts(*texts)


def read_id_map(store: ObjectStore, tree: Tree) -> ids.Accounts:
    """The map of ids that the base ships, empty where it ships none."""
    text = read_text(store, tree, ids.MAP_PATH)
    return ids.parse_map(text) if text else ids.Accounts()


def read_numbers(store: ObjectStore, tree: Tree) -> dict[str, int]:
    """The numbers that `number_accounts` wrote down in a tree."""
    lines = ids.parse_sysusers(read_text(store, tree, ids.IDS_PATH), f"/{ids.IDS_PATH}")
    return {line.name: int(line.own_number) for line in lines if is_number(line.own_number)}


def number_accounts(
    store: ObjectStore,
    base: Tree,
    tree: Tree,
    packages: Sequence[PackageTree],
    previous: Mapping[str, int],
) -> tuple[Tree, dict[str, int]]:
    """Writes down a fixed number for every account that the packages bring.

    Returns the tree with `ids.IDS_PATH`, and the exceptions for the lock.
    """
    lines: list[ids.UserLine] = []
    for package in sorted(packages, key=lambda p: p.nevra):
        folder = lookup(store, package.root, ids.SYSUSERS)
        if isinstance(folder, Tree):
            for name, _ in files_of(store, folder):
                path = f"{ids.SYSUSERS}/{name}"
                text = read_text(store, package.root, path)
                lines += ids.parse_sysusers(text, f"{package.nevra}: /{path}")
    numbered, exceptions = ids.assign(
        lines, read_accounts(store, tree), read_id_map(store, base), previous
    )
    if not numbered:
        return tree, {}
    text = read_text(store, base, ids.IDS_PATH) + ids.format_sysusers(numbered)
    return write_text(store, tree, {ids.IDS_PATH: text}), exceptions


@spans.phase("merge")
def share_accounts(store: ObjectStore, base: Tree, tree: Tree) -> tuple[Tree, tuple[str, ...]]:
    """Repeats new accounts in /usr/lib/passwd and group, where the base has these.

    nss-altfiles reads them beside /etc, so that an account is known whatever an
    admin's /etc/passwd says. Returns the tree and the paths written.
    """
    texts = {}
    for name in ("passwd", "group"):
        shared = read_text(store, tree, f"usr/lib/{name}")
        known = {*read_text(store, base, f"usr/etc/{name}").splitlines(), *shared.splitlines()}
        lines = read_text(store, tree, f"usr/etc/{name}").splitlines()
        new = [line for line in lines if line not in known]
        if new and lookup(store, base, f"usr/lib/{name}") is not None:
            texts[f"usr/lib/{name}"] = "".join(f"{line}\n" for line in [*shared.splitlines(), *new])
    return write_text(store, tree, texts), tuple(sorted(texts))


@spans.phase("merge")
def resolve_owners(
    store: ObjectStore,
    tree: Tree,
    packages: Sequence[PackageTree],
    copies: Copies | None = None,
) -> Tree:
    """Gives files and directories the owners that their packages name.

    Names are looked up in the tree itself; modes stay, setuid bits included.
    PackageRefused names every package, path and missing user or group at once.
    """
    accounts = read_accounts(store, tree)
    editor = TreeEditor(store, tree)
    copies = copies or Copies(store)
    missing = []
    for package in sorted(packages, key=lambda p: p.nevra):
        for owner in package.owners:
            uid, gid = accounts.users.get(owner.user), accounts.groups.get(owner.group)
            if uid is None:
                missing.append(f"{package.nevra}: /{owner.path}: no user {owner.user}")
            if gid is None:
                missing.append(f"{package.nevra}: /{owner.path}: no group {owner.group}")
            if uid is not None and gid is not None:
                _put_owner(store, editor, copies, owner.path, (uid, gid))
    if missing:
        raise PackageRefused(
            "owners that nothing defines:\n  " + "\n  ".join(missing),
            "the package should ship a sysusers.d file for them",
        )
    return editor.write()


def _put_owner(
    store: ObjectStore, editor: TreeEditor, copies: Copies, path: str, owner: tuple[int, int]
) -> None:
    uid, gid = owner
    present = editor.lookup(path)
    if isinstance(present, Tree):
        folder = store.read_directory_attributes(present.attributes)
        owned = replace(folder, uid=uid, gid=gid)
        editor.put_directory(path, store.write_directory_attributes(owned))
    elif present is not None:
        file = store.read_file_attributes(present)
        if (file.uid, file.gid) != owner:
            editor.put_file(path, copies.of(present, replace(file, uid=uid, gid=gid)))
