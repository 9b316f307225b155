"""A live change that is killed at any step, and readers that look while /usr changes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import ON_TOP, Living, living
from tests.live_kills import LIVES, as_text, make_machine, strike_lives
from tests.live_world import base_of_live, layers_of_live
from tests.test_live import MODES
from tests.world import World, make_world, remove


@contextmanager
def world_of_live(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own."""
    folder = tmp_path / "world"
    folder.mkdir()
    with make_world(folder, *base_of_live()) as world:
        world.publish(*layers_of_live())
        yield world


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Living]:
    """A machine that runs."""
    with world_of_live(tmp_path) as world:
        machine = world.machine(tmp_path / "machine")
        with living(machine, tmp_path / "live") as found:
            yield found
        remove([tmp_path / "machine"])


@pytest.mark.parametrize(
    ("most", "jobs", "names"),
    [
        (1, 1, ("apply", "reset of two")),
        pytest.param(None, 2, tuple(LIVES), marks=pytest.mark.slow),
    ],
    ids=["some-changes", "each-change"],
)
def test_who_is_killed_at_any_change_leaves_nothing_half(
    tmp_path: Path, most: int | None, jobs: int, names: tuple[str, ...]
) -> None:
    """The program itself, or one that it has started."""
    begun = time.monotonic()
    with world_of_live(tmp_path) as world:
        make_machine(world, tmp_path / "machine")
        try:
            rows = strike_lives(
                tmp_path / "machine",
                world,
                tmp_path / "work",
                most=most,
                lives=[LIVES[name] for name in names],
                jobs=jobs,
            )
        finally:
            remove([tmp_path / "machine"])
    print(f"\n{as_text(rows)}\nin {time.monotonic() - begun:.0f} s")
    assert not any(one.wrong for row in rows for one in row.outcomes), as_text(rows)
    done = {one.done for row in rows for one in row.outcomes}
    assert most or done == {"undone", "finished", "nothing"}


_READER = """
import os, sys
mixes = missing = torn = back = 0
last = -1
def number(path, folder=None):
    file = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        return int(os.read(file, 20))
    finally:
        os.close(file)
def mount():
    usr = os.open("/usr", os.O_PATH)
    try:
        with open(f"/proc/self/fdinfo/{usr}") as info:
            # The kernel gives the number of a mount that is gone to the next one.
            line = next(line for line in info if line.startswith("mnt_id"))
            return line, os.fstat(usr).st_ino
    finally:
        os.close(usr)
os.chdir("/")
print("ready", flush=True)
looks = 0
while looks < COUNT or not os.path.exists("/run/done"):
    looks += 1
    usr = os.open("/usr", os.O_RDONLY | os.O_DIRECTORY)
    mixes += number("share/pair/one", usr) != number("share/pair/two", usr)
    os.close(usr)
    try:
        was = mount()
        one, two = number("/usr/share/pair/one"), number("/usr/share/pair/two")
        torn += one != two and mount() == was
        back += one < last or two < one
        last = two
    except FileNotFoundError:
        missing += 1
import json
print(json.dumps([mixes, missing, torn, back, last]), flush=True)
"""
_SWAPS = """
from pathlib import Path
from layer import live_view, mounts
from layer.host import open_host
import sys, time
host = open_host(Path("/"))
first, end = FIRST, END
with host.locked():
    for number in range(first, end):
        pair = Path("/sysroot", live_view.FOLDER, f"{number}-0/usr/share/pair")
        pair.mkdir(parents=True)
        for name in ("one", "two"):
            (pair / name).write_text(str(number))
    seconds = [live_view.show(Path("/sysroot"), f"{number}-0") for number in range(first, end)]
print(max(seconds))
"""


@MODES
@pytest.mark.parametrize(
    ("swaps", "looks"),
    [(20, 2000), pytest.param(200, 100_000, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_readers_see_one_tree_or_the_other(
    running: Living, driver: str, swaps: int, looks: int
) -> None:
    def swap(first: int, end: int) -> float:
        script = _SWAPS.replace("FIRST", str(first)).replace("END", str(end))
        done = running.python(f"{driver}\n{script}")
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    swap(0, 1)
    reader = running.start_python(_READER.replace("COUNT", str(looks)))
    longest = swap(1, swaps + 1)
    (running._folder / "run/done").touch()
    assert reader.stdout is not None
    mixes, missing, torn, back, last = json.loads(reader.stdout.readline())
    print(f"\n{swaps} swaps, the longest {1000 * longest:.2f} ms", end="")
    assert (mixes, missing, torn, back, last) == (0, 0, 0, 0, swaps)
    mounts = Path(f"/proc/{running.pid}/mountinfo").read_text().splitlines()
    layers = sum(line.split()[4] == "/usr" for line in mounts)
    assert layers == (2 if driver != ON_TOP else swaps + 2)
