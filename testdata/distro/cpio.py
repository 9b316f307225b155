"""The cpio "newc" archive: RPM payloads and initramfs images are written in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive; `mode` holds the file type too."""

    name: bytes
    mode: int
    data: bytes = b""
    inode: int = 0
    links: int = 1
    mtime: int = 0


def pack_cpio(members: list[Member]) -> bytes:
    """Return the archive of these members, owned by root, in this order."""
    archive = bytearray()
    for member in [*members, Member(b"TRAILER!!!", 0)]:
        name = member.name + b"\0"
        fields = (
            member.inode,
            member.mode,
            0,  # owners: rpm takes them from its header, an initramfs has root alone
            0,
            member.links,
            member.mtime,
            len(member.data),
            *(0, 0, 0, 0),  # devices
            len(name),
            0,
        )
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        archive += bytes(-len(archive) % 4)
        archive += member.data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
