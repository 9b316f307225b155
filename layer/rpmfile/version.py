"""Which of two versions is the newer, as rpm says it."""

from __future__ import annotations

import rpm

from layer.model import Nevra


def compare_versions(one: Nevra, other: Nevra) -> int:
    """-1, 0 or 1: epoch, version and release of `one` are older than, as, or newer than `other`'s.

    0 does not mean the same text: to rpm 1.0 is 1.00.
    """
    order: int = rpm.labelCompare(_label(one), _label(other))
    return order


def _label(nevra: Nevra) -> tuple[str, str, str]:
    return (str(nevra.epoch), nevra.version, nevra.release)
