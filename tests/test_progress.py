"""What a run tells of its progress: to a program, to a person, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layer.commands._voice import JsonLines
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import extra_repository
from tests.world import Machine, served, write_repo_file

HOST_LIMIT = 60  # seconds


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options of a repository on a web server, with a package of some size."""
    folder = tmp_path_factory.mktemp("shop")
    content = FileSpec("/usr/share/big", os.urandom(1 << 20))
    extra_repository(folder, tiny_rpm("big", content, arch="x86_64"))
    with served(folder / "packages") as url:
        write_repo_file(folder / "repos", folder.name, url)
        yield ["--repo-dir", str(folder / "repos")]


def told(text: str) -> list[dict[str, Any]]:
    """Each line of stderr as JSON."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert lines[0] == {**lines[0], "event": "begin", "schema": 1}
    assert lines[-1]["event"] == "end"
    assert all(line["event"] not in ("begin", "end") for line in lines[1:-1])
    return lines


def run(*words: str, status: int) -> subprocess.CompletedProcess[str]:
    """Runs the program without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "layer", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def run_on_terminal(*words: str) -> tuple[str, str, int]:
    """Runs the program with its stderr on a terminal; gives stdout, that, and the status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "layer", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 1 << 16):
                shown += block
        except OSError:  # Linux says so at the end of a terminal
            pass
        os.close(ours)
        assert process.stdout is not None
        answer = process.stdout.read()
        process.wait(HOST_LIMIT)
    return answer.decode(), shown.decode(), process.returncode


def test_each_line_is_json_and_the_last_tells_the_result(machine: Machine, shop: list[str]) -> None:
    words = ["--sysroot", str(machine.path), *shop, "-y", "big"]
    done = run("--json-progress", "install", *words, status=0)
    lines = told(done.stderr)
    assert lines[0]["command"] == ["--json-progress", "install", *words]
    steps = [line["text"] for line in lines if line["event"] == "step"]
    assert steps[:2] == ["Reading repositories", "Solving"] and steps[-1] == "Deploying"
    sizes = [line for line in lines if line["event"] == "download" and "big-1" in line["name"]]
    package = next(Path(shop[1]).parent.glob("packages/*.rpm")).stat().st_size
    assert (sizes[-1]["done"], sizes[-1]["total"]) == (package, package)
    assert lines[-1] == {
        "event": "end",
        "status": 0,
        "error": None,
        "deployed": machine.pending().checksum,
    }
    assert "Installing 1 package:" in done.stdout
    assert "{" not in done.stdout


def test_an_error_is_told_in_the_last_line(machine_kept: Machine) -> None:
    root = ["--sysroot", str(machine_kept.path)]
    done = run("--json-progress", "uninstall", *root, "-y", "nonesuch", status=1)
    error = told(done.stderr)[-1]["error"]
    assert error == {
        "message": "never asked for: nonesuch",
        "hint": "asked for is: apple",
        "facts": [],
        "suggestions": [],
    }
    done = run("--json-progress", "uninstall", "--frobnicate", status=2)
    last = told(done.stderr)[-1]
    assert (last["status"], last["deployed"]) == (2, None)
    assert last["error"] == {
        "message": "No such option '--frobnicate'.",
        "hint": "the verb's page has all: man layer-VERB",
        "facts": [],
        "suggestions": [],
    }


def test_it_may_stand_behind_the_verb(machine_kept: Machine) -> None:
    root = ["--sysroot", str(machine_kept.path)]
    done = run("uninstall", *root, "--json-progress", "-y", "nonesuch", status=1)
    assert told(done.stderr)[-1]["error"]["message"] == "never asked for: nonesuch"
    # Of what a program is told nothing is ours.
    done = run("run", *root, "--", "no-such-program", "--json-progress", status=1)
    assert done.stderr.startswith("error: ")


def test_the_last_of_a_download_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines(())
    for done in (1, 2, 10, 10):
        lines.progress("x", done, 10)
    lines.end(0)
    found = [line["done"] for line in told(capsys.readouterr().err) if line["event"] == "download"]
    assert found == [1, 10]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json-progress", "instal"], "No such command 'instal'. Did you mean install"),
        (["--frobnicate", "--json-progress", "status"], "No such option '--frobnicate'."),
        (["--json-progress"], "Missing command."),
        (["status", "--json-progress", "apple"], "Got unexpected extra argument (apple)"),
        (["uninstall", "--frobnicate", "--json-progress"], "No such option '--frobnicate'."),
    ],
)
def test_wrong_usage_is_told_in_json(words: list[str], message: str) -> None:
    lines = told(run(*words, status=2).stderr)
    assert [line["event"] for line in lines] == ["begin", "end"]
    assert lines[-1]["status"] == 2
    assert lines[-1]["error"]["message"].startswith(message)


def test_an_answer_stays_on_stdout(machine_kept: Machine) -> None:
    done = run("--json-progress", "status", "--sysroot", str(machine_kept.path), "--json", status=0)
    assert json.loads(done.stdout)["deployments"]
    assert [line["event"] for line in told(done.stderr)] == ["begin", "end"]


def test_json_is_the_same_on_a_terminal(machine_kept: Machine, shop: list[str]) -> None:
    words = ["--sysroot", str(machine_kept.path), *shop, "--dry-run", "big"]
    _, shown, status = run_on_terminal("--json-progress", "install", *words)
    assert status == 0
    assert "download" in {line["event"] for line in told(shown)}
    assert "\x1b" not in shown


def test_downloads_are_drawn_on_a_terminal_alone(
    machine: Machine, shop: list[str], tmp_path: Path
) -> None:
    words = ["install", "--sysroot", str(machine.path), *shop, "-y", "big"]
    first = [*words, "--cachedir", str(tmp_path / "one"), "--dry-run"]
    quiet = run(*first, status=0)
    assert quiet.stderr == "Reading repositories...\nSolving...\n"
    answer, shown, status = run_on_terminal(*words, "--cachedir", str(tmp_path / "two"))
    assert status == 0
    assert "\x1b" not in answer and "Installing 1 package:" in answer
    assert "big-1-1.x86_64" in shown and "MB, 1 file " in shown
    # Each display gives the cursor back.
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0


def test_no_display_is_loaded_where_there_is_nothing_to_draw() -> None:
    for words in (["--help"], ["install", "--help"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "layer", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "click" in loaded
        assert loaded & {"rich", "networkx", "solv", "rpm", "gi", "librepo", "layer.host"} == set()
