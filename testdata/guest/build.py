"""The packages of the guest's base that the demonstration lacks, built once for each state."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from testdata.distro.apt import ensure_selection, package_name
from testdata.distro.build import DemoRepository, ensure_demo
from testdata.distro.cache import default_cache, locked, remove_old_builds
from testdata.distro.configuration import read_demo_set
from testdata.distro.debian import convert_deb
from testdata.distro.repository import make_repository
from testdata.distro.rpmspec import FileSpec, RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.guest.wheels import CHECKOUT, build_layer, convert_wheel, fetch_wheels, layer_sources

HERE = Path(__file__).parent
_KEPT_BUILDS = 3
_CATALOG = b"""\
-- 5d9b2f0e4a3c4f7c8e1d6b7a90c2f314
Subject: Demonstration
Defined-By: demo-catalog

Nothing to worry about.
"""
_REPOSITORIES = ("rpms", "news", "more")


@dataclass(frozen=True, slots=True)
class GuestRepository:
    """The repository with layer, and the demonstration's, whose packages it builds on.

    `news` holds what a newer base has, `more` what else may be layered. `key` says by content
    what is in all of them.
    """

    path: Path
    news: Path
    more: Path
    demo: DemoRepository
    packages: tuple[str, ...]  # what the base asks for, beside the demonstration's
    key: str


def ensure_guest(cache: Path | None = None) -> GuestRepository:
    """Return the repositories, built first where `cache` has none of these sources."""
    cache = cache or default_cache()
    demo = ensure_demo(cache)
    wanted = _read_wanted()
    third = _third_parties(cache, demo, wanted)
    key = sha256(f"{third.name} {layer_sources()} {_release_key()}".encode()).hexdigest()[:16]
    target = cache / f"guest-{key}"
    with locked(cache, "guest-lock"):
        if not target.exists():
            _make(cache, target, lambda directory: _write_own(directory, third, wanted))
            remove_old_builds(target, "guest-????????????????", _KEPT_BUILDS)
    names = (*wanted.packages, "demo-guest", "demo-news", "layer")
    return GuestRepository(*(target / name for name in _REPOSITORIES), demo, names, key)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Debian's packages, PyPI's wheels as NAME==VERSION, and what layer's RPM requires."""

    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    layer: tuple[str, ...]


def _read_wanted() -> _Wanted:
    """Return what guest.toml and pyproject.toml name; wheels in the versions that are tested."""
    guest = tomllib.loads((HERE / "guest.toml").read_text())
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[^\w.-]", line)[0] for line in project["dependencies"]]
    return _Wanted(
        packages=tuple(guest["packages"]),
        wheels=tuple(
            f"{name}=={version(name)}"
            for name in names
            if f"python3-{name}" not in guest["packages"]
        ),
        layer=(*guest["layer"], *(f"python3-{name}" for name in names)),
    )


def _third_parties(cache: Path, demo: DemoRepository, wanted: _Wanted) -> Path:
    """Return the directory with the RPMs of Debian's packages and of PyPI's wheels."""
    inputs = [demo.path.parent.name, wanted.packages, wanted.wheels]
    converter = (HERE / "wheels.py").read_bytes() + (HERE / "build.py").read_bytes()
    key = sha256(json.dumps(inputs).encode() + converter).hexdigest()[:16]
    target = cache / f"guest-closure-{key}"
    with locked(cache, "guest-lock"):
        if not target.exists():
            _make(cache, target, lambda directory: _convert_all(cache, directory, demo, wanted))
            remove_old_builds(target, "guest-closure-*", _KEPT_BUILDS)
    return target


def _make(cache: Path, target: Path, write) -> None:  # type: ignore[no-untyped-def]
    """Make the directory `target` appear, whole."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        finished = Path(scratch, "guest")
        finished.mkdir()
        write(finished)
        finished.rename(target)


def _convert_all(cache: Path, directory: Path, demo: DemoRepository, wanted: _Wanted) -> None:
    own = read_demo_set()
    selection = ensure_selection(cache, [*own.base, *wanted.packages], own.layers)
    debs = [
        selection.archives / filename
        for filename in selection.base
        if package_name(filename) not in demo.base
    ]
    debs.sort(key=lambda path: (-path.stat().st_size, path.name))
    convert = partial(_convert, directory=directory, known_names=selection.known_names)
    with ProcessPoolExecutor(2) as workers:
        list(workers.map(convert, debs))
    for wheel in fetch_wheels(cache, wanted.wheels):
        distribution = wheel.name.partition("-")[0].replace("_", "-")
        write_rpm(convert_wheel(wheel, f"python3-{distribution}"), directory)


def _convert(deb: Path, directory: Path, known_names: frozenset[str]) -> None:
    write_rpm(convert_deb(deb, known_names), directory)


def _write_own(directory: Path, third: Path, wanted: _Wanted) -> None:
    rpms, news, more = (directory / name for name in _REPOSITORIES)
    shutil.copytree(third, rpms)
    news.mkdir()
    more.mkdir()
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        wheel = build_layer(Path(scratch))
        write_rpm(convert_wheel(wheel, "layer", wanted.layer), rpms)
    write_rpm(_guest_package(), rpms)
    write_rpm(_news_package("1"), rpms)
    write_rpm(_news_package("2"), news)
    write_rpm(_catalog_package(), more)
    for repository in (rpms, news, more):
        make_repository(repository)


def _news_package(version: str) -> RpmSpec:
    """Return the package by which one base is newer than another."""
    text = f"{version}\n".encode()
    return RpmSpec(
        "demo-news",
        version,
        arch="noarch",
        summary="What is new in this base",
        files=(FileSpec("/usr/share/demo-news", text), FileSpec("/etc/demo-news", text)),
    )


def _catalog_package() -> RpmSpec:
    """Return a package with a message of the journal, which only a boot can compile."""
    return RpmSpec(
        "demo-catalog",
        arch="noarch",
        summary="An explanation of a message",
        files=(FileSpec("/usr/lib/systemd/catalog/demo.catalog", _CATALOG),),
    )


def _guest_package() -> RpmSpec:
    """Return what drives the guest: a unit that runs the steps of a scenario."""
    return RpmSpec(
        "demo-guest",
        arch="noarch",
        summary="Runs a test's steps in the guest",
        requires=("/bin/sh", "systemd", "layer"),
        files=tuple(
            FileSpec(
                f"/{path.relative_to(HERE / 'release')}",
                path.read_bytes(),
                0o755 if path.stat().st_mode & 0o100 else 0o644,
            )
            for path in _release_files()
        ),
    )


def _release_files() -> list[Path]:
    return [path for path in sorted((HERE / "release").rglob("*")) if path.is_file()]


def _release_key() -> str:
    digest = sha256()
    for path in _release_files():
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
