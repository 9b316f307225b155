"""A live change that is killed at any step, and readers that look while /usr changes."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Living, living
from tests.live_world import base_of_live, layers_of_live
from tests.test_live import MODES, ON_TOP, live_of, tree
from tests.world import World, make_world, remove

_KILLED = 256 - 9
_STEPS = """
import os, signal
from layer import live_record, mounts
left = {number}
begun = False
def counted(room, name):
    call = getattr(room, name)
    def step(*arguments, **rest):
        global left
        if begun:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return call(*arguments, **rest)
    setattr(room, name, step)
for name in ("link", "unlink", "mkdir", "replace", "symlink", "rmdir", "fsync"):
    counted(os, name)
for name in ("put_on_top", "put_in_place", "detach"):
    counted(mounts, name)
write = live_record.write
def begin(*arguments):
    global begun
    begun = True
    write(*arguments)
live_record.write = begin
"""
_RECOVER = """
from pathlib import Path
from layer import living
from layer.host import open_host
host = open_host(Path("/"))
with host.locked():
    print(living.recover(host))
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Living]:
    """A machine with a service and its users pending."""
    folder = tmp_path / "world"
    folder.mkdir()
    with make_world(folder, *base_of_live()) as world:
        world.publish(*layers_of_live())
        yield from _running(world, tmp_path)


def _running(world: World, tmp_path: Path) -> Iterator[Living]:
    machine = world.machine(tmp_path / "machine")
    with living(machine, tmp_path / "live") as found:
        yield found
    remove([tmp_path / "machine"])


@pytest.mark.parametrize(
    "stride", [25, pytest.param(1, marks=pytest.mark.slow)], ids=["some-steps", "each-step"]
)
def test_what_is_killed_is_finished_or_undone_by_the_next_call(
    running: Living, stride: int
) -> None:
    before = state_of(running)
    running.install("daemon", "served")
    outcomes: Counter[str] = Counter()
    for number in range(min(stride, 6) - 1, 1000, stride):
        done = running.layer("apply-live", driver=_STEPS.format(number=number), status=None)
        if done.returncode == 0:
            break
        assert done.returncode == _KILLED, done.stderr
        outcomes[settled(running, before, f"apply, step {number}")] += 1
    applied = number
    assert outcomes["the interrupted live change is undone"]
    for number in range(min(stride, 6) - 1, 1000, stride):
        if live_of(running) is None:
            running.layer("apply-live")
        driver = _STEPS.format(number=number)
        done = running.layer("apply-live", "--reset", driver=driver, status=None)
        outcomes[settled(running, before, f"reset, step {number}")] += 1
        if done.returncode == 0:
            break
    print(f"\nkilled at {applied} steps of apply and {number} of reset, each {stride}th: ", end="")
    print(", ".join(f"{what or 'nothing to do'} ({n})" for what, n in outcomes.items()))


_CALLS = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "write", "pwrite64", "sendfile"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "fsync", "fdatasync"),
    *("mount", "umount2", "open_tree", "move_mount", "mount_setattr", "unshare", "setns", "execve"),
)
_CALLED = re.compile(r"(\d+) +(\w+)\(")


def points(running: Living, *words: str) -> list[tuple[str, int]]:
    """The calls of the kernel that a command makes, children included: name, and its count."""
    trace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", "signal=none"]
    running.layer(*words, under=[*trace, "-e", f"trace={','.join(_CALLS)}"])
    counts: Counter[tuple[str, str]] = Counter()
    found = set()
    for line in (running._folder / "run/trace").read_text(errors="replace").splitlines():
        call = _CALLED.match(line)
        if call:
            counts[call[1], call[2]] += 1
            found.add((call[2], counts[call[1], call[2]]))
    return sorted(found)


@pytest.mark.parametrize(
    "most", [3, pytest.param(60, marks=pytest.mark.slow)], ids=["few-calls", "many-calls"]
)
def test_who_is_killed_in_a_call_of_the_kernel_leaves_nothing_half(
    running: Living, most: int
) -> None:
    """The program itself, or one that it has started."""
    before = state_of(running)
    running.install("daemon", "served")
    outcomes: Counter[str] = Counter()
    for words in (("apply-live",), ("apply-live", "--reset")):
        if live_of(running) is not None and words[1:]:
            running.layer("apply-live", "--reset")
        if words[1:]:
            running.layer("apply-live")
        there = points(running, *words)
        for name, number in random.Random(most).sample(there, min(most, len(there))):
            if live_of(running) is not None and not words[1:]:
                running.layer("apply-live", "--reset")
            if live_of(running) is None and words[1:]:
                running.layer("apply-live")
            kill = f"inject={name}:signal=KILL:when={number}"
            trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", kill]
            running.layer(*words, under=trace, status=None)
            outcomes[settled(running, before, f"{words}: {name} {number}")] += 1
    running.boot()
    running.layer("boot-complete")
    assert not (running.machine.path / "ostree/layer-live").exists()
    print(f"\nkilled in {sum(outcomes.values())} calls: ", end="")
    print(", ".join(f"{what or 'nothing to do'} ({n})" for what, n in outcomes.items()))


_State = tuple[object, ...]


def state_of(running: Living) -> _State:
    """All that a live change changes."""
    return tree(running.etc), tree(running.var), running.mounts()


def settled(running: Living, before: _State, where: str) -> str:
    """What the next call does about what was interrupted; it is whole then, and can be reset."""
    status = running.status()
    booted = next(d for d in status["deployments"] if d["booted"])
    is_new = running.sh("[ -e /usr/lib/systemd/system/served.service ] && echo new || echo old")
    assert ("live-replaced" in booted) == (is_new == "new\n"), where
    said = running.python(_RECOVER)
    assert said.returncode == 0, f"{where}: {said.stderr}"
    assert bool(said.stdout.strip()) == ("live-inprogress" in booted), where
    if live_of(running) is not None:
        assert running.sh("cat /etc/daemon.conf /etc/served/served.conf") == "setting=1\nserved\n"
        assert running.sh("[ -e /usr/lib/systemd/system/served.service ] && echo new") == "new\n"
        running.layer("apply-live", "--reset")
    assert state_of(running) == before, where
    assert not (running.var / "lib/layer/live.json").exists(), where
    assert not (running.var / "lib/layer/live").exists(), where
    return said.stdout.strip()


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
