"""Where trees keep their rpm database, and how one takes the place of another."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

from layer.model import FileAttributes, Nevra, Tree
from layer.rpmfile.database import DATABASE_FILE as DATABASE_FILE
from layer.rpmfile.states import FileStates
from layer.rpmfile.stored import StoredPackages, open_stored, open_stored_file
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, lookup

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


def _link_database(store: ObjectStore, tree: Tree, destination: Path) -> Path | None:
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


def change_database(
    store: ObjectStore,
    editor: TreeEditor,
    tree: Tree,
    scratch: Path,
    *,
    timestamp: int,
    blobs: Sequence[bytes] = (),
    erased: Collection[Nevra] = (),
    states: FileStates | None = None,
) -> str:
    """Puts the tree's database with packages added or erased into `editor`; returns its path.

    As `layer.rpmfile.writing.new_database` has it; `scratch` is an empty directory.
    """
    from layer.rpmfile.writing import new_database  # which who only reads has no use for

    with new_database(
        _link_database(store, tree, scratch),
        blobs,
        scratch,
        timestamp=timestamp,
        states=states,
        erased=erased,
        links=_directory_links(store, tree),
    ) as database:
        path = f"{database_path(store, tree) or DATABASE_PATHS[0]}/{DATABASE_FILE}"
        editor.put_file(path, store.write_file_of(FileAttributes(), database))
    return path


def _directory_links(store: ObjectStore, tree: Tree) -> dict[str, str]:
    """The symlinks in / and /usr, such as that of /bin, by path."""
    links = {}
    for folder in ("", "usr/"):
        found = lookup(store, tree, folder.rstrip("/")) if folder else tree
        if isinstance(found, Tree):
            for name, checksum in store.read_directory(found.contents).files.items():
                target = store.read_file_attributes(checksum).target
                if target:
                    links[folder + name] = target
    return links
