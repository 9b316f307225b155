"""A bad trigger in /etc stops an install: one error that names what is wrong, nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layer.errors import TriggerFailed
from layer.sandbox.box import SandboxOptions
from tests.cli import do
from tests.snapshot import mounts_in, state
from tests.test_space import mounted
from tests.test_trigger_set import motd, put_local
from tests.world import Machine, World, remove

FILE = "/etc/layer/triggers.d/motd.toml"
SCRATCH = "ostree/repo/tmp/layer-*"  # stays after a failed run, to replay it


@contextmanager
def nothing_reached(sysroot: Path) -> Iterator[None]:
    """Refs, deployments, origins, /etc and boot entries are what they were."""
    before, mounts = state(sysroot), mounts_in(sysroot)
    yield
    after = state(sysroot)
    assert {k: v for k, v in after.items() if before.get(k) != v}.keys() <= {SCRATCH}
    assert sorted(before) == sorted(after)
    assert mounts_in(sysroot) == mounts


def script(words: str) -> str:
    """The trigger with another script."""
    return motd().replace('"echo one > /etc/motd"', f"'''{words}'''")


def error_of(machine: Machine, text: str) -> list[str]:
    """The lines of the one error that an install gives with this trigger."""
    put_local(machine, "motd", text)
    with nothing_reached(machine.path):
        done = do(machine, "install", "-y", "apple", status=1)
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [
        next(line for line in lines if line.startswith("error: "))
    ]
    return lines[next(i for i, line in enumerate(lines) if line.startswith("error: ")) :]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        pytest.param(motd() + "odd = 1\n", f"{FILE}: io.odd: unknown key", id="unknown key"),
        pytest.param(
            motd() + '[order]\nafter = ["nobody"]\n',
            f"{FILE}: order.after: there is no trigger 'nobody'",
            id="unknown name",
        ),
        pytest.param(
            motd() + '[order]\nafter = ["icon-cache"]\nbefore = ["ldconfig"]\n',
            "triggers wait for each other: icon-cache -> motd -> ldconfig -> icon-cache",
            id="cycle",
        ),
        pytest.param(
            motd().replace("usr/bin/apple", "var/lib/apple"),
            f"{FILE}: match.include[0]: bad pattern 'var/lib/apple': "
            'it must begin with "usr/" (/etc is usr/etc in a tree)',
            id="pattern that cannot match",
        ),
        pytest.param(
            motd().replace('"sh"', '"nobody"') + '[policy]\nmissing_tool = "abort"\n',
            "trigger motd needs nobody, which the tree does not have",
            id="no program",
        ),
        pytest.param(
            script("echo > /etc/motd; echo > /usr/bin/made"),
            "trigger motd writes what it does not declare: usr/bin/made",
            id="writes elsewhere",
        ),
        pytest.param(
            # None of them is busy: all wait for what never comes.
            script("while :; do :; done | { exec 3<&0; while :; do read word <&3 & done; }"),
            "trigger motd had more than 1024 processes",
            id="forks",
        ),
        pytest.param(
            script("while :; do :; done").replace("[io]", "timeout = 1\n[io]"),
            "trigger motd did not end within 1 s",
            id="no end",
        ),
        pytest.param(script("exit 3"), "trigger motd failed with status 3", id="fails"),
    ],
)
def test_one_error_names_what_is_wrong(machine: Machine, text: str, fact: str) -> None:
    assert error_of(machine, text)[0] == f"error: {fact}"


def test_the_program_says_where_to_declare_a_path(machine: Machine) -> None:
    lines = error_of(machine, script("echo > /etc/other"))
    assert lines[-1] == f"hint: add the paths to io.writes or io.scratch of {FILE}"


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        pytest.param(
            "while :; do echo $1$1$1$1; done > /etc/motd", "filled its 64 MiB of disk", id="disk"
        ),
        pytest.param(
            # 4 MiB a step: slow enough for who looks twenty times a second.
            "x=$1; for n in 1 2 3 4 5 6; do x=$x$x; done; "
            'while :; do n=$((n+1)); eval "v$n=\\$x"; done',
            "used more than 128 MiB of memory",
            id="memory",
        ),
    ],
)
def test_what_fills_disk_or_memory_is_named(
    world: World, tmp_path: Path, words: str, fact: str
) -> None:
    """With limits that do not trouble the machine of the tests."""
    limits = SandboxOptions(memory=128 << 20, space=64 << 20)
    machine = world.machine(tmp_path / "machine", limits)
    put_local(machine, "motd", script(f"set -- {'x' * (1 << 16)}; {words}"))
    with nothing_reached(machine.path), pytest.raises(TriggerFailed) as failure:
        machine.install("apple")
    assert failure.value.message.splitlines()[0] == f"trigger motd {fact}"
    remove([machine.path])


def test_without_the_trigger_the_same_install_goes_on(machine: Machine) -> None:
    error_of(machine, script("exit 3"))
    (machine.pending().path / FILE.lstrip("/")).unlink()
    do(machine, "install", "-y", "apple")
    assert machine.layered() == ["apple", "libseed"]


@pytest.mark.parametrize("place", ["/etc/motd", "/usr/lib/scratch", "/tmp/x", "/dev/shm/x"])
def test_what_fills_any_place_reaches_no_small_disk(
    world: World, tmp_path: Path, place: str
) -> None:
    """The repository's own filesystem has less room than the trigger may write."""
    limits = SandboxOptions(memory=256 << 20, space=64 << 20)
    path = tmp_path / "machine"
    words = f"while :; do echo $1$1$1$1; done > {place}"
    text = script(f"set -- {'x' * (1 << 16)}; {words}")
    text = text.replace("[io]", '[io]\nscratch = ["usr/lib/scratch"]')
    with mounted(tmp_path / "disk.img", path, 48):
        (path / "lost+found").rmdir()
        machine = world.machine(path, limits)
        put_local(machine, "motd", text)
        before = os.statvfs(path).f_bavail
        with nothing_reached(path), pytest.raises(TriggerFailed) as failure:
            machine.install("apple")
        assert failure.value.message.splitlines()[0] == "trigger motd filled its 64 MiB of disk"
        taken = (before - os.statvfs(path).f_bavail) * os.statvfs(path).f_frsize
        assert taken < 2 << 20  # what replays it, and the imported packages
        (machine.pending().path / FILE.lstrip("/")).unlink()
        machine.install("apple")
        assert machine.layered() == ["apple", "libseed"]
        subprocess.run(["chattr", "-R", "-f", "-i", path], check=False)
