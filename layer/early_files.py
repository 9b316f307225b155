"""Files of a machine's own /etc as an initrd that is appended to the tree's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from layer.errors import InvalidInput, NotFound

_MOST = 64 << 20  # bytes; the boot loader holds them in memory
_MAGIC = b"070701"  # cpio's "newc" format, which the kernel reads (initramfs-buffer-format)
_END = "TRAILER!!!"


def tracked_path(word: str) -> str:
    """The word, where it is the path of something in /etc; InvalidInput where it is not."""
    if os.path.normpath(word) != word or not word.startswith("/etc/"):
        raise InvalidInput(f"{word!r} is no path of a file in /etc", "it is /etc/NAME")
    return word


def overlay_initrd(deployment: Path, tracked: Sequence[str]) -> bytes:
    """The tracked files of a deployment's /etc as one archive; the same files, the same bytes.

    Directories come with all that is in them; owners and modes are kept, times are not.
    Nothing for no files. NotFound names all that are missing.
    """
    if not tracked:
        return b""
    paths = [deployment / tracked_path(word)[1:] for word in tracked]
    missing = [word for word, p in zip(tracked, paths, strict=True) if not os.path.lexists(p)]
    if missing:
        raise NotFound(
            f"tracked for the initramfs, and not in /etc: {', '.join(missing)}",
            " ".join(["layer initramfs-etc", *(f"--untrack {word}" for word in missing)]),
        )
    found = {path for top in paths for path in _with_parents(top, deployment)}
    parts, length = [], 0
    for number, path in enumerate(sorted(found), start=1):
        parts.append(_entry(path, str(path.relative_to(deployment)), number))
        length += len(parts[-1])
        if length > _MOST:
            raise InvalidInput(f"the files for the initramfs are more than {_MOST >> 20} MiB")
    return b"".join([*parts, _record(_END, 0, (0, 0, 0), b"", links=1)])


def _with_parents(top: Path, deployment: Path) -> Iterator[Path]:
    yield from (p for p in top.parents if p != deployment and p.is_relative_to(deployment))
    yield top
    if top.is_dir() and not top.is_symlink():
        yield from top.rglob("*")


def _entry(path: Path, name: str, number: int) -> bytes:
    info = path.lstat()
    content = b""
    if stat.S_ISLNK(info.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(info.st_mode):
        if info.st_size > _MOST:
            raise InvalidInput(f"/{name} is more than {_MOST >> 20} MiB, too much for an initramfs")
        content = path.read_bytes()
    elif not stat.S_ISDIR(info.st_mode):
        raise InvalidInput(f"/{name} is no file, link or directory, and cannot be tracked")
    links = 2 if stat.S_ISDIR(info.st_mode) else 1
    return _record(name, number, (info.st_mode, info.st_uid, info.st_gid), content, links=links)


def _record(
    name: str, number: int, owner: tuple[int, int, int], content: bytes, *, links: int
) -> bytes:
    """A header, the name and the content, each padded to four bytes; no time and no device."""
    text = os.fsencode(name) + b"\0"
    fields = (number, *owner, links, 0, len(content), 0, 0, 0, 0, len(text), 0)
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + text
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
