"""A copy of a commit beside it, as what it says of itself has no other source."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

from layer.store.commits import FORMAT
from layer.store.damage import Damaged, drop
from layer.store.gobject import GLib, OSTree, translated
from layer.store.objects import OstreeStore

KEY = "layer.copy"
_LARGEST = 64 << 20  # bytes of a commit


def copy_of(store: OstreeStore, checksum: str) -> str:
    """What to note beside a commit under KEY."""
    with translated(f"no commit {checksum}"):
        _, variant, _ = store.repo.load_commit(checksum)
    return b64encode(zlib.compress(variant.get_data_as_bytes().get_data() or b"")).decode()


def restore(store: OstreeStore, damaged: Iterable[Damaged]) -> bool:
    """Puts commits in the place of damaged ones that have a whole copy; whether there were any."""
    found = [(one, copy) for one in damaged if (copy := _read(store, one)) is not None]
    drop(store, [one for one, _ in found], ())
    with translated("cannot write a commit"):
        for one, copy in found:
            store.repo.write_metadata(OSTree.ObjectType.COMMIT, one.checksum, copy, None)
    return bool(found)


def _read(store: OstreeStore, one: Damaged) -> Any | None:
    if one.kind != "commit":
        return None
    try:
        packed = b64decode(store.read_detached_metadata(one.checksum).get(KEY, ""))
        data = zlib.decompressobj().decompress(packed, _LARGEST)
    except (ValueError, zlib.error):
        return None
    if hashlib.sha256(data).hexdigest() != one.checksum:
        return None
    return GLib.Variant.new_from_bytes(GLib.VariantType(FORMAT), GLib.Bytes.new(data), False)
