"""`layer run`: a command sees what boots next, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import do, extra_repository, fails, host_programs
from tests.snapshot import mounts_in, unchanged
from tests.world import LIBRARY, Machine, World, remove

TOOLS = ("/usr/bin/dash", "/usr/bin/cat", "/usr/bin/touch", "/usr/bin/ls")


@pytest.fixture(scope="module")
def trying(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on the tiny base with a shell, `daemon` and `apple` layered."""
    path = tmp_path_factory.mktemp("trying") / "machine"
    machine = world.machine(path)
    base = {p.name for p in (machine.pending().path / "usr/lib/x86_64-linux-gnu").iterdir()}
    tools = [
        file
        for file in host_programs(*TOOLS)
        if "/bin/" in file.path
        or ("/x86_64-linux-gnu/" in file.path and Path(file.path).name not in base)
    ]
    odd = FileSpec("/usr/bin/odd name", b"#!/usr/bin/dash\necho odd: $1\n", mode=0o755)
    options = extra_repository(
        tmp_path_factory.mktemp("tools") / "tools", tiny_rpm("tools", *tools, odd, arch="x86_64")
    )
    do(machine, "install", *options, "-y", "tools", "daemon", "apple")
    yield machine
    remove([path])


def shell(machine: Machine, script: str, status: int = 0) -> str:
    """What a script prints in the tree that boots next."""
    return machine.layer("run", "--", "dash", "-c", script, status=status).stdout


def test_it_sees_the_new_usr_the_new_cache_and_the_new_etc(trying: Machine) -> None:
    assert shell(trying, "cat /usr/bin/apple /etc/daemon.conf") == "apple 1\nsetting=1\n"
    printed = trying.layer("run", "--", "ldconfig", "-p").stdout
    assert Path(LIBRARY).name in printed
    assert shell(trying, "cat /etc/passwd").count("\nalpha:x:") == 1


def test_it_sees_the_machines_own_etc_first(trying: Machine) -> None:
    conf = trying.pending().path / "etc/daemon.conf"
    own = trying.pending().path / "etc/own.conf"
    conf.write_text("setting=mine\n")
    own.write_text("own\n")
    assert shell(trying, "cat /etc/daemon.conf /etc/own.conf") == "setting=mine\nown\n"
    conf.write_text("setting=1\n")
    own.unlink()


def test_it_changes_nothing(trying: Machine) -> None:
    with unchanged(trying.path):
        shell(trying, "touch /usr/x", status=1)
        shell(trying, "touch /var/x", status=1)
        assert shell(trying, "echo mine > /etc/daemon.conf; cat /etc/daemon.conf") == "mine\n"
        shell(trying, "echo x > /etc/new; echo x > /tmp/new; echo x > /run/new")
    assert shell(trying, "cat /etc/daemon.conf") == "setting=1\n"
    assert shell(trying, "ls /tmp /run /var").split() == shell(trying, "ls /tmp /run /var").split()
    assert mounts_in(trying.path) == []


def test_it_sees_nothing_else_of_this_machine(trying: Machine) -> None:
    top = shell(trying, "ls /").split()
    assert sorted(top) == [
        "bin",
        "dev",
        "etc",
        "lib",
        "lib64",
        "proc",
        "run",
        "sbin",
        "tmp",
        "usr",
        "var",
    ]
    assert shell(trying, "ls /home /root /work", status=2) == ""


@pytest.mark.parametrize("status", [0, 1, 3, 77, 127, 255])
def test_its_exit_status_is_passed_on(trying: Machine, status: int) -> None:
    assert shell(trying, f"exit {status}", status=status) == ""


@pytest.mark.parametrize(("signal", "status"), [("TERM", 143), ("KILL", 137), ("SEGV", 139)])
def test_its_signal_is_passed_on_as_shells_do(trying: Machine, signal: str, status: int) -> None:
    shell(trying, f"ulimit -c 0; kill -{signal} $$", status=status)


def test_words_are_passed_on_as_they_are(trying: Machine) -> None:
    done = trying.layer("run", "--", "/usr/bin/odd name", "a  b'\"$HOME\\")
    assert done.stdout == "odd: a b'\"$HOME\\\n"
    words = ["dash", "-c", 'printf "%s|" "$@"', "dash", "", "--help", "-n", "a b", "ü", "*"]
    assert trying.layer("run", "--", *words).stdout == "|--help|-n|a b|ü|*|"


def test_options_of_the_command_need_no_dashes(trying: Machine) -> None:
    assert trying.layer("run", "dash", "-c", "echo hello").stdout == "hello\n"


@pytest.mark.parametrize("name", ["nosuch", "/usr/bin/nosuch", "/etc/daemon.conf", ""])
def test_a_command_that_is_not_there_is_one_error(trying: Machine, name: str) -> None:
    assert fails(trying, "run", "--", name) == [
        f"error: what boots next has no command {name!r}",
        "hint: it is looked for in the directories of $PATH",
    ]


def test_a_command_is_found_by_any_of_its_paths(trying: Machine) -> None:
    for path in ("/usr/bin/dash", "/bin/dash", "dash"):
        assert trying.layer("run", "--", path, "-c", "echo hello").stdout == "hello\n"


def test_the_environment_is_the_callers(trying: Machine) -> None:
    words = ["run", "--", "dash", "-c", 'echo "$MINE"']
    assert trying.layer(*words, env={"MINE": "x y"}).stdout == "x y\n"


def test_a_sysroot_at_an_odd_path_works(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a b:c,d'e\\"
    machine = world.machine(path)
    machine.install("apple")
    assert Path(LIBRARY).name in machine.layer("run", "--", "ldconfig", "-p").stdout
    remove([path])


def test_the_pending_deployment_is_tried_not_the_previous(machine: Machine) -> None:
    machine.install("apple")
    machine.reset()
    assert Path(LIBRARY).name not in machine.layer("run", "--", "ldconfig", "-p").stdout
    do(machine, "rollback", "-y")
    assert Path(LIBRARY).name in machine.layer("run", "--", "ldconfig", "-p").stdout
