"""Objects that are held against their names as they are read: damage is found before it is used."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from dataclasses import replace
from pathlib import Path

from layer.errors import StoreError
from layer.model import FileAttributes
from layer.store.variants import file_header

_LABEL = b"security.selinux"


def check_object(kind: str, checksum: str, data: bytes) -> None:
    """StoreError where these are not the bytes that an object of this name has."""
    if hashlib.sha256(data).hexdigest() != checksum:
        raise damaged(kind, checksum)


def damaged(kind: str, checksum: str) -> StoreError:
    """What is raised for an object that is not what its name says."""
    return StoreError(
        f"the {kind} {checksum} in the repository is damaged",
        "`layer fsck` says what it belongs to, and with --repair heals it",
    )


def is_same_file(path: str, ours: str) -> bool:
    """Whether both names are of one file; an empty file may be a copy, as libostree makes these."""
    there, here = os.lstat(path), os.lstat(ours)
    if os.path.samestat(there, here):
        return True
    if there.st_size or here.st_size or not stat.S_ISREG(there.st_mode):
        return False
    with Path(path).open("rb") as one, Path(ours).open("rb") as other:
        return _attributes_of(one.fileno()) == _attributes_of(other.fileno())


class CheckedFile(io.BufferedReader):
    """A regular file of a bare repository, read from its beginning to its end.

    The last read raises StoreError where content, owner, mode or attributes are not the object's.
    """

    def __init__(self, path: Path, checksum: str) -> None:
        super().__init__(io.FileIO(path, opener=_without_following))
        self._checksum = checksum
        found = _attributes_of(self.fileno())
        # Where SELinux is on, the kernel tells a label of a file that was stored without one.
        bare = replace(found, xattrs=tuple(x for x in found.xattrs if x[0] != _LABEL))
        headers = dict.fromkeys(map(file_header, (found, bare)))
        self._digests = tuple(map(hashlib.sha256, headers))

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        data = super().read(size)
        for digest in self._digests:
            digest.update(data)
        is_end = size is None or size < 0 or len(data) < size
        if is_end and self._checksum not in {digest.hexdigest() for digest in self._digests}:
            raise damaged("file", self._checksum)
        return data


def _without_following(path: str, flags: int) -> int:
    """A descriptor; of a symlink, what it leads to is the running system's, and no object."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(f"{path} is a symlink, not a file to be read") from None
        raise


def _attributes_of(descriptor: int) -> FileAttributes:
    found = os.fstat(descriptor)
    names = sorted(os.listxattr(descriptor))
    xattrs = tuple((os.fsencode(name), os.getxattr(descriptor, name)) for name in names)
    return FileAttributes(found.st_uid, found.st_gid, found.st_mode, "", xattrs)
