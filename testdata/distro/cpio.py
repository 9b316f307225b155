"""The cpio archives: "newc", of RPM v4 payloads and initramfs images, and RPM v6's without names."""

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


def pack_stripped(members: list[tuple[int, bytes]]) -> bytes:
    """Return RPM's own archive of these members: index in the header, and content."""
    archive = bytearray()
    for index, data in members:
        archive += b"07070X%08x" % index
        archive += bytes(-len(archive) % 4)
        archive += data
        archive += bytes(-len(archive) % 4)
    return bytes(archive + pack_cpio([]))
