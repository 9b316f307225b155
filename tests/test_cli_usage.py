"""What the command line says of itself, and of a place where it cannot work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import repositories
from tests.snapshot import state, unchanged
from tests.world import STATEROOT, Machine, World, layer, remove

VERBS = [
    "audit",
    "cleanup",
    "compose",
    "init",
    "install",
    "rebase",
    "refresh-md",
    "remote",
    "reset",
    "rollback",
    "run",
    "status",
    "trigger",
    "uninstall",
    "upgrade",
]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


def test_the_program_alone_shows_its_help() -> None:
    done = layer(status=2)
    lines = (done.stdout + done.stderr).splitlines()
    end = lines.index("Also:")
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 : end - 1]]
    also = " ".join(lines[end + 1 :]).replace(",", " ").split()
    assert set(VERBS) <= {*listed, *also}
    assert (listed, also) == (sorted(listed), sorted(also))
    assert "install" in listed and "compose" in also


def test_help_fits_a_screen() -> None:
    for words in ([], *([verb] for verb in VERBS)):
        shown = layer(*words, "--help", env={"COLUMNS": "80"}).stdout.splitlines()
        assert len(shown) <= 40, words
        assert max(len(line) for line in shown) <= 80, words
        assert [line for line in shown[1:] if line.endswith("...")] == []  # nothing is cut


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["instal", "x"], "No such command 'instal'. Did you mean install or uninstall?"),
        (["update"], "No such command 'update'. Did you mean upgrade?"),
        (["install", "--frobnicate", "x"], "No such option '--frobnicate'."),
        (["install"], "name packages, or say --docs or --no-docs"),
        (["uninstall"], "name packages, or say --all"),
        (["uninstall", "--all", "apple"], "name packages, or say --all"),
        (["rebase"], "Missing argument 'REMOTE:REF'."),
        (["remote", "add", "x"], "Missing argument 'URL'."),
        (["remote", "rename"], "No such command 'rename'."),
        (["cleanup"], "say what: -b, -m, -p or -r"),
        (["run"], "Missing argument '-- CMD...'."),
        (["init"], "Missing option '--stateroot' / '--os'."),
        (["status", "apple"], "Got unexpected extra argument (apple)"),
    ],
)
def test_wrong_usage_is_status_2(machine_kept: Machine, words: list[str], fact: str) -> None:
    env = {"OSTREE_SYSROOT": str(machine_kept.path)}
    with unchanged(machine_kept.path):
        done = layer(*words, status=2, env=env)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Usage: layer ")
    assert lines[-1].startswith(f"Error: {fact}")


def test_a_place_that_is_no_sysroot_is_one_error(tmp_path: Path) -> None:
    for words in (["status"], ["install", "-y", "apple"], ["upgrade", "-y"], ["run", "--", "true"]):
        done = layer(*words[:1], "--sysroot", str(tmp_path), *words[1:], status=1)
        assert done.stdout == ""
        assert done.stderr == (
            f"error: {tmp_path} is not an OSTree sysroot\n"
            f"hint: make one with `layer init --sysroot {tmp_path} --stateroot NAME`\n"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_sysroot_without_a_stateroot_is_one_error(tmp_path: Path) -> None:
    for path in ("ostree/repo", "ostree/deploy", "boot"):
        (tmp_path / path).mkdir(parents=True)
    subprocess.run(["ostree", f"--repo={tmp_path}/ostree/repo", "init", "--mode=bare"], check=True)
    done = layer("install", "--sysroot", str(tmp_path), "-y", "apple", status=1)
    assert done.stderr == (
        f"error: which stateroot of {tmp_path}? (there is: none)\n"
        "hint: name it with --stateroot, or make one: layer init --stateroot NAME\n"
    )


def test_a_place_that_may_not_be_read_is_one_error() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as closed:
        words = ["status", "--sysroot", f"{closed}/machine"]
        done = subprocess.run(
            [*NOBODY, sys.executable, "-m", "layer", *words],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    path = f"{closed}/machine"
    assert done.stderr == (
        f"error: {path} may not be read: {path}/ostree/repo\n"
        "hint: try it with sudo, or name another place with --sysroot\n"
    )


@pytest.fixture
def bare_sysroot(tmp_path: Path) -> Iterator[Path]:
    """A sysroot with a stateroot and no base."""
    path = tmp_path / "bare"
    done = layer("init", "--sysroot", str(path), "--stateroot", "one")
    assert done.stdout == (f"Stateroot one is ready in {path}; next: layer remote add NAME URL\n")
    yield path
    remove([path])


def test_without_a_base_there_is_one_error(bare_sysroot: Path) -> None:
    with unchanged(bare_sysroot):
        for verb in (["install", "apple"], ["uninstall", "apple"], ["reset"], ["upgrade"]):
            done = layer(*verb[:1], "--sysroot", str(bare_sysroot), "-y", *verb[1:], status=1)
            assert done.stderr == (
                "error: one has no base yet\nhint: deploy one: layer rebase REMOTE:REF\n"
            )
        assert layer("status", "--sysroot", str(bare_sysroot)).stdout == "No deployments.\n"
        done = layer("rollback", "--sysroot", str(bare_sysroot), "-y", status=1)
        assert done.stderr.startswith("error: there is no deployment of one to roll back to\n")


def test_a_stateroot_is_made_once(bare_sysroot: Path) -> None:
    done = layer("init", "--sysroot", str(bare_sysroot), "--stateroot", "one", status=1)
    assert done.stderr == (
        f"error: {bare_sysroot} has a stateroot one already\n"
        f"hint: go on with it: layer remote add --sysroot {bare_sysroot} NAME URL\n"
    )


def test_several_stateroots_must_be_told_apart(bare_sysroot: Path) -> None:
    layer("init", "--sysroot", str(bare_sysroot), "--stateroot", "two")
    with unchanged(bare_sysroot):
        done = layer("install", "--sysroot", str(bare_sysroot), "-y", "apple", status=1)
        assert done.stderr == (
            f"error: which stateroot of {bare_sysroot}? (there is: one, two)\n"
            "hint: name it with --stateroot, or make one: layer init --stateroot NAME\n"
        )
        for option in ("--stateroot", "--os"):
            words = ["install", "--sysroot", str(bare_sysroot), option, "two", "-y", "apple"]
            assert layer(*words, status=1).stderr.startswith("error: two has no base yet\n")
        done = layer("install", "--sysroot", str(bare_sysroot), "--os", "three", "x", status=1)
        assert done.stderr.startswith("error: there is no stateroot three (there is: one, two)\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-x"])
def test_a_stateroot_is_one_plain_name(tmp_path: Path, name: str) -> None:
    done = layer("init", "--sysroot", str(tmp_path), f"--stateroot={name}", status=1)
    assert done.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


# --- without root ---


def as_nobody(machine: Machine, *words: str, status: int) -> subprocess.CompletedProcess[str]:
    """Runs the program as a user who owns nothing, not even a home."""
    options = ["--sysroot", str(machine.path), *repositories(machine, words[0])]
    done = subprocess.run(
        [*NOBODY, sys.executable, "-m", "layer", words[0], *options, *words[1:]],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture
def open_machine(machine_kept: Machine) -> Machine:
    """A machine in directories that everybody may pass."""
    for path in (machine_kept.path, machine_kept.world.path):
        for folder in (path, *path.parents):
            if folder.stat().st_mode & 0o055 != 0o055:
                folder.chmod(folder.stat().st_mode | 0o055)
    return machine_kept


@pytest.mark.parametrize(
    "words",
    [
        ["install", "-y", "pear"],
        ["uninstall", "-y", "apple"],
        ["reset", "-y"],
        ["upgrade", "-y"],
        ["rollback", "-y"],
        ["cleanup", "-b"],
        ["rebase", "-y", "tiny:x"],
        ["remote", "add", "x", "http://127.0.0.1/", "--no-gpg-verify"],
        ["remote", "delete", "tiny"],
        ["run", "--", "true"],
    ],
    ids=" ".join,
)
def test_writing_verbs_need_root(open_machine: Machine, words: list[str]) -> None:
    number = 2 if words[0] == "remote" else 1
    options = ["--sysroot", str(open_machine.path)]
    with unchanged(open_machine.path):
        done = subprocess.run(
            [*NOBODY, sys.executable, "-m", "layer", *words[:number], *options, *words[number:]],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-2:] == [
        "error: this needs root",
        "hint: try it with sudo; --dry-run, where a verb has it, needs none",
    ]


def test_init_needs_root(tmp_path: Path) -> None:
    done = subprocess.run(
        [*NOBODY, sys.executable, "-m", "layer", "init", "--sysroot", "/dev/shm/x", "--os", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: this needs root")
    assert not Path("/dev/shm/x").exists()


def test_reading_verbs_need_no_root(open_machine: Machine) -> None:
    with unchanged(open_machine.path):
        for words in (
            ["status"],
            ["status", "--json"],
            ["install", "--dry-run", "pear"],
            ["uninstall", "--dry-run", "apple"],
            ["reset", "--dry-run"],
            ["rollback", "--dry-run"],
            ["upgrade", "--dry-run"],
        ):
            with_root = layer(
                words[0],
                *("--sysroot", str(open_machine.path)),
                *repositories(open_machine, words[0]),
                *words[1:],
            )
            assert as_nobody(open_machine, *words, status=0).stdout == with_root.stdout


def test_the_installed_program_is_the_module() -> None:
    assert layer("--version").stdout.startswith("layer ")
    program = Path(sys.executable).with_name("layer")
    if program.exists():
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == layer("--version").stdout


def test_the_snapshot_sees_a_change(machine: Machine, world: World) -> None:
    """The other tests rely on it."""
    before = state(machine.path)
    machine.install("apple")
    after = state(machine.path)
    origin = next(Path(machine.path, f"ostree/deploy/{STATEROOT}/deploy").glob("*.origin"))
    origin.write_text(origin.read_text() + "\n")
    assert before != after != state(machine.path)


def completions(machine: Machine, line: str) -> list[str]:
    """What bash offers after the last word of a command line."""
    words = line.split(" ")
    env = {
        "_LAYER_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "OSTREE_SYSROOT": str(machine.path),
    }
    done = layer(status=None, env=env)
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry]


def test_the_shell_completes_verbs_options_and_requests(machine_kept: Machine) -> None:
    assert completions(machine_kept, "layer re") == [
        "rebase",
        "refresh-md",
        "remote",
        "repo",
        "reset",
    ]
    assert completions(machine_kept, "layer install --al") == ["--allow-inactive"]
    assert completions(machine_kept, "layer uninstall a") == ["apple"]
    assert completions(machine_kept, f"layer uninstall --sysroot {machine_kept.path} a") == [
        "apple"
    ]
    assert completions(machine_kept, "layer uninstall --sysroot /nowhere a") == []
