"""Labels by an SELinux policy, and the attribute that holds them.

The policy is that of a tree; whether this machine has SELinux is no matter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from layer.model import DirectoryAttributes, FileAttributes
from layer.store.gobject import Gio, OSTree, translated

XATTR = b"security.selinux"

Attributes = TypeVar("Attributes", FileAttributes, DirectoryAttributes)


class Policy:
    """The policy in `usr/etc/selinux` below `root`, read when it is made."""

    def __init__(self, root: Path) -> None:
        with translated("cannot read the tree's SELinux policy"):
            self._policy = OSTree.SePolicy.new(Gio.File.new_for_path(str(root)), None)

    def label(self, path: str, mode: int) -> str | None:
        """The label of an absolute path of a tree; None where the policy gives none."""
        with translated(f"cannot label {path}"):
            _, label = self._policy.get_label(path, mode, None)
        return label or None


def label_of(attributes: FileAttributes | DirectoryAttributes) -> str | None:
    """The label among the attributes, None where there is none."""
    value = dict(attributes.xattrs).get(XATTR)
    return None if value is None else value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def with_label(attributes: Attributes, label: str | None) -> Attributes:
    """The same attributes with that label, or with none."""
    others = [(name, value) for name, value in attributes.xattrs if name != XATTR]
    if label is not None:
        # The end counts, too: so does ostree write it.
        others.append((XATTR, label.encode("utf-8", "surrogateescape") + b"\0"))
    return replace(attributes, xattrs=tuple(sorted(others)))
