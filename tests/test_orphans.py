"""Nothing goes on and nothing is written once the program itself was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import pytest

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import host_programs
from tests.kernels import dracut_world
from tests.kill.checks import faults
from tests.world import Machine, make_world, remove

_SANDBOX = """
from pathlib import Path
from layer.sandbox.box import Sandbox, SandboxedCommand
with Sandbox(Path({scratch!r})) as box:
    overlay = box.overlay([Path({lower!r})])
    box.run(overlay, SandboxedCommand(("/bin/sh", "-c", {script!r}), 0, wrapper={wrapper!r}))
"""
_SECONDS = 20.0  # until what was killed must be gone, on a busy machine


def lives(*words: str) -> list[int]:
    """The processes that have exactly this command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().split(b"\0")[:-1] == [word.encode() for word in words]:
                found.append(int(path.parent.name))
    return found


def await_all(*words: str, are_there: bool) -> list[int]:
    deadline = time.monotonic() + _SECONDS
    while bool(found := lives(*words)) != are_there and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def await_call(name: str, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not (log.exists() and f" {name}(PR_SET_PDEATHSIG" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# bubblewrap asks late for the end that it is to share.
_LATE = ("-e", "inject=prctl:delay_enter=1000000")


@pytest.mark.parametrize("kind", ["sandbox", "traced sandbox", "slow traced sandbox"])
def test_a_trigger_ends_with_the_killed_program(kind: str, tmp_path: Path) -> None:
    seconds = f"86{os.getpid()}"  # a word that no other process has
    script = f"trap '' HUP TERM INT; sleep {seconds}; :"
    words = ("strace", "-f", "-o", str(tmp_path / "log"))
    wrapper = {"sandbox": (), "traced sandbox": words}.get(kind, (*words, *_LATE))
    text = _SANDBOX.format(scratch=str(tmp_path), lower="/usr", script=script, wrapper=wrapper)
    program = subprocess.Popen([sys.executable, "-c", text], start_new_session=True)
    try:
        if "slow" in kind:
            await_call("prctl", tmp_path / "log")
        else:
            assert await_all("sleep", seconds, are_there=True)
        program.send_signal(signal.SIGKILL)
        program.wait()
        time.sleep(3 if "slow" in kind else 0)  # in which it would have begun
        assert await_all("sleep", seconds, are_there=False) == []
    finally:
        program.kill()
        for process in lives("sleep", seconds):
            os.kill(process, signal.SIGKILL)


def below(pid: int) -> dict[int, str]:
    """The processes that one has started, those started by these too, and their names."""
    names, parents = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(") ")
            names[int(process.name)], parents[int(process.name)] = name, int(rest.split()[1])
    found, new = {}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= {child: names[child] for child in new}
    return found


def written(sysroot: Path) -> dict[str, tuple[int, int]]:
    """When each path was changed last, and how large it is."""
    found = {}
    for top, folders, files in os.walk(sysroot):
        for path in (Path(top, name) for name in (*folders, *files)):
            info = path.lstat()
            found[str(path)] = (info.st_ctime_ns, info.st_size)
    return found


def check_nothing_goes_on(machine: Machine, started: Collection[int], *words: str) -> None:
    """The program is dead: what it had started ends, writing nothing, and it can run again."""
    before = written(machine.path)
    deadline = time.monotonic() + _SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert written(machine.path) == before
    machine.layer(*words)
    assert list(faults(machine.path)) == []


def check_killed(machine: Machine, name: str, *words: str) -> None:
    """Kills the program alone while `name` runs below it, and looks at what goes on."""
    command = [sys.executable, "-m", "layer", words[0], "--sysroot", machine.path, *words[1:]]
    quiet = subprocess.DEVNULL
    program = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    deadline = time.monotonic() + 3 * _SECONDS
    while name not in (started := below(program.pid)).values():
        assert program.poll() is None, "it is over"
        assert time.monotonic() < deadline, f"{name} does not run"
        time.sleep(0.01)
    assert "bwrap" in started.values()
    program.send_signal(signal.SIGKILL)
    program.wait()
    check_nothing_goes_on(machine, started, *words)


def test_nothing_is_written_once_a_trigger_lost_its_program(tmp_path: Path) -> None:
    """The trigger's tool writes for a while."""
    tool = b"""#!/usr/bin/dash
n=0
while [ $((n += 1)) -lt 100000 ]; do echo x >>/usr/share/glib-2.0/schemas/gschemas.compiled; done
"""
    (tmp_path / "world").mkdir()
    with make_world(tmp_path / "world") as world:
        dash = [file for file in host_programs("/usr/bin/dash") if "/lib" not in file.path]
        compiler = FileSpec("/usr/bin/glib-compile-schemas", tool, mode=0o755)
        schema = FileSpec("/usr/share/glib-2.0/schemas/slow.gschema.xml", b"<schemalist/>\n")
        world.publish(tiny_rpm("slow", *dash, compiler, schema, arch="x86_64"))
        machine = world.machine(tmp_path / "machine")
        words = ("--repo-dir", str(world.repo_dir), "-y", "slow")
        check_killed(machine, "glib-compile-sc", "install", *words)
        remove([machine.path])


def test_nothing_is_written_once_dracut_lost_its_program(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    with dracut_world(tmp_path / "world") as world:
        machine = world.machine(tmp_path / "machine")
        words = ("--repo-dir", str(world.repo_dir), "-y", "--enable")
        check_killed(machine, "dracut", "initramfs", *words)
        remove([machine.path])


def test_nothing_is_written_once_rpm_lost_its_program(machine: Machine) -> None:
    """It writes its database in a process of ours; what it wrote is left, and swept by the next."""
    script = """
import os, signal, sys
from layer.rpmfile import writing
writing._set_states = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from layer.__main__ import main
main()
"""
    words = ("install", "--repo-dir", str(machine.world.repo_dir), "-y", "web")
    command = [sys.executable, "-c", script, words[0], "--sysroot", machine.path, *words[1:]]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(machine.path.glob("ostree/repo/tmp/layer-*/**/rpmdb.sqlite*"))
    check_nothing_goes_on(machine, (), *words)
    assert not list(machine.path.glob("ostree/repo/tmp/layer-*"))
