"""What a compressed file holds, read piece by piece: rpm knows all the ways to compress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import rpm

# As PAYLOADCOMPRESSOR and the names of files say it, and as rpm wants to hear it. rpm reads a
# name that it does not know as if it were uncompressed, so that only these may reach it.
CODECS = {
    "gzip": "gzip",
    "bzip2": "bzip2",
    "lzma": "lzma",
    "xz": "xz",
    "zstd": "zstd",
    "none": "ufdio",
    "ufdio": "ufdio",
}


@contextmanager
def decompressed(descriptor: int, codec: str) -> Iterator[Callable[[int], bytes]]:
    """Reads on from where the descriptor stands; `codec` is one of CODECS.

    The reader gives so many bytes, fewer only at the end; OSError in rpm's words for what
    its decompressors say.
    """
    with (
        closing(rpm.fd(descriptor, "r")) as raw,
        closing(rpm.fd(raw, "r", CODECS[codec])) as stream,
    ):

        def read(size: int) -> bytes:
            data: bytes = stream.read(size)
            return data

        yield read
