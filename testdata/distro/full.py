"""The full set: a distribution of 2,000 packages, for what only shows at scale.

Its packages are converted one by one into a directory that stays, so that a build
that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from testdata.distro.apt import Selection, ensure_selection, package_name
from testdata.distro.cache import (
    NOT_INPUTS,
    default_cache,
    locked,
    point_at,
    remove_old_builds,
    sources_key,
)
from testdata.distro.configuration import HERE, read_demo_set
from testdata.distro.debian import convert_deb
from testdata.distro.donors import Donors
from testdata.distro.release import initramfs_package, release_package
from testdata.distro.repository import make_repository
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.synthetic import layer_packages

# 2 GB of downloads, 3 GB of RPMs; installing and importing them side by side takes the rest.
NEEDED_BYTES = 20 * 10**9
_RESERVE = 2 * 10**9  # below which a build that goes on stops

# What a converted Debian package is made from; with the rest comes what joins them.
_CONVERTER = frozenset(
    [
        "cpio.py",
        "deb.py",
        "debian.py",
        "debversion.py",
        "elf.py",
        "relations.py",
        "rpmheader.py",
        "rpmspec.py",
        "rpmwriter.py",
        "usrmerge.py",
    ]
)
_NOT_INPUTS = (*NOT_INPUTS, "build.py")


@dataclass(frozen=True, slots=True)
class FullRepository:
    """A repository of the full set; package names sorted, synthetic ones among them."""

    path: Path
    base: tuple[str, ...]
    layers: tuple[str, ...]
    kernel: str  # its version, as below /usr/lib/modules


class NotEnoughSpace(Exception):
    """The cache's filesystem is too small for the full set."""


def ensure_full(cache: Path | None = None, *, refresh: bool = False) -> FullRepository:
    """Return the full set, built first where `cache` has none of these sources: minutes.

    NotEnoughSpace before anything is fetched.
    """
    cache = cache or default_cache()
    found = None if refresh else find_full(cache)
    if found is not None:
        return found
    # The demo's lock is another one: nobody should wait minutes for the small set.
    with locked(cache, "full-lock"):
        found = None if refresh else find_full(cache)
        return found or _build(cache, refresh=refresh)


def find_full(cache: Path | None = None) -> FullRepository | None:
    """Return the full set if it is built; builds nothing."""
    target = _target(cache or default_cache())
    if not (target / "contents.json").exists():
        return None
    contents = json.loads((target / "contents.json").read_text())
    return FullRepository(
        target / "rpms", tuple(contents["base"]), tuple(contents["layers"]), contents["kernel"]
    )


def _target(cache: Path) -> Path:
    return cache / f"full-{sources_key(*_NOT_INPUTS)}"


def _converted(cache: Path) -> Path:
    others = {path.name for path in HERE.rglob("*")} - _CONVERTER
    return cache / f"converted-{sources_key(*others)}"


def _build(cache: Path, *, refresh: bool) -> FullRepository:
    demo = read_demo_set()
    wanted = tomllib.loads((HERE / "full.toml").read_text())
    converted = _converted(cache)
    _check_space(cache, _RESERVE if converted.exists() else NEEDED_BYTES)
    selection = ensure_selection(
        cache,
        [*demo.base, *wanted["base"]],
        [*demo.layers, *wanted["layers"]],
        refresh=refresh,
    )
    rpms = _convert_all(selection, converted)
    donors = Donors(selection)
    base = (release_package(demo, donors), initramfs_package(demo, donors))
    layers = layer_packages(donors)
    contents = {
        "base": _names(selection.base, base),
        "layers": _names(selection.layers, layers),
        "kernel": donors.kernel,
    }
    target = _target(cache)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        finished = Path(scratch, "full")
        (finished / "rpms").mkdir(parents=True)
        for rpm in rpms:
            os.link(rpm, finished / "rpms" / rpm.name)
        for spec in (*base, *layers):
            write_rpm(spec, finished / "rpms")
        make_repository(finished / "rpms")
        (finished / "contents.json").write_text(json.dumps(contents))
        shutil.rmtree(target, ignore_errors=True)
        finished.rename(target)
    point_at(cache / "full", target)
    remove_old_builds(target, "full-????????????????", 1)
    remove_old_builds(converted, "converted-*", 1)
    found = find_full(cache)
    assert found is not None  # it was made above
    return found


def _convert_all(selection: Selection, directory: Path) -> list[Path]:
    """Return the RPMs, those that an earlier build has made not made again.

    Each deb has a link of its name to its RPM, made when that is whole.
    """
    directory.mkdir(exist_ok=True)
    names = (*selection.base, *selection.layers)
    todo = [selection.archives / name for name in names if not (directory / name).exists()]
    todo.sort(key=lambda path: (-path.stat().st_size, path.name))
    convert = partial(_convert, directory=directory, known_names=selection.known_names)
    with ProcessPoolExecutor(2) as workers:
        for done, _ in enumerate(workers.map(convert, todo)):
            if done % 50 == 0:
                print(f"full set: {done} of {len(todo)} packages converted", flush=True)
                _check_space(directory, _RESERVE)
    return [(directory / name).resolve() for name in names]


def _convert(deb: Path, directory: Path, known_names: frozenset[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="converting-", dir=directory) as scratch:
        made = write_rpm(convert_deb(deb, known_names), Path(scratch))
        made.rename(directory / made.name)
    point_at(directory / deb.name, directory / made.name)


def _check_space(directory: Path, needed: int) -> None:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise NotEnoughSpace(
            f"the full set needs {needed / 1e9:.0f} GB in {directory}, where {free / 1e9:.1f} GB "
            "are free; LAYER_TESTDATA_CACHE names another directory"
        )


def _names(filenames: Iterable[str], specs: Sequence[RpmSpec]) -> list[str]:
    return sorted([*map(package_name, filenames), *(spec.name for spec in specs)])
