"""Which digests a package has of its own parts, and those of its header that rpm may not know.

A package of version 4 has one of its payload or, if it is old, none; one of version 6 has three.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from layer.rpmfile.index import signature_entries

# RFC 4880, 9.4; the numbers that rpm uses too.
_ALGORITHMS = {
    1: "md5",
    2: "sha1",
    8: "sha256",
    9: "sha384",
    10: "sha512",
    11: "sha224",
    12: "sha3_256",
    14: "sha3_512",
}
_SHA256 = 8
_STRONG = ("sha256", "sha384", "sha512", "sha3_256", "sha3_512")

# Tags of rpm 6: 4.18 knows their numbers only.
_RPMFORMAT = 5114
_NEWEST_FORMAT = 6
_PAYLOAD_TAGS = ((5121, "sha512"), (5123, "sha3_256"))
_HEADER_TAGS = ((273, "sha256"), (279, "sha3_256"))
_STRING = 6


def algorithm_of(number: int) -> str:
    """Hashlib's name of a digest algorithm; ValueError where nobody has one of that number."""
    try:
        return _ALGORITHMS[number]
    except KeyError:
        raise ValueError(f"digest algorithm {number} is unknown") from None


def check_format(header: Any, blob: bytes) -> None:
    """ValueError where a package of version 6 lacks what vouches for it, or is of a later one.

    Checks the digests of the header, too: rpm 4 knows one of the two.
    """
    version = int(header[_RPMFORMAT] or 4)
    if version > _NEWEST_FORMAT:
        raise ValueError(f"packages of version {version} are unknown")
    start, signature = signature_entries(blob)
    known = dict(_HEADER_TAGS)
    found = [(known[tag], kind, value) for tag, kind, value in signature if tag in known]
    for algorithm, kind, value in found:
        digest = hashlib.new(algorithm, memoryview(blob)[start:]).hexdigest()
        if kind != _STRING or value != digest.encode():
            raise ValueError(f"its {algorithm} digest is wrong")
    if version == _NEWEST_FORMAT and not found:
        raise ValueError("it has no digest that can be checked")
    if version == _NEWEST_FORMAT and algorithm_of(header["filedigestalgo"] or 1) not in _STRONG:
        raise ValueError("the digests of its files are too weak for its version")


def payload_digests(header: Any) -> tuple[tuple[str, str], ...]:
    """Algorithm and digest of the compressed payload; ValueError where none can be checked.

    Where an algorithm comes more than once, any of its digests will do.
    """
    found = set(_payload_digests(header))
    if not found and header["payloaddigest"]:
        number = header["payloaddigestalgo"]
        raise ValueError(f"payload digest algorithm {number} is unknown")
    if not found and header[_RPMFORMAT]:
        raise ValueError("its payload has no digest that can be checked")
    return tuple(sorted(found))


def _payload_digests(header: Any) -> Iterator[tuple[str, str]]:
    algorithm = _ALGORITHMS.get(header["payloaddigestalgo"] or _SHA256)
    if algorithm in _STRONG:
        for digest in header["payloaddigest"] or ():
            yield algorithm, digest
    for tag, algorithm in _PAYLOAD_TAGS:
        if digest := header[tag]:
            yield algorithm, digest
