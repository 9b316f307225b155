"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import Machine, World, copied_world, make_world, remove

_MEMORY = Path("/dev/shm")  # a tmpfs of the machine's
_WANTED = 6 << 30  # bytes
_OWN = "layer-tests-"
_LONGEST = {
    name: number
    for number, name in enumerate(
        (
            *("test_demo_base", "test_live", "test_hostile", "test_stateroots", "test_space"),
            *("test_initramfs", "test_scriptlets_equal", "test_kill", "test_recycling", "test_law"),
            *("test_cli_deploy", "test_unsolved", "test_consent", "test_staging"),
        )
    )
}


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
    if not hasattr(config, "workerinput") and _is_own(folder):
        _give_back(Path(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow tests may take an hour each; the longest files begin, so that none ends alone."""
    items.sort(key=lambda item: _LONGEST.get(item.path.stem, len(_LONGEST)))
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failed test is named at once, for the runs that do not reach their summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED {report.nodeid} ({report.when})", report.longreprtext[-2000:], sep="\n")


def _is_own(folder: str | None) -> bool:
    """Whether a base of temporary folders, or the one above it of all workers, is of our making."""
    return folder is not None and any(part.startswith(_OWN) for part in Path(folder).parts)


def _give_back(folder: Path) -> None:
    """Removes `folder` and what is below on the same filesystem, immutable or not."""
    remove = ["rm", "-rf", "--one-file-system", str(folder)]
    if subprocess.run(remove, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        # Deployments are immutable until told otherwise.
        subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False)
        subprocess.run(remove, check=False)


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The test's own folder, given back after it: thousands of tests would fill the memory.

    With --basetemp it is left to be looked at.
    """
    yield tmp_path
    if _is_own(request.config.option.basetemp):
        _give_back(tmp_path)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tiny world; tests that publish into it take `own_world`."""
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def own_world(world: World, tmp_path: Path) -> Iterator[World]:
    """A tiny world of the test's own."""
    folder = tmp_path / "world"
    folder.mkdir()
    with copied_world(world, folder) as made:
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
