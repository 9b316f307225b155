"""Where trees keep their rpm database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

from layer.model import Tree
from layer.rpmfile.database import DATABASE_FILE as DATABASE_FILE
from layer.rpmfile.stored import StoredPackages, open_stored, open_stored_file
from layer.store.contract import ObjectStore
from layer.store.trees import lookup

# Ours and Fedora Atomic's, then rpm's newer default.
DATABASE_PATHS = ("usr/share/rpm", "usr/lib/sysimage/rpm")
_CHUNK = 1 << 20


def database_path(store: ObjectStore, tree: Tree) -> str | None:
    """The directory of the tree's rpm database, or None where it has none."""
    for path in DATABASE_PATHS:
        if isinstance(lookup(store, tree, f"{path}/{DATABASE_FILE}"), str):
            return path
    return None


@contextmanager
def open_packages(store: ObjectStore, tree: Tree) -> Iterator[StoredPackages | None]:
    """The packages in a tree's rpm database, None where it has none; read where it lies."""
    path = database_path(store, tree)
    checksum = lookup(store, tree, f"{path}/{DATABASE_FILE}") if path else None
    with ExitStack() as stack:
        if not isinstance(checksum, str):
            yield None
            return
        file = stack.enter_context(store.open_file(checksum))
        if isinstance(file, BytesIO):  # unpacked, of an archive repository
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="layer-"))
            folder = extract_database(store, tree, Path(scratch))
            assert folder is not None
            yield stack.enter_context(open_stored(folder))
        else:
            yield stack.enter_context(open_stored_file(file, Path(f"/{path}")))


def link_database(store: ObjectStore, tree: Tree, destination: Path) -> Path | None:
    """As `extract_database`, for who only reads: the file may be the store's own."""
    path = database_path(store, tree)
    checksum = lookup(store, tree, f"{path}/{DATABASE_FILE}") if path else None
    if not isinstance(checksum, str):
        return None
    folder = destination / "rpmdb"
    folder.mkdir()
    store.link_file(checksum, folder / DATABASE_FILE)
    return folder


def extract_database(store: ObjectStore, tree: Tree, destination: Path) -> Path | None:
    """Copies the tree's rpm database into a directory below `destination`; None if it has none."""
    path = database_path(store, tree)
    checksum = lookup(store, tree, f"{path}/{DATABASE_FILE}") if path else None
    if not isinstance(checksum, str):
        return None
    folder = destination / "rpmdb"
    folder.mkdir()
    with (
        store.open_file(checksum) as source,
        (folder / DATABASE_FILE).open("wb") as copy,
    ):
        for chunk in iter(lambda: source.read(_CHUNK), b""):
            copy.write(chunk)
    return folder
