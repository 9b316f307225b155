"""Layers that change what must not matter to a trigger: the order of names, times of inputs."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.triggers.globs import Glob

_YEARS = 10 * 365 * 86400  # seconds: the span over which times of inputs are spread
_OVERLAY_XATTRS = "trusted.overlay."


def folders_of(globs: Iterable[Glob], inputs: Iterable[str]) -> tuple[str, ...]:
    """The directories that a program lists to find the inputs, each before those in it."""
    tops = {glob.prefix.rpartition("/")[0] for glob in globs}
    found = set()
    for path in inputs:
        folder = path.rpartition("/")[0]
        while folder and folder not in found and any(_is_in(folder, top) for top in tops):
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return tuple(sorted(found, key=lambda path: (path.count("/"), path)))


def lay_names(
    store: ObjectStore, tree: Tree, folders: Sequence[str], layer: Path, *, is_reversed: bool
) -> None:
    """Makes `layer`, as the lowest of an overlay of /usr, set the order of names in `folders`.

    `layer` must be on a tmpfs, which lists names in the order of their making, or against it. An
    overlay lists the names that its lowest layer has as that one does, whatever lies above them;
    so empty files will do. The order is a shuffled one, the same for every call, or its reverse.
    """
    for folder in folders:
        found = lookup(store, tree, folder)
        if not isinstance(found, Tree):
            continue
        there = store.read_directory(found.contents)
        names = sorted({*there.files, *there.directories})
        random.Random(folder).shuffle(names)  # noqa: S311  # no secret
        place = layer / _below_usr(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name in reversed(names) if is_reversed else names:
            if name in there.files:
                (place / name).touch()
            else:
                (place / name).mkdir(exist_ok=True)


def lay_times(view: Path, inputs: Sequence[str], layer: Path, *, now: int) -> None:
    """Makes `layer`, to lie over the `view` of a /usr, have copies of `inputs` with other mtimes.

    These are all different, and before `now`; those of the directories change, too.
    """
    moments = random.Random(now)  # noqa: S311  # no secret
    layer.mkdir()
    folders = {layer: view}
    for path in sorted(inputs):
        source, copy = view / _below_usr(path), layer / _below_usr(path)
        above = [folder for folder in reversed(copy.parents) if folder.is_relative_to(layer)]
        for folder in (folder for folder in above if folder not in folders):
            folder.mkdir()
            folders[folder] = view / folder.relative_to(layer)
        _copy(source, copy)
        _set_time(copy, now - moments.randrange(_YEARS))
    for folder, model in folders.items():
        _copy_attributes(model, folder)
        _set_time(folder, now - moments.randrange(_YEARS))


def _below_usr(path: str) -> str:
    return path.removeprefix("usr").lstrip("/")


def _is_in(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _copy(source: Path, copy: Path) -> None:
    if source.is_symlink():
        copy.symlink_to(os.readlink(source))  # noqa: PTH115  # Path would tidy it up
    else:
        shutil.copyfile(source, copy)
    _copy_attributes(source, copy)


def _copy_attributes(source: Path, copy: Path) -> None:
    info = source.lstat()
    os.chown(copy, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        copy.chmod(stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(_OVERLAY_XATTRS):
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(copy, name, value, follow_symlinks=False)


def _set_time(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds), follow_symlinks=False)
