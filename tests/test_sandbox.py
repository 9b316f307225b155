"""What a sandboxed command can see and do, and that nothing outlives us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layer.errors import NotFound, TriggerFailed
from layer.sandbox.box import Overlay, Sandbox, SandboxedCommand, SandboxOptions
from layer.sandbox.process import Finished, run
from layer.sandbox.tasks import task_group

EPOCH = 1_700_000_000


# --- plain host commands ------------------------------------------------------------------------


def test_a_command_ends_with_its_status_and_all_its_output() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Finished(3, "out\nerr\n")


def test_a_command_has_an_empty_input_a_fixed_environment_and_umask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEMO", "1")

    assert run(["sh", "-c", "cat; umask; echo ${DEMO-unset} $LC_ALL"]).output == (
        "0022\nunset C.UTF-8\n"
    )


def test_a_flood_of_output_is_kept_from_its_end() -> None:
    finished = run(["sh", "-c", "yes x | head -c 300000; echo; echo end"], keep=1000)

    assert finished.status == 0
    assert finished.output.endswith("x\n\nend\n")
    assert len(finished.output) <= 3000 + (1 << 16)


def test_a_killed_command_says_by_what() -> None:
    assert run(["sh", "-c", "kill -TERM $$"]).status == -signal.SIGTERM


@pytest.mark.parametrize("script", ["sleep 60", "exec >&- 2>&-; sleep 60"], ids=["open", "closed"])
def test_a_command_that_takes_too_long_is_killed(script: str) -> None:
    begin = time.monotonic()

    finished = run(["sh", "-c", f"exec 3>&1; {script}"], timeout=0.3)

    assert (finished.is_timeout, finished.status) == (True, -signal.SIGKILL)
    assert time.monotonic() - begin < 15


def test_a_program_that_the_host_lacks_is_named() -> None:
    with pytest.raises(NotFound, match="this machine has no program no-such-program"):
        run(["no-such-program"])


# --- the sandbox --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), SandboxOptions(space=64 << 20)) as sandbox:
        yield sandbox


@pytest.fixture
def overlay(sandbox: Sandbox, tmp_path: Path) -> Overlay:
    """The host's own /usr under a directory with an etc and something in opt."""
    top = tmp_path / "odd, name: with 'signs'"
    for folder in ("etc", "lib/opt/vendor"):
        (top / folder).mkdir(parents=True)
    (top / "etc/demo").write_text("demo\n")
    return sandbox.overlay([top, Path("/usr")])


def execute(sandbox: Sandbox, overlay: Overlay, script: str, **keys: object) -> Finished:
    command = SandboxedCommand(("/usr/bin/sh", "-c", script), EPOCH, **keys)  # type: ignore[arg-type]
    return sandbox.run(overlay, command)


def test_the_environment_is_fixed(
    sandbox: Sandbox, overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO", "1")

    finished = execute(sandbox, overlay, "env | sort; hostname", env=(("OWN", "2"),))

    assert finished.output.splitlines() == [
        "HOME=/tmp",
        "LC_ALL=C.UTF-8",
        "OWN=2",
        "PATH=/usr/bin:/usr/sbin",
        "PWD=/",
        f"SOURCE_DATE_EPOCH={EPOCH}",
        "SYSTEMD_OFFLINE=1",
        "TZ=UTC",
        "layer",
    ]


def test_only_the_tree_and_empty_places_are_there(sandbox: Sandbox, overlay: Overlay) -> None:
    finished = execute(sandbox, overlay, "ls -A / /tmp /run /var; cat /etc/demo; readlink /bin")

    assert finished.output.split() == [
        *("/:", "bin", "dev", "etc", "lib", "lib64", "opt", "run", "sbin", "tmp", "usr", "var"),
        *("/run:", "/tmp:", "/var:", "cache", "lib", "log", "opt", "tmp", "demo", "usr/bin"),
    ]


def test_opt_leads_into_usr(sandbox: Sandbox, overlay: Overlay) -> None:
    execute(sandbox, overlay, "echo hello > /opt/vendor/file")

    assert (overlay.upper / "lib/opt/vendor/file").read_text() == "hello\n"


def test_null_is_a_device_and_takes_what_is_written(sandbox: Sandbox, overlay: Overlay) -> None:
    finished = execute(sandbox, overlay, "echo x > /dev/null && stat -c %F /dev/null")

    assert finished == Finished(0, "character special file\n")


def test_proc_is_there_only_for_who_asks(sandbox: Sandbox, overlay: Overlay) -> None:
    script = (
        "test -e /proc/1 && echo yes; echo x 2>/dev/null > /proc/sys/kernel/hostname || echo no"
    )

    assert execute(sandbox, overlay, script).output == "no\n"
    assert execute(sandbox, overlay, script, needs_proc=True).output == "yes\nno\n"


def test_there_is_no_network(sandbox: Sandbox, overlay: Overlay) -> None:
    finished = execute(sandbox, overlay, "cat /proc/net/dev | grep -c :", needs_proc=True)

    assert finished.output == "1\n"  # the loopback device alone


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param("chown 12:34 /usr/x && test $(stat -c %u:%g /usr/x) = 12:34", 0, id="chown"),
        pytest.param("chown 12 /usr/x; chmod 6711 /usr/x", 0, id="chmod"),
        pytest.param("chmod 0 /etc/demo; cat /etc/demo", 0, id="override"),
        pytest.param("mount -t tmpfs x /tmp", 32, id="mount"),
        pytest.param("mknod /usr/device b 8 0", 1, id="mknod"),
        pytest.param("hostname other", 1, id="hostname"),
        pytest.param("date -s 2001-01-01", 1, id="clock"),
        pytest.param("echo x > /top", 2, id="top"),
    ],
)
def test_a_command_may_own_files_and_nothing_more(
    sandbox: Sandbox, overlay: Overlay, script: str, status: int
) -> None:
    assert execute(sandbox, overlay, f"echo > /usr/x; {script}").status == status


def test_files_are_made_with_the_usual_mode_whatever_ours_is(
    sandbox: Sandbox, overlay: Overlay
) -> None:
    old = os.umask(0o077)
    try:
        execute(sandbox, overlay, "echo > /usr/x; mkdir /usr/y")
    finally:
        os.umask(old)

    assert oct((overlay.upper / "x").stat().st_mode) == "0o100644"
    assert oct((overlay.upper / "y").stat().st_mode) == "0o40755"


def test_what_is_written_lies_in_the_upper_layer_alone(sandbox: Sandbox, overlay: Overlay) -> None:
    before = Path("/usr/bin/true").stat()

    finished = execute(sandbox, overlay, "echo x >> /usr/bin/true; rm /usr/bin/cat; echo done")

    assert finished.output == "done\n"
    assert sorted(path.name for path in (overlay.upper / "bin").iterdir()) == ["cat", "true"]
    assert Path("/usr/bin/true").stat() == before
    assert Path("/usr/bin/cat").exists()


def test_memory_is_limited(tmp_path: Path) -> None:
    with Sandbox(tmp_path, SandboxOptions(memory=512 << 20)) as sandbox:
        overlay = sandbox.overlay([Path("/usr")])
        finished = execute(sandbox, overlay, "head -c 900M /dev/zero | tail | wc -c")

    assert "memory exhausted" in finished.output or "of memory" in finished.reached


def test_a_command_that_fills_the_disk_fails_even_if_it_ends_well(tmp_path: Path) -> None:
    script = "for i in 1 2 3; do head -c 30M /dev/zero > /usr/big$i; done; exit 0"
    with Sandbox(tmp_path, SandboxOptions(space=64 << 20)) as sandbox:
        finished = execute(sandbox, sandbox.overlay([Path("/usr")]), script)

    assert finished.reached == "filled its 64 MiB of disk"


@pytest.mark.parametrize(
    "script",
    ["b() { b | b & }; b; sleep 30", "while :; do sleep 40 & done"],
    ids=["bomb", "many"],
)
def test_processes_are_limited(tmp_path: Path, script: str) -> None:
    begin = time.monotonic()
    with Sandbox(tmp_path, SandboxOptions(processes=300)) as sandbox:
        finished = execute(sandbox, sandbox.overlay([Path("/usr")]), script, timeout=60)

    assert finished.reached == "had more than 300 processes"
    assert time.monotonic() - begin < 30


def test_the_kernel_starts_no_process_beyond_the_limit() -> None:
    """So that a bomb between two looks at it hurts nobody else."""
    script = "i=0; while [ $i -lt 400 ]; do sleep 9 & i=$((i+1)); echo $i; done"
    with task_group(100) as group:
        if group.path is None:
            pytest.skip("this machine has no pids controller")
        finished = run(group.entered(["sh", "-c", script]), timeout=20)
        assert group.has_refused()
        for pid in (group.path / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    numbers = [int(word) for word in finished.output.split() if word.isdigit()]
    assert max(numbers) <= 100
    assert not group.path.exists()


def test_a_strict_sandbox_leaves_no_capability(sandbox: Sandbox, overlay: Overlay) -> None:
    script = "grep CapEff /proc/self/status | grep -v 0000000000000000; chown 12 /usr/bin; echo $?"

    finished = execute(sandbox, overlay, script, needs_proc=True, is_strict=True)

    assert finished.output.splitlines()[-1] == "1"
    assert "Cap" not in finished.output


def test_a_timeout_ends_all_that_a_command_started(sandbox: Sandbox, overlay: Overlay) -> None:
    word = f"9876{os.getpid()}"
    script = f"setsid sleep {word} & setsid sleep {word} & wait"

    finished = execute(sandbox, overlay, script, timeout=0.5)

    assert finished.is_timeout
    assert wait_until_gone(word)


def test_a_sleep_takes_no_time_where_it_is_for_nothing(sandbox: Sandbox, overlay: Overlay) -> None:
    slept = execute(sandbox, overlay, "sleep 9999; echo done", timeout=20, is_sleepless=True)
    waits = execute(sandbox, overlay, "sleep 9999; echo done", timeout=0.5)
    assert (slept.status, slept.output) == (0, "done\n")
    assert waits.is_timeout


def test_a_daemon_that_a_command_leaves_behind_is_ended(sandbox: Sandbox, overlay: Overlay) -> None:
    word = f"8765{os.getpid()}"

    finished = execute(sandbox, overlay, f"setsid sleep {word} >/dev/null 2>&1 & exit 4")

    assert finished.status == 4
    assert wait_until_gone(word)


def test_what_cannot_be_mounted_is_an_error(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(TriggerFailed, match="cannot mount an overlay"):
        sandbox.overlay([file])


# --- however we end -----------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from layer.sandbox.box import Sandbox, SandboxedCommand
with Sandbox(Path(sys.argv[1])) as sandbox:
    overlay = sandbox.overlay([Path("/usr")])
    print(sandbox._pid, flush=True)
    sandbox.run(overlay, SandboxedCommand(("/usr/bin/sh", "-c", f"sleep {sys.argv[2]}"), 0))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_nothing_outlives_us(number: int, tmp_path: Path) -> None:
    word = f"7654{os.getpid()}{number:d}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), word],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    holder = process.stdout.readline().strip()
    assert wait_for(lambda: is_running(word))
    assert str(tmp_path) in Path(f"/proc/{holder}/mountinfo").read_text()

    process.send_signal(number)

    assert process.wait() != 0
    process.stdout.close()
    assert wait_until_gone(word)
    assert wait_for(lambda: not Path(f"/proc/{holder}").exists())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert list((tmp_path / "mount").iterdir()) == []


def is_running(word: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0{word}".encode() in process.read_bytes():
                return True
        except OSError:  # it has just ended
            continue
    return False


def wait_until_gone(word: str) -> bool:
    return wait_for(lambda: not is_running(word))


def wait_for(condition: Callable[[], bool]) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.02)
    return False
