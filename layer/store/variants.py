"""What libostree takes and gives as GVariants, and the bytes that it hashes."""

from __future__ import annotations

import struct
from typing import Any

from layer.model import FileAttributes
from layer.store.gobject import GLib

_NO_XATTRS = GLib.Variant("a(ayay)", [])


def file_header(attributes: FileAttributes) -> bytes:
    """What a file object's checksum covers before the content (ostree-core.c, file header)."""
    if not attributes.xattrs:
        # The bytes that the GVariant below has: no target, no attributes, one framing offset.
        owner = (attributes.uid, attributes.gid, attributes.mode)
        return struct.pack(">IIIIII", 18, 0, *owner, 0) + b"\0\x11"
    header = GLib.Variant(
        "(uuuusa(ayay))",
        (
            big_endian(attributes.uid),
            big_endian(attributes.gid),
            big_endian(attributes.mode),
            0,
            "",
            xattr_pairs(attributes.xattrs),
        ),
    )
    data: bytes = header.get_data_as_bytes().get_data()
    return struct.pack(">II", len(data), 0) + data


def as_variant(value: str | bool) -> Any:
    """A value of a commit's metadata."""
    return GLib.Variant("b" if isinstance(value, bool) else "s", value)


def xattr_pairs(xattrs: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    """Extended attributes as libostree has them: sorted, the names ended with a zero."""
    return [(name + b"\0", value) for name, value in sorted(xattrs)]


def xattrs_as_variant(xattrs: tuple[tuple[bytes, bytes], ...]) -> Any:
    """The same, as libostree takes them of a file."""
    return GLib.Variant("a(ayay)", xattr_pairs(xattrs)) if xattrs else _NO_XATTRS


def big_endian(value: int) -> int:
    """OSTree keeps numbers in big-endian inside variants, which are little-endian here."""
    return int.from_bytes(value.to_bytes(4, "big"), "little")
