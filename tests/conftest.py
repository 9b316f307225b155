"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import Machine, World, make_world, remove

_MEMORY = Path("/dev/shm")  # a tmpfs of the machine's
_WANTED = 6 << 30  # bytes
_OWN = "layer-tests-"


def pytest_configure(config: pytest.Config) -> None:
    """Tests write in memory where there is room: every commit syncs its whole filesystem.

    Elsewhere the folder is this run's own, too: pytest's, which all runs share, is closed to
    other users by each run that starts, and some tests work as another user.
    """
    is_worker = hasattr(config, "workerinput")
    if is_worker or config.option.basetemp is not None:
        return
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _WANTED
    parent = _MEMORY if has_room else Path(tempfile.gettempdir())
    config.option.basetemp = str(parent / f"{_OWN}{os.getpid()}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Our own folder is given back."""
    folder = config.option.basetemp
    if not hasattr(config, "workerinput") and folder and Path(folder).name.startswith(_OWN):
        # Deployments are immutable until told otherwise.
        subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False)
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tiny world; tests that publish into it take `own_world`."""
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A tiny world of the test's own."""
    folder = tmp_path / "world"
    folder.mkdir()
    with make_world(folder) as made:
        yield made


@pytest.fixture
def machine(world: World, tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine on the tiny base."""
    yield world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


@pytest.fixture(scope="module")
def machine_kept(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with `apple` layered, for tests of a module that change nothing on it."""
    path = tmp_path_factory.mktemp("kept") / "machine"
    machine = world.machine(path)
    machine.install("apple")
    yield machine
    remove([path])
