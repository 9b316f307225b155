"""What tmpfiles.d of new packages makes outside /usr and /etc, noted so that it can go again."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from layer import live_etc
from layer.live.record import Addition, Placed
from layer.model import Tree, TreeDiff
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.tmpfiles import parse_lines

_FOLDER = "usr/lib/tmpfiles.d/"


def files_of(found: TreeDiff) -> tuple[str, ...]:
    """The files of tmpfiles.d that are new or another now (absolute)."""
    paths = sorted({*found.added, *found.changed})
    return tuple(f"/{p}" for p in paths if p.startswith(_FOLDER) and p.endswith(".conf"))


def foresee(
    store: ObjectStore, wanted: Tree, files: Sequence[str], root: Path
) -> tuple[Addition, ...]:
    """What these files will make below `root`, and the attributes of what they may alter there.

    Of what is made the content is not known yet; see `settle`.
    """
    found = {}
    for file in files:
        for line in parse_lines(read_text(store, wanted, file[1:])):
            path = line.path[1:]
            if "%" in path or any(mark in path for mark in "*?["):
                continue
            for part in _ways(path):
                found.update({a.path: a for a in [_as_made(root, part)] if part not in found})
    return tuple(sorted(found.values()))


def settle(
    root: Path, foreseen: Sequence[Addition], before: Sequence[Addition] = ()
) -> tuple[Addition, ...]:
    """The same with what was really made, and all that is in it, while nobody can have used it.

    What was made `before` stays as it is noted: services have put things into it since.
    """
    known = {one.path for one in before}
    kept = [one for one in foreseen if one.placed is Placed.ATTRIBUTES or one.path in known]
    made = [one.path for one in foreseen if one not in kept]
    return tuple(sorted([*kept, *live_etc.snapshot(root, made)]))


def _as_made(root: Path, path: str) -> Addition:
    place = root / path
    if os.path.lexists(place):
        return Addition(path, Placed.ATTRIBUTES.value, live_etc.attributes_of(place))
    return Addition(path, Placed.DIRECTORY.value)


def _ways(path: str) -> tuple[str, ...]:
    """A path and the directories above it, which are made where they are missing."""
    names = posixpath.normpath(path).split("/")
    return tuple("/".join(names[:end]) for end in range(2, len(names) + 1)) or (path,)
