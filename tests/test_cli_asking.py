"""Who says yes, who has to wait, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import REBOOT, do, extra_repository, fails, host_programs, repositories
from tests.snapshot import state, unchanged
from tests.world import REF, Machine, World, ostree, remove, write_repo_file

ASK = "Is this all right? [y/N]: "
PATIENCE = 40  # seconds; far more than anything here takes
AT_ONCE = 10  # seconds from Ctrl-C to the end, on a machine that is busy with others


@dataclass
class Running:
    """A program at work: its output so far, and its end."""

    process: subprocess.Popen[bytes]
    source: int
    shown: str = field(default="", init=False)

    def wait_for(self, text: str) -> None:
        """Reads until the program has said it."""
        end = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} never came: {self.shown!r}"
            assert self._read(), f"it ended before {text!r}: {self.shown!r}"

    def interrupt(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Sends the signal; returns the exit status and the seconds until the end."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.end(), time.monotonic() - start

    def end(self) -> int:
        """Reads all the rest; returns the exit status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    @property
    def lines(self) -> list[str]:
        """What it has said, without what steers a terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown).splitlines()

    def rest(self) -> str:
        """All that it said."""
        self.end()
        return self.shown

    def _read(self) -> bool:
        assert select.select([self.source], [], [], PATIENCE)[0], f"it hangs: {self.shown!r}"
        try:
            data = os.read(self.source, 1 << 16)
        except OSError:  # how a pseudo-terminal ends
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


def started(
    machine: Machine, verb: str, *words: str, terminal: bool = False, under: Sequence[str] = ()
) -> AbstractContextManager[Running]:
    """The real program with the world's repositories."""
    options = ["--sysroot", str(machine.path), *repositories(machine, verb)]
    return started_as([verb, *options], *words, terminal=terminal, under=under)


@contextmanager
def started_as(
    verb: Sequence[str], *words: str, terminal: bool = False, under: Sequence[str] = ()
) -> Iterator[Running]:
    """The real program, with all it prints in one stream; a terminal if it is to ask."""
    source, sink = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [*under, sys.executable, "-m", "layer", *verb, *words],
        stdin=sink if terminal else subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        start_new_session=True,
    )
    os.close(sink)
    try:
        yield Running(process, source)
    finally:
        process.kill()
        process.wait()
        os.close(source)


# --- yes and no ---


def test_without_a_terminal_nothing_is_done(machine_kept: Machine) -> None:
    assert fails(machine_kept, "install", "pear") == [
        "error: nobody is here to say yes; nothing has changed",
        "hint: -y says yes beforehand",
    ]


def test_a_closed_standard_input_is_no_yes(machine_kept: Machine) -> None:
    words = ["install", "--sysroot", str(machine_kept.path), "--idempotent", "apple", "web"]
    words += ["--repo-dir", str(machine_kept.world.repo_dir)]
    with unchanged(machine_kept.path):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "layer", *words],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "hint: -y says yes beforehand")


@pytest.mark.parametrize("answer", [b"y\n", b"yes\n", b"Y\n"])
def test_a_yes_at_the_terminal_does_it(machine: Machine, answer: bytes) -> None:
    with started(machine, "install", "web", terminal=True) as running:
        running.wait_for(ASK)
        os.write(running.source, answer)
        assert running.end() == 0
    assert running.lines[-1] == REBOOT
    assert machine.layered() == ["web"]


@pytest.mark.parametrize("answer", [b"n\n", b"\n"])
def test_a_no_at_the_terminal_changes_nothing(machine_kept: Machine, answer: bytes) -> None:
    terminal = started(machine_kept, "install", "web", terminal=True)
    with unchanged(machine_kept.path), terminal as running:
        running.wait_for(ASK)
        os.write(running.source, answer)
        assert running.end() == 1
    assert running.lines[-2] == "error: the answer is no; nothing has changed"


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_at_the_question_changes_nothing(machine_kept: Machine, key: bytes) -> None:
    terminal = started(machine_kept, "install", "web", terminal=True)
    with unchanged(machine_kept.path), terminal as running:
        running.wait_for(ASK)
        time.sleep(0.3)  # between the question and its read(2), Python would not notice
        if key == b"\x03":
            running.process.send_signal(signal.SIGINT)
        else:
            os.write(running.source, key)
        assert running.end() == (130 if key == b"\x03" else 1)
    assert running.lines[-2] == "error: interrupted; nothing has changed"


# --- one at a time ---

HOLD = """
import sys
from gi.repository import Gio, OSTree
sysroot = OSTree.Sysroot.new(Gio.File.new_for_path(sys.argv[1]))
sysroot.lock()
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held_by_another(machine: Machine) -> Iterator[Callable[[], None]]:
    """The sysroot's lock is held as `ostree admin` does; gives what lets it go."""
    command = [sys.executable, "-W", "ignore", "-c", HOLD, str(machine.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.stdin.close
        holder.kill()


def test_with_no_wait_another_program_at_work_is_an_error(machine_kept: Machine) -> None:
    with held_by_another(machine_kept):
        for verb in (["install", "-y", "web"], ["rollback", "-y"], ["cleanup", "-b"]):
            assert fails(machine_kept, verb[0], "--no-wait", *verb[1:]) == [
                f"error: another program works on {machine_kept.path} (it holds ostree/lock)",
                "hint: leave out --no-wait to wait for it",
            ]


def test_reading_waits_for_nobody(machine_kept: Machine) -> None:
    with held_by_another(machine_kept):
        do(machine_kept, "status")
        do(machine_kept, "install", "-n", "web")


def test_a_change_waits_for_another_program_and_says_so(machine: Machine) -> None:
    with held_by_another(machine) as let_go, started(machine, "install", "-y", "web") as running:
        note = f"note: waiting: another program works on {machine.path}\n"
        running.wait_for(note)
        assert running.shown == note
        let_go()
        assert running.end() == 0
    assert machine.layered() == ["web"]


def test_who_waited_builds_on_what_the_other_made(machine: Machine) -> None:
    """Both were started on the same deployment; neither loses what was asked for."""
    first = started(machine, "install", "-y", "web")
    second = started(machine, "install", "-y", "apple")
    with held_by_another(machine) as let_go, first as one, second as other:
        one.wait_for("waiting")
        other.wait_for("waiting")
        let_go()
        assert (one.end(), other.end()) == (0, 0)
    assert machine.layered() == ["apple", "libseed", "web"]


def test_ctrl_c_while_waiting_ends_at_once(machine_kept: Machine) -> None:
    waiting = started(machine_kept, "install", "-y", "web")
    with unchanged(machine_kept.path), held_by_another(machine_kept), waiting as running:
        running.wait_for("waiting")
        status, seconds = running.interrupt()
    assert (status, seconds < AT_ONCE) == (130, True)
    assert running.lines[-2] == "error: interrupted; nothing has changed"


# --- Ctrl-C at work ---


def check_interrupted(machine: Machine, before: dict[str, object], running: Running) -> None:
    """One error, nothing changed, nothing left."""
    assert [line for line in running.shown.splitlines() if line.startswith("error")] == [
        "error: interrupted; nothing has changed"
    ]
    assert "Traceback" not in running.shown
    assert state(machine.path) == before
    assert list(machine.path.glob("ostree/repo/tmp/layer-*")) == []
    everyone = "".join(_mounts(process) for process in Path("/proc").glob("[0-9]*"))
    assert str(machine.path) not in everyone


def _mounts(process: Path) -> str:
    try:
        return (process / "mounts").read_text()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for a repository with `slow`, whose trigger sleeps, and `large`."""
    return extra_repository(
        tmp_path_factory.mktemp("slow") / "slow",
        tiny_rpm(
            "slow",
            *(f for f in host_programs("/usr/bin/dash", "/usr/bin/sleep") if "/lib" not in f.path),
            FileSpec("/usr/bin/glib-compile-schemas", b"#!/usr/bin/dash\nsleep 60\n", mode=0o755),
            FileSpec("/usr/share/glib-2.0/schemas/slow.gschema.xml", b"<schemalist/>\n"),
            arch="x86_64",
        ),
        tiny_rpm("large", FileSpec("/usr/share/large", bytes(1 << 28))),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_a_trigger_leaves_nothing(
    machine: Machine, slow: list[str], number: int
) -> None:
    before = state(machine.path)
    with started(machine, "install", *slow, "-y", "slow", "daemon") as running:
        running.wait_for("Running trigger glib-schemas")
        time.sleep(0.2)  # the trigger is up
        status, seconds = running.interrupt(number)
    assert status == 128 + number
    assert seconds < AT_ONCE
    check_interrupted(machine, before, running)


def test_ctrl_c_during_the_import_leaves_nothing(machine: Machine, slow: list[str]) -> None:
    before = state(machine.path)
    with started(machine, "install", *slow, "-y", "large", "web") as running:
        running.wait_for("Importing 2 packages")
        time.sleep(0.05)
        status, seconds = running.interrupt()
    assert "Merging" not in running.shown
    assert status == 130
    assert seconds < AT_ONCE
    check_interrupted(machine, before, running)


def test_after_ctrl_c_the_same_command_does_it(machine: Machine, slow: list[str]) -> None:
    """And what was fetched is not fetched again: the repository may be gone."""
    with started(machine, "install", *slow, "-y", "slow", "daemon") as running:
        running.wait_for("Running trigger glib-schemas")
        running.interrupt()
    kept = machine.host().cache / "packages"
    assert len(list(kept.iterdir())) == 2
    do(machine, "install", "-y", "daemon")
    assert machine.layered() == ["daemon"]


class _Stalling(SimpleHTTPRequestHandler):
    """Sends the beginning of what has `stalls` in its path, and then nothing more."""

    stalls = ""

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if self.stalls not in self.path or not file.is_file():
            super().do_GET()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        time.sleep(PATIENCE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def stalling(directory: Path, stalls: str) -> Iterator[str]:
    """A server that stalls on some paths; gives its URL."""
    handler = type("Handler", (_Stalling,), {"stalls": stalls})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(directory)))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("stalls", ["summary", ".commit", ".dirtree", ".filez"])
def test_ctrl_c_during_a_pull_that_stalls_ends_at_once(
    machine: Machine, world: World, stalls: str
) -> None:
    with stalling(world.path / "served", stalls) as url, fresh(machine, url) as path:
        before = state(path)
        with started(Machine(path, world), "rebase", "-y", f"tiny:{REF}") as running:
            running.wait_for("Pulling")
            time.sleep(0.7)
            assert running.process.poll() is None, running.rest()
            status, seconds = running.interrupt()
        assert status == 130
        assert seconds < AT_ONCE
        check_interrupted(Machine(path, world), before, running)


@contextmanager
def fresh(machine: Machine, url: str) -> Iterator[Path]:
    """A sysroot without a base, with a remote at `url`."""
    path = machine.path.with_name("fresh")
    initialize(path, "tiny")
    fresh_machine = Machine(path, machine.world)
    add_remote(fresh_machine.host().store, "tiny", url, verify=False)
    yield path
    remove([path])


@pytest.mark.parametrize(
    ("stalls", "number"),
    [
        ("repomd.xml", signal.SIGINT),
        ("primary", signal.SIGTERM),
        (".rpm", signal.SIGINT),
        (".rpm", signal.SIGTERM),
    ],
)
def test_a_signal_during_a_download_that_stalls_ends_it_at_once(
    machine: Machine, world: World, tmp_path: Path, stalls: str, number: int
) -> None:
    with stalling(world.packages, stalls) as url:
        write_repo_file(tmp_path, "stalling", url)
        words = ["install", "--sysroot", str(machine.path), "--repo-dir", str(tmp_path)]
        before = state(machine.path)
        with started_as(words, "-y", "web") as running:
            running.wait_for("Reading repositories" if stalls != ".rpm" else "Solving")
            time.sleep(0.7)
            assert running.process.poll() is None, running.rest()
            status, seconds = running.interrupt(number)
        assert status == 128 + number
        assert seconds < AT_ONCE
        check_interrupted(machine, before, running)


SLOWED = ["strace", "-D", "-f", "-o", "/dev/null", "-e"]


def test_ctrl_c_during_the_deployment_leaves_no_checkout(machine: Machine) -> None:
    do(machine, "cleanup", "-b")  # what an earlier plan dropped would be cleaned up, too
    before = state(machine.path)
    slowed = [*SLOWED, "inject=mkdirat:delay_enter=20000"]
    with started(machine, "install", "-y", "web", under=slowed) as running:
        running.wait_for("Deploying")
        time.sleep(0.2)
        assert running.process.poll() is None, running.rest()
        status, _ = running.interrupt()
    assert status == 130
    check_interrupted(machine, before, running)


def test_ctrl_c_that_comes_too_late_says_so(machine: Machine) -> None:
    machine.install("web")
    machine.reset()
    entries = machine.path / "ostree/boot.0"
    before = entries.readlink()
    slowed = [*SLOWED, "inject=renameat:delay_exit=1500000", "-P", "boot.0"]
    with started(machine, "install", "-y", "web", under=slowed) as running:
        running.wait_for("Deploying")
        while entries.readlink() == before and running.process.poll() is None:
            time.sleep(0.005)
        status, _ = running.interrupt()
    assert status == 130
    assert running.shown.splitlines()[-2:] == [
        "error: interrupted, but what boots next was changed already",
        "hint: `layer status` shows it; `layer rollback` goes back",
    ]
    assert machine.layered() == ["web"]
    assert "layer/derived" in ostree("refs", f"--repo={machine.path}/ostree/repo")


def test_a_full_disk_is_one_error(machine: Machine) -> None:
    before = state(machine.path)
    slowed = [*SLOWED, "inject=fallocate,pwrite64,copy_file_range,sendfile:error=ENOSPC"]
    with started(machine, "install", "-y", "daemon", under=slowed) as running:
        assert running.end() == 1
    errors = [line for line in running.shown.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "Traceback" not in running.shown
    assert state(machine.path) == before
