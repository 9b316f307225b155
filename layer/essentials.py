"""Packages that a machine cannot boot, or be changed back, without; decides by what they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from layer.errors import PackageRefused
from layer.model import PackageHeader
from layer.paths import tree_paths

# Paths of a tree, with what they are. By path, since distributions name packages differently.
_ESSENTIAL = (
    (r"usr/lib/modules/[^/]+/vmlinuz", "the kernel"),
    (r"usr/lib/systemd/systemd|usr/s?bin/init", "the first process"),
    (r"usr/lib(64|/[^/]+)?/libc\.so\.6", "the C library, which every program needs"),
    (r"usr/lib(64|/[^/]+)?/ld-linux[^/]*\.so\.[0-9]+", "what loads every program"),
    (r"usr/lib/ostree/ostree-prepare-root", "what finds the deployment at boot"),
    (r"usr/lib64/libostree-1\.so\.1|usr/lib/[^/]+/libostree-1\.so\.1", "OSTree itself"),
    (r"usr/bin/layer", "the program that takes overrides back"),
)
_SKELETON = "/usr"  # listed by the one package that has the system's directories
_WHAT = tuple((re.compile(pattern), what) for pattern, what in _ESSENTIAL)


def refuse_essential(gone: Sequence[PackageHeader], coming: Sequence[PackageHeader]) -> None:
    """PackageRefused names every package that is needed and that no new one stands in for."""
    kept = {what for header in coming for what in _essentials(header)}
    lines = [
        f"{header.nevra} has {what}"
        for header in sorted(gone, key=lambda h: h.nevra)
        for what in _essentials(header)
        if what not in kept
    ]
    if lines:
        raise PackageRefused(
            "the machine could not go on without these:\n  " + "\n  ".join(lines),
            "another version can take their place: layer override replace",
        )


def _essentials(header: PackageHeader) -> tuple[str, ...]:
    found = set()
    for file in header.files:
        if file.is_ghost:
            continue
        if file.path == _SKELETON:
            found.add("the directories of the system")
        for path in tree_paths(file.path):
            found.update(what for pattern, what in _WHAT if pattern.fullmatch(path))
    return tuple(sorted(found))
