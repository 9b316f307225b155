"""What is pending is seen in the running /usr where that is safe, and is taken back whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from layer import pinning
from testdata.distro.rpmspec import FileSpec
from testdata.distro.tiny import tiny_rpm
from tests.live import ON_TOP, Living, ask, live_of, living, tree
from tests.live_world import CACHES, CORE, FOX_LIBRARY, base_of_live, core, fox, layers_of_live
from tests.world import Machine, World, make_world, remove

MODES = pytest.mark.parametrize("driver", ["", ON_TOP], ids=["beneath", "on-top"])


@pytest.fixture(scope="module")
def live_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The tiny world with programs that run; tests that publish a newer base put it back."""
    with make_world(tmp_path_factory.mktemp("world"), *base_of_live()) as made:
        made.publish(*layers_of_live())
        yield made


@pytest.fixture
def machine(live_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A fresh one."""
    yield live_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


@pytest.fixture
def running(machine: Machine, tmp_path: Path) -> Iterator[Living]:
    """It runs."""
    with living(machine, tmp_path / "live") as found:
        yield found


def newer_fox(world: World, running: Living, *, library: str = "1") -> tuple[str, str]:
    """Stages a base with the next version of the application; what is now in its file, and then.

    The worlds of a module's tests are one, so that what is the newest differs.
    """
    now = running.sh("cat /usr/share/fox/omni").strip()
    version = str(int(now.split()[1]) + 1)
    world.publish(fox(version, library=library * int(version)))
    world.compose()
    running.layer("upgrade", "-y", repositories=True)
    return now, f"omni {version}"


# --- what is added ---


@MODES
def test_new_programs_are_there_at_once_and_what_runs_goes_on(running: Living, driver: str) -> None:
    old = running.start(
        "exec 3</usr/share/fox/omni; echo ready; read _; [ -e /usr/bin/web ] && echo sees;"
        "read _; read x <&3; echo $x; read _"
    )
    before, etc = running.mounts(), tree(running.etc)
    running.install("web")
    begun = time.monotonic()
    done = running.layer("apply-live", driver=driver)
    print(f"\nfrom the command to a usable program: {time.monotonic() - begun:.2f} s", end="")
    swap = re.search(r"/usr changed in ([0-9.]+) ms", done.stdout)
    assert swap
    print(f", /usr changed in {swap[1]} ms", end="")
    assert running.sh("cat /usr/bin/web") == "web 1\n"
    assert running.sh("echo x >/usr/x; echo $?").strip() == "2"
    assert ask(old) == "sees"
    assert ask(old).startswith("omni ")
    pending = running.status()["deployments"][0]["checksum"]
    assert live_of(running) == pending
    assert running.layer("apply-live").stdout == "Nothing is pending that is not live.\n"
    assert running.layer("apply-live", "--reset").stdout.startswith("/usr is the booted")
    assert (running.mounts(), tree(running.etc)) == (before, etc)
    assert running.sh("[ ! -e /usr/bin/web ] && echo gone") == "gone\n"
    assert live_of(running) is None
    failed = running.layer("apply-live", "--reset", status=1).stderr
    assert failed.startswith("error: nothing is live: /usr is the booted deployment's\n")


@MODES
def test_a_second_change_takes_the_place_of_the_first(running: Living, driver: str) -> None:
    before, etc, var = running.mounts(), tree(running.etc), tree(running.var)
    running.install("daemon")
    running.layer("apply-live", driver=driver)
    first = running.mounts()
    running.install("web")
    running.layer("apply-live", driver=driver)
    assert len(running.mounts()) == len(first) + bool(driver)
    assert running.sh("cat /usr/bin/web /etc/daemon.conf") == "web 1\nsetting=1\n"
    running.layer("apply-live", "--reset", driver=driver)
    assert running.mounts() == before
    assert (tree(running.etc), tree(running.var)) == (etc, var)


def test_what_a_service_has_put_into_its_new_directory_stays(running: Living) -> None:
    running.install("daemon")
    running.layer("apply-live")
    running.sh("echo mine >/var/lib/alpha/mine")
    running.install("web")
    running.layer("apply-live")
    done = running.layer("apply-live", "--reset")
    assert done.stdout.splitlines()[1:] == ["/var/lib/alpha was edited, and stays."]
    assert (running.var / "lib/alpha/mine").read_text() == "mine\n"
    assert not (running.var / "lib/alpha/seed").exists()


def test_etc_accounts_and_var_come_along_and_go_again(running: Living) -> None:
    (running.etc / "own.conf").write_text("own\n")
    etc, var = tree(running.etc), tree(running.var)
    running.install("daemon", "served")
    running.layer("apply-live")
    assert running.sh("cat /etc/daemon.conf /etc/served/served.conf") == "setting=1\nserved\n"
    assert "\nalpha:x:" in (running.etc / "passwd").read_text()
    seed = running.var / "lib/alpha/seed"
    assert seed.read_bytes() == b"factory\n"
    assert (running.var / "lib/alpha").stat().st_uid != 0
    running.layer("apply-live", "--reset")
    assert (tree(running.etc), tree(running.var)) == (etc, var)
    assert not (running.var / "lib/layer/live.json").exists()


def test_what_an_admin_has_edited_is_never_touched(running: Living) -> None:
    (running.etc / "daemon.conf").write_text("mine\n")
    with (running.etc / "passwd").open("a") as file:
        file.write("admin:x:1000:1000::/home/admin:/bin/sh\n")
    before = (running.etc / "passwd").read_text()
    running.install("daemon")
    done = running.layer("apply-live")
    assert "/etc/daemon.conf is there already, and stays as it is" in done.stdout
    text = (running.etc / "passwd").read_text()
    assert text.startswith(before) and "\nalpha:x:" in text
    # Somebody works on while it is live.
    (running.etc / "passwd").write_text(text + "later:x:1001:1001::/:/bin/sh\n")
    running.install("served")
    running.layer("apply-live")
    (running.etc / "served/served.conf").write_text("edited\n")
    reset = running.layer("apply-live", "--reset").stdout
    assert "/etc/served/served.conf was edited, and stays" in reset
    assert (running.etc / "passwd").read_text() == f"{before}later:x:1001:1001::/:/bin/sh\n"
    assert (running.etc / "daemon.conf").read_text() == "mine\n"


def test_a_package_with_caches_is_live_while_the_old_ones_are_mapped(running: Living) -> None:
    script = f"""
import mmap
files = [open("/" + path, "rb") for path in {CACHES!r}]
maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]
sums = [hash(bytes(m)) for m in maps]
print("ready", flush=True)
input()
print([hash(bytes(m)) for m in maps] == sums, flush=True)
input()
"""
    holder = running.start_python(script)
    old = {path: (running.deployment.path / path).read_bytes() for path in CACHES}
    running.install("painter")
    plan = json.loads(running.layer("apply-live", "-n", "--json").stdout)
    classes = {change["path"][1:]: change["class"] for change in plan["changes"]}
    assert {classes[path] for path in CACHES} == {"ours"}
    running.layer("apply-live")
    assert ask(holder) == "True"
    for path, content in old.items():
        reader = running.start_python(f"print(open('/{path}', 'rb').read().hex())")
        now = bytes.fromhex(reader.first)  # type: ignore[attr-defined]
        assert now != content


def test_after_a_reboot_it_is_there_for_good(running: Living) -> None:
    running.install("daemon", "served")
    running.layer("apply-live")
    running.shut_down()
    assert live_of(running) is None
    running.layer("boot-complete")
    assert not (running.var / "lib/layer/live.json").exists()
    assert not (running.machine.path / "ostree/layer-live").exists()
    assert running.sh("cat /etc/daemon.conf") == "setting=1\n"
    assert running.layer("config-diff").stdout == ""
    running.layer("uninstall", "-y", "daemon")
    running.shut_down()
    assert not (running.etc / "daemon.conf").exists()


def test_an_uninstall_before_the_reboot_leaves_nothing_in_etc(running: Living) -> None:
    etc = tree(running.etc)
    running.install("daemon", "served")
    running.layer("apply-live")
    running.layer("uninstall", "-y", "daemon")
    assert not (running.etc / "daemon.conf").exists()
    assert "alpha" not in (running.etc / "passwd").read_text()
    assert (running.etc / "served/served.conf").exists()
    running.layer("uninstall", "-y", "served")
    assert tree(running.etc) == etc
    running.shut_down()
    running.layer("boot-complete")
    assert running.layer("config-diff").stdout == ""


def test_a_power_cut_leaves_nothing_of_what_was_live(running: Living) -> None:
    etc, var = tree(running.etc), tree(running.var)
    running.install("daemon")
    running.layer("apply-live")
    running.boot()
    running.layer("boot-complete")
    assert (tree(running.etc), tree(running.var)) == (etc, var)
    assert live_of(running) is None


def test_a_pending_deployment_that_goes_leaves_what_is_live(running: Living) -> None:
    running.install("web")
    running.layer("apply-live")
    running.layer("cleanup", "-p", "-b")
    assert running.sh("cat /usr/bin/web") == "web 1\n"
    running.layer("apply-live", "--allow-replacement")  # back to what is booted, by its own commit
    assert running.sh("[ ! -e /usr/bin/web ] && echo gone") == "gone\n"


def test_units_that_change_or_go_are_named_with_what_to_do(
    live_world: World, running: Living
) -> None:
    running.install("served", "shared")
    running.layer("apply-live")
    unit = b"[Service]\nExecStart=/usr/bin/pairs newer\n"
    file = FileSpec("/usr/lib/systemd/system/shared.service", unit)
    live_world.publish(tiny_rpm("shared", file, version="2", arch="x86_64"))
    running.layer("uninstall", "-y", "served")
    running.layer("upgrade", "-y", repositories=True)
    said = running.layer("apply-live", "--allow-replacement").stdout.splitlines()
    assert [line for line in said if "systemctl" in line] == [
        "These may run what was: systemctl try-restart shared.service",
        "These are no longer there: systemctl stop served.service",
    ]


def test_an_install_is_live_in_one_command(running: Living) -> None:
    done = running.layer("install", "-y", "--apply-live", "served", repositories=True)
    assert "New units, not started: systemctl start served.service" in done.stdout
    assert running.sh("cat /etc/served/served.conf") == "served\n"
    wrong = running.layer("install", "-y", "-A", "-n", "web", status=2)
    assert "--apply-live goes with a change that is made" in wrong.stderr


# --- what is in use ---


def test_a_mapped_library_is_refused_with_its_process(live_world: World, running: Living) -> None:
    user = running.start(f"LD_PRELOAD={FOX_LIBRARY} exec /usr/bin/sh -c 'echo $$; read _'")
    pid = user.first.strip()  # type: ignore[attr-defined]
    newer_fox(live_world, running, library="2")
    before = running.mounts()
    failed = running.layer("apply-live", "--allow-replacement", status=1).stderr
    assert f"{FOX_LIBRARY} (the file itself is open or mapped)" in failed
    assert f"used by sh (pid {pid})" in failed
    assert running.mounts() == before
    assert not (running.var / "lib/layer/live.json").exists()


def test_an_application_that_loads_late_is_protected(live_world: World, running: Living) -> None:
    now, then = newer_fox(live_world, running)
    wait = "echo $$; read _; cat /usr/share/fox/omni; read _"
    lazy = running.start(f"exec /usr/bin/fox -c '{wait}'")
    failed = running.layer("apply-live", "--allow-replacement", status=1).stderr
    assert "/usr/share/fox/omni (its package, or one that needs it, is in use)" in failed
    assert f"used by fox (pid {lazy.first.strip()})" in failed  # type: ignore[attr-defined]
    assert ask(lazy) == now
    ask(lazy)
    refused = running.layer("apply-live", status=1)
    assert "layer apply-live --allow-replacement" in refused.stderr
    running.layer("apply-live", "--allow-replacement")
    assert running.sh("cat /usr/share/fox/omni") == f"{then}\n"


_KILL = "import os, signal\ndef kill(*_): os.kill(os.getpid(), signal.SIGKILL)\n"


def test_the_plan_is_of_what_is_seen_while_a_change_is_interrupted(running: Living) -> None:
    running.install("daemon")
    running.layer("apply-live")
    running.install("web")
    plan = running.layer("apply-live", "-n").stdout
    driver = f"{_KILL}from layer import live_view\nlive_view.show = kill"
    running.layer("apply-live", driver=driver, status=None)
    note = "Note: a live change was interrupted: it is finished or undone first\n"
    assert running.layer("apply-live", "-n").stdout == f"{plan}\n{note}"
    done = running.layer("apply-live", "--reset").stdout.splitlines()
    assert done[0] == "The interrupted live change is undone."
    assert done[1].startswith("/usr is the booted deployment's again (")
    assert live_of(running) is None


def test_a_reset_that_was_interrupted_is_finished_by_the_next(running: Living) -> None:
    running.install("daemon")
    before = whole(running)
    running.layer("apply-live")
    driver = f"{_KILL}from layer import living\nliving._finish = kill"
    running.layer("apply-live", "--reset", driver=driver, status=None)
    done = running.layer("apply-live", "--reset").stdout
    assert done == "The interrupted reset of what was live is finished.\n"
    assert [*whole(running)[:3], whole(running)[4]] == [*before[:3], before[4]]


def test_who_comes_between_scan_and_change_undoes_it(live_world: World, running: Living) -> None:
    etc, before = tree(running.etc), running.mounts()
    now, _ = newer_fox(live_world, running)
    late = running.start(
        "echo ready; read _; exec 3</usr/share/fox/omni; echo opened; read _; read x <&3; echo $x"
    )
    run = running._folder / "run"
    os.mkfifo(run / "now")
    os.mkfifo(run / "opened")
    driver = """
from layer import live_view
show = live_view.show
def slowly(*arguments):
    open("/run/now", "w").close()
    open("/run/opened").close()
    return show(*arguments)
live_view.show = slowly
"""

    def open_it() -> None:
        (run / "now").open().close()
        assert ask(late) == "opened"
        (run / "opened").open("w").close()

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    failed = running.layer("apply-live", "--allow-replacement", driver=driver, status=1).stderr
    thread.join()
    assert "somebody began to use what was to change; all is as it was" in failed
    assert (tree(running.etc), running.mounts()) == (etc, before)
    assert running.sh("cat /usr/share/fox/omni") == f"{now}\n"
    assert ask(late) == now
    assert live_of(running) is None


@MODES
def test_a_pinned_service_keeps_what_it_sees(
    live_world: World, running: Living, driver: str
) -> None:
    running.share_mounts()
    wait = "echo $$; while read _; do cat /usr/share/fox/omni; done"
    pinned = running.start(f"exec /usr/bin/fox -c '{wait}'", where="apart")
    follower = running.start("echo; while read _; do cat /usr/share/fox/omni; done", where="apart")
    number = pinned.first.strip()  # type: ignore[attr-defined]
    now, then = newer_fox(live_world, running)
    assert f"fox (pid {number})" in running.layer("apply-live", "-n").stdout
    done = running.layer("apply-live", "--pin", number)
    assert done.stdout == f"fox (pid {number}) keeps the /usr that it sees.\n"
    running.layer("apply-live", "--allow-replacement", driver=driver)
    assert (ask(pinned), ask(follower)) == (now, then)
    running.install("web")
    running.layer("apply-live", driver=driver)
    assert (ask(pinned), ask(follower)) == (now, then)
    running.layer("apply-live", "--reset", driver=driver)
    assert (ask(pinned), ask(follower)) == (now, now)


def test_who_has_no_mounts_of_its_own_cannot_be_pinned(running: Living) -> None:
    process = running.start("echo $$; read _")
    number = process.first.strip()  # type: ignore[attr-defined]
    failed = running.layer("apply-live", "--pin", number, status=1).stderr
    assert f"error: sh (pid {number}): no mounts of its own, so that it sees what" in failed
    for word in ("", "../x", "fox"):
        unknown = running.layer("apply-live", "--pin", word, status=1).stderr
        assert unknown.startswith(f"error: neither a process nor a service: {word!r}\n")
    missing = running.layer("apply-live", "--pin", "no.service", status=1).stderr
    assert missing.startswith("error: there is no process or running service no.service\n")


def test_a_service_is_pinned_by_its_name(running: Living) -> None:
    """The kernel's control group of a process says which service it belongs to."""
    places = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    top = next((place for place in places if (place / "cgroup.controllers").exists()), None)
    if top is None:
        pytest.skip("this machine has no control groups of version 2")
    running.share_mounts()
    unit = f"layer-test-{os.getpid()}.service"
    wait = "echo $$; while read _; do [ -e /usr/bin/web ] && echo new || echo old; done"
    pinned, follower = (running.start(wait, where="apart") for _ in range(2))
    with control_group(top / "system.slice", unit) as group:
        child = Path(f"/proc/{pinned.pid}/task/{pinned.pid}/children").read_text().strip()
        (group / "cgroup.procs").write_text(child)
        number = pinned.first.strip()  # type: ignore[attr-defined]
        done = running.layer("apply-live", "--pin", unit)
        assert done.stdout == f"sh (pid {number} of {unit}) keeps the /usr that it sees.\n"
        running.install("web")
        running.layer("apply-live")
        assert (ask(pinned), ask(follower)) == ("old", "new")
        (top / "cgroup.procs").write_text(child)


@contextmanager
def control_group(above: Path, name: str) -> Iterator[Path]:
    """One that is removed again, and the one above it where that is new."""
    made = not above.exists()
    above.mkdir(exist_ok=True)
    (above / name).mkdir()
    try:
        yield above / name
    finally:
        (above / name).rmdir()
        if made:
            above.rmdir()


def test_a_service_is_pinned_always_by_a_drop_in(running: Living, tmp_path: Path) -> None:
    driver = "from layer import live_services\nlive_services._COMMANDS = {}"
    done = running.layer("apply-live", "--pin-always", "fox.service", driver=driver)
    assert done.stdout.startswith("/etc/systemd/system/fox.service.d/50-layer-pin.conf counts")
    drop_in = running.etc / "systemd/system/fox.service.d/50-layer-pin.conf"
    assert "\nPrivateMounts=yes\n" in drop_in.read_text()
    folder = tmp_path / "units"
    shutil.copytree(drop_in.parent, folder / "fox.service.d")
    (folder / "fox.service").write_text("[Service]\nExecStart=/bin/true\n")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", folder / "fox.service"],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    wrong = running.layer("apply-live", "--pin-always", "../x", status=1).stderr
    assert wrong.startswith("error: not the name of a service: ../x\n")


@pytest.mark.parametrize("has_process", [True, False])
def test_what_the_drop_in_starts_pins_the_process(running: Living, has_process: bool) -> None:
    """As systemd takes its line: words in quotes, with a variable for the shell; or none."""
    running.share_mounts()
    wait = "echo $$; while read _; do [ -e /usr/bin/web ] && echo new || echo old; done"
    service = running.start(wait, where="apart")
    known = {"MAINPID": service.first.strip()} if has_process else {}  # type: ignore[attr-defined]
    text = pinning._TEXT.replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("ExecStartPost=+"))
    words = shlex.split(line.partition("+")[2])
    run = f"subprocess.run({words!r}, env={{**os.environ, **{known!r}}}, check=True)"
    done = running.python(f"import os, subprocess\n{run}")
    assert done.returncode == 0, done.stderr
    running.install("web")
    running.layer("apply-live")
    assert ask(service) == ("old" if has_process else "new")


# --- what is refused ---


def test_a_newer_c_library_or_kernel_waits_for_the_reboot(
    live_world: World, running: Living
) -> None:
    running.install("module")
    failed = running.layer("apply-live", status=1).stderr
    assert "/usr/lib/modules/6.0/extra/x.ko (it is the kernel, its modules or its" in failed
    assert "hint: a reboot; `layer run` tries what is pending before" in failed


def test_a_name_before_an_old_one_is_no_mere_addition(running: Living) -> None:
    running.install("hidden")
    failed = running.layer("apply-live", status=1).stderr
    assert "/usr/sbin/cat (it takes or changes the part of /usr/bin/cat" in failed


def test_an_overlay_over_usr_and_mounts_in_it_are_refused(running: Living) -> None:
    running.install("web")
    script = """
import ctypes, os, sys
from layer import mounts
libc = ctypes.CDLL(None, use_errno=True)
with mounts.in_namespace_of(1):
    os.makedirs("/tmp/up", exist_ok=True); os.makedirs("/tmp/work", exist_ok=True)
    options = b"lowerdir=/usr,upperdir=/tmp/up,workdir=/tmp/work"
    assert libc.mount(b"overlay", b"/usr", b"overlay", 0, options) == 0
"""
    assert running.python(script).returncode == 0
    failed = running.layer("apply-live", status=1).stderr
    assert failed.startswith("error: /usr is covered by an overlay, as `layer usroverlay` and")
    detach = "from layer import mounts\nwith mounts.in_namespace_of(1): mounts.detach('/usr')"
    assert running.python(detach).returncode == 0
    bind = "mounts.bind('/tmp', '/usr/share')"
    inside = f"from layer import mounts\nwith mounts.in_namespace_of(1): {bind}"
    assert running.python(inside).returncode == 0
    failed = running.layer("apply-live", status=1).stderr
    assert failed.startswith("error: there are mounts in /usr: /usr/share; they would be covered")


def test_nothing_pending_is_said(running: Living) -> None:
    assert running.layer("apply-live").stdout == "Nothing is pending that is not live.\n"
    assert running.layer("livefs", "-n").stdout == "Nothing is pending that is not live.\n"


def whole(running: Living) -> tuple[object, ...]:
    """All that a live change changes, and what it keeps for itself."""
    checkouts = sorted((running.machine.path / "ostree").glob("layer-live/*"))
    records = sorted(running.var.glob("lib/layer/live*"))
    return tree(running.etc), tree(running.var), running.mounts(), checkouts, records


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_kernel_that_lacks_or_forbids_a_call_leaves_all_as_it_was(
    running: Living, error: str
) -> None:
    """At once, or in the middle of a change."""
    running.install("daemon")
    before = whole(running)
    for call, when in product(("open_tree", "mount_setattr", "move_mount"), ("1+", "2+")):
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        inject = ["-e", f"inject={call}:error={error}:when={when}"]
        done = running.layer("apply-live", under=[*strace, *inject], status=1)
        told = {
            "ENOSYS": f"this kernel ({os.uname().release}) lacks the call {call}; nothing is",
            "EPERM": f"we may not use the kernel's call {call}; nothing is",
        }[error]
        errors = done.stderr.partition("error: ")[2].splitlines()
        assert [line.partition(" mounted")[0] for line in errors[:1]] == [told]
        assert len(errors) == 2 and errors[1].startswith("hint: ")
        assert ("Checking out" in done.stderr) == (when != "1+")
        assert whole(running) == before, (call, when)


def test_root_without_the_right_to_mount_is_told_so(running: Living) -> None:
    running.share_mounts()
    running.install("daemon")
    apart = running.start("echo $$; read _", where="apart")
    number = apart.first.strip()  # type: ignore[attr-defined]
    before = whole(running)
    without = ["setpriv", "--bounding-set=-sys_admin"]
    for words in (["apply-live"], ["apply-live", "--reset"], ["apply-live", "--pin", number]):
        failed = running.layer(*words, under=without, status=1).stderr.splitlines()
        assert [line.partition(":")[0] for line in failed] == ["error", "hint"], failed
        assert failed[1].endswith("; in a container that is CAP_SYS_ADMIN, too")
    running.layer("apply-live", "-n", under=without)
    assert whole(running) == before


def test_a_sysroot_that_does_not_run_is_refused(machine: Machine) -> None:
    for words in (["apply-live"], ["install", "-y", "--apply-live", "web"]):
        failed = machine.layer(*words, status=1).stderr
        assert "is not what this machine runs, so that nothing can be live" in failed


def test_a_number_that_another_has_is_refused(running: Living) -> None:
    with (running.etc / "passwd").open("a") as file:
        file.write("alpha:x:4444:4444::/:/bin/sh\n")
    running.install("daemon")
    failed = running.layer("apply-live", status=1).stderr
    assert re.search(r"/user alpha \(it has number 4444 here, and \d+ there\)", failed)


def test_a_newer_base_with_another_core_is_refused_with_the_list(
    live_world: World, running: Living
) -> None:
    live_world.publish(core("2"))
    live_world.compose()
    running.layer("upgrade", "-y", repositories=True)
    etc, before = tree(running.etc), running.mounts()
    failed = running.layer("apply-live", "--allow-replacement", status=1).stderr
    for path, what in CORE.items():
        assert f"{path} (it is {what})" in failed, path
    plan = json.loads(running.layer("apply-live", "-n", "--json").stdout)
    classes = {change["path"]: change["class"] for change in plan["changes"]}
    assert {classes[path] for path in (*CORE, "/usr/share/core/data")} == {"refused"}
    assert plan["possible"] is False
    assert (tree(running.etc), running.mounts()) == (etc, before)


def test_who_is_not_root_sees_the_plan_and_changes_nothing(running: Living) -> None:
    running.install("web")
    user = "import os\nos.setgid(1000)\nos.setuid(1000)"
    before = running.mounts()
    for words in (["apply-live"], ["apply-live", "--reset"], ["apply-live", "--pin", "1"]):
        failed = running.layer(*words, driver=user, status=1)
        assert failed.stdout == ""
        assert failed.stderr.startswith("error: ") and "root" in failed.stderr, failed.stderr
    said = running.layer("apply-live", "-n", driver=user).stdout
    assert "/usr/bin/web (nothing of the name is there)" in said
    assert "Note: what other users run is seen by root alone" in said
    assert running.mounts() == before


def test_another_tools_mount_over_usr_is_left_alone(running: Living) -> None:
    running.install("web")
    script = "from layer import mounts\nwith mounts.in_namespace_of(1): {}"
    bind, detach = (
        script.format(call) for call in ("mounts.bind('/etc', '/usr')", "mounts.detach('/usr')")
    )
    assert running.python(bind).returncode == 0
    covered = "error: /usr is covered by another tool's mount\n"
    assert running.layer("apply-live", status=1).stderr.startswith(covered)
    assert running.python(detach).returncode == 0
    running.layer("apply-live")
    assert running.python(bind).returncode == 0
    mounts = Path(f"/proc/{running.pid}/mountinfo").read_text()
    for words in (["apply-live"], ["apply-live", "--reset"]):
        assert running.layer(*words, status=1).stderr.startswith(covered)
    now = Path(f"/proc/{running.pid}/mountinfo").read_text()
    assert now == mounts
    assert running.python(detach).returncode == 0
    assert running.sh("cat /usr/bin/web") == "web 1\n"
    refused = running.layer("usroverlay", status=1).stderr
    assert refused.startswith("error: another /usr than what was booted is live, and would be")
    running.layer("apply-live", "--reset")


def test_checkouts_go_with_the_next_boot(running: Living) -> None:
    running.install("web")
    running.layer("apply-live")
    running.layer("apply-live", "--reset")
    checkouts = running.machine.path / "ostree/layer-live"
    running.layer("boot-complete")
    assert len(list(checkouts.iterdir())) == 1  # somebody may run from it
    running.boot()
    running.layer("boot-complete")
    assert not checkouts.exists()
