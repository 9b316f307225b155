"""Where a Debian package's paths lie in a usr-merged tree."""

from __future__ import annotations

import posixpath
import re

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_TOP = re.compile(rf"/({'|'.join(_MERGED)})(/|$)")
_KERNEL = re.compile(r"/boot/(vmlinuz|System\.map|config)-(.+)")


def merged_path(path: str) -> str:
    """Return where the file at `path` belongs: below /usr, kernels beside their modules."""
    kernel = _KERNEL.fullmatch(path)
    if kernel is not None:
        name, version = kernel.groups()
        return f"/usr/lib/modules/{version}/{name}"
    return f"/usr{path}" if _TOP.match(path) else path


def merged_target(path: str, target: str) -> str | None:
    """Return what the link once at `path` must say, or None where it would name itself."""
    absolute = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    new = merged_path(path)
    if merged_path(absolute) == new:
        return None
    if target.startswith("/") or posixpath.dirname(path) == posixpath.dirname(new):
        return target
    return posixpath.relpath(merged_path(absolute), posixpath.dirname(new))
