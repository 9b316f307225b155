"""How much is in a repository, counted in its list of packages."""

from __future__ import annotations

import os
import re

from layer.fetch.markup import CODECS
from layer.fetch.transfer import broken
from layer.repository import RepositoryMetadata
from layer.rpmfile.stream import decompressed

_CHUNK = 1 << 20  # bytes
_PACKAGE = re.compile(rb"<package[\s>]")
_SIZE = re.compile(rb"""<size\s[^<>]*\bpackage=["'](\d{1,18})["']""")


def count_contents(metadata: RepositoryMetadata) -> tuple[int, int]:
    """How many packages a repository has, and how many bytes all of them are to fetch.

    The file is one that `fetch_metadata` has looked over. RepositoryError where it is damaged.
    """
    path, rest = metadata.primary, b""
    packages = size = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with decompressed(descriptor, CODECS[path.suffix]) as read:
            while chunk := read(_CHUNK):
                data = rest + chunk
                end = max(data.rfind(b"<"), 0)  # more of the last tag may come
                whole, rest = data[:end], data[end:]
                packages += len(_PACKAGE.findall(whole))
                size += sum(map(int, _SIZE.findall(whole)))
    except OSError as error:
        raise broken(metadata.repository, "its list of packages is damaged") from error
    finally:
        os.close(descriptor)
    return packages, size
