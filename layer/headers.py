"""The headers of all packages of a commit, each a file: what is in it, without a checkout."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from layer.errors import InvalidInput, NotFound
from layer.layout import HEADERS
from layer.lock import SCHEMA, base_of
from layer.model import Commit, FileAttributes, Nevra, Tree
from layer.packages import ListedPackage
from layer.rpmdb import database_path, extract_database
from layer.rpmfile.stored import open_stored
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, empty_tree, files_of, lookup
from layer.takeover import layered_in


def list_packages(store: ObjectStore, commit: Commit) -> tuple[ListedPackage, ...]:
    """The packages of a commit, sorted: the base's and, told apart, the layers.

    Those of a base that ships no headers are derived from its rpm database and
    kept under `headers_ref`, once; `store` must then be one that may be written. So are those of
    a commit that rpm-ostree layered, which counts as its own base there.
    """
    checksum = base_of(commit)
    base = store.read_commit(checksum) if checksum else commit
    layered = layered_in(store, commit)
    found = {
        nevra: ListedPackage(nevra, header, is_layered=nevra in layered)
        for nevra, header in _headers(store, commit.root)
        if nevra in layered or _ships_headers(store, base)
    }
    if not _ships_headers(store, base):
        kept = _find_derived(store, base) or _derive(store, base)
        for nevra, header in _headers(store, store.read_commit(kept).root):
            known = ListedPackage(nevra, header, is_layered=nevra in layered, is_derived=True)
            found.setdefault(nevra, known)
    return tuple(found[nevra] for nevra in sorted(found))


def writes_to_list(store: ObjectStore, commit: Commit) -> bool:
    """Whether `list_packages` would write into the store."""
    checksum = base_of(commit)
    base = store.read_commit(checksum) if checksum else commit
    return not (_ships_headers(store, base) or _find_derived(store, base))


def headers_ref(base: str) -> str:
    """The ref of the headers that were derived for a base commit."""
    return f"layer/headers/{base}"


def _ships_headers(store: ObjectStore, base: Commit) -> bool:
    """Whether the base has a header for each package: if we made it, or nothing else says it."""
    if not any(_headers(store, base.root)):
        return False
    return "layer.schema" in base.metadata or database_path(store, base.root) is None


def _headers(store: ObjectStore, tree: Tree) -> Iterator[tuple[Nevra, str]]:
    folder = lookup(store, tree, HEADERS)
    if not isinstance(folder, Tree):
        return
    for name, checksum in files_of(store, folder):
        try:
            yield Nevra.parse(name.removesuffix(".rpm")), checksum
        except InvalidInput:
            continue  # of a base that others made: none of ours


def _find_derived(store: ObjectStore, base: Commit) -> str | None:
    """The commit of headers that were derived, None where that has to be done (anew)."""
    found = store.find_commit(headers_ref(base.checksum))
    is_ours = found and store.read_commit(found).metadata.get("layer.schema") == str(SCHEMA)
    return found if is_ours else None


def _derive(store: ObjectStore, base: Commit) -> str:
    """Stores a commit of the headers in the base's rpm database."""
    with tempfile.TemporaryDirectory(prefix="layer-") as scratch, store.transaction():
        database = extract_database(store, base.root, Path(scratch))
        if database is None:
            raise NotFound(
                f"commit {base.checksum} lists no packages: it has no /{HEADERS} "
                "and no rpm database of a kind that is known here"
            )
        editor = TreeEditor(store, empty_tree(store))
        with open_stored(database) as stored:
            for nevra, blob in stored.headers():
                editor.put_file(
                    f"{HEADERS}/{nevra}.rpm", store.write_file(FileAttributes(), [blob])
                )
        commit = store.write_commit(
            editor.write(),
            parent=None,
            timestamp=base.timestamp,
            subject=f"Headers of the packages of {base.checksum}",
            metadata={"layer.schema": str(SCHEMA), "layer.headers-of": base.checksum},
        )
        store.set_ref(headers_ref(base.checksum), commit)
    return commit
