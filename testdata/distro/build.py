"""Build the demonstration's repositories, once for each state of these sources.

python -m testdata.distro.build [--set demo|full] [--cache DIR] [--refresh]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
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
from testdata.distro.configuration import DemoSet, read_demo_set
from testdata.distro.debian import convert_deb
from testdata.distro.donors import Donors
from testdata.distro.full import NotEnoughSpace, ensure_full
from testdata.distro.release import initramfs_package, release_package
from testdata.distro.repository import make_repository
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.synthetic import extra_packages, layer_packages

_NOT_INPUTS = (*NOT_INPUTS, "full.py", "full.toml")
_KEPT_BUILDS = 4


@dataclass(frozen=True, slots=True)
class DemoRepository:
    """The demonstration's repositories and what is in them, package names sorted."""

    path: Path  # the repository: RPMs and repodata
    extra: Path  # a second one, with a libc6 that must not replace the base's
    base: tuple[str, ...]
    layers: tuple[str, ...]  # Debian's and synthetic ones
    kernel: str  # its version, as below /usr/lib/modules


def ensure_demo(cache: Path | None = None, *, refresh: bool = False) -> DemoRepository:
    """Return the repositories, built first if these sources have not been built in `cache`.

    Downloads only what `cache` lacks; `refresh` asks Debian for newer packages.
    """
    cache = cache or default_cache()
    target = cache / f"demo-{sources_key(*_NOT_INPUTS)}"
    if not refresh and (target / "contents.json").exists():
        return _read_contents(target)
    with locked(cache):
        if refresh or not (target / "contents.json").exists():
            _build(cache, target, refresh=refresh)
    return _read_contents(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build and print where the repository is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("demo", "full"), default="demo")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--refresh", action="store_true", help="ask Debian for newer packages")
    options = parser.parse_args(arguments)
    ensure = ensure_full if options.set == "full" else ensure_demo
    try:
        built = ensure(options.cache, refresh=options.refresh)
    except NotEnoughSpace as error:
        sys.exit(f"build: {error}")
    print(f"{built.path}: {len(built.base)} base packages, {len(built.layers)} to layer")


def _read_contents(target: Path) -> DemoRepository:
    contents = json.loads((target / "contents.json").read_text())
    return DemoRepository(
        target / "rpms",
        target / "extra",
        tuple(contents["base"]),
        tuple(contents["layers"]),
        contents["kernel"],
    )


def _build(cache: Path, target: Path, *, refresh: bool) -> None:
    """Make the directory `target` appear, whole."""
    demo = read_demo_set()
    selection = ensure_selection(cache, demo.base, demo.layers, refresh=refresh)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        finished = Path(scratch, "demo")
        finished.mkdir()
        _write_repositories(finished, demo, selection)
        shutil.rmtree(target, ignore_errors=True)
        finished.rename(target)
    point_at(cache / "demo", target)
    remove_old_builds(target, "demo-*", _KEPT_BUILDS)


def _write_repositories(directory: Path, demo: DemoSet, selection: Selection) -> None:
    rpms, extra = directory / "rpms", directory / "extra"
    rpms.mkdir()
    extra.mkdir()
    filenames = (*selection.base, *selection.layers)
    # The largest first, so that no worker begins the kernel when the other is done.
    debs = sorted(
        (selection.archives / name for name in filenames),
        key=lambda path: (-path.stat().st_size, path.name),
    )
    with ProcessPoolExecutor(2) as workers:
        converted = workers.map(
            partial(_convert, directory=rpms, known_names=selection.known_names), debs
        )
        donors = Donors(selection)
        base = (release_package(demo, donors), initramfs_package(demo, donors))
        layers = layer_packages(donors)
        _write_all((*base, *layers), rpms)
        _write_all(extra_packages(donors), extra)
        list(converted)  # raises what a worker raised
    make_repository(rpms)
    make_repository(extra)
    contents = {
        "base": _names(selection.base, base),
        "layers": _names(selection.layers, layers),
        "kernel": donors.kernel,
    }
    (directory / "contents.json").write_text(json.dumps(contents))


def _convert(deb: Path, directory: Path, known_names: frozenset[str]) -> None:
    write_rpm(convert_deb(deb, known_names), directory)


def _write_all(specs: Sequence[RpmSpec], directory: Path) -> None:
    for spec in specs:
        write_rpm(spec, directory)


def _names(filenames: Sequence[str], specs: Sequence[RpmSpec]) -> list[str]:
    return sorted([*map(package_name, filenames), *(spec.name for spec in specs)])


if __name__ == "__main__":
    main()
