"""What a person sees: tables that fit, colours, one display, pages, and how much is said."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.commands._speech import fitted
from layer.tables import folded, table
from layer.words import lasted, size
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import REBOOT, do, extra_repository
from tests.terminal import on_terminal
from tests.world import Machine, layer, served, write_repo_file

ROWS = (
    ("NAME", "VERSION", "WHY"),
    ("strace", "6.1-0.1", "asked for"),
    ("libunwind8", "1.6.2-3", "needed by strace, gdb, ltrace, perf"),
)


# --- tables and lines ---


def test_a_table_has_columns_of_equal_width() -> None:
    assert table(ROWS) == [
        "  NAME        VERSION  WHY",
        "  strace      6.1-0.1  asked for",
        "  libunwind8  1.6.2-3  needed by strace, gdb, ltrace, perf",
    ]
    assert table(ROWS, width=80) == table(ROWS)


def test_the_last_cell_goes_on_below_itself() -> None:
    assert table(ROWS, width=45) == [
        "  NAME        VERSION  WHY",
        "  strace      6.1-0.1  asked for",
        "  libunwind8  1.6.2-3  needed by strace, gdb,",
        "                       ltrace, perf",
    ]


def test_a_narrow_table_has_its_cells_below_each_other() -> None:
    assert table(ROWS, width=30) == [
        "  NAME  VERSION  WHY",
        "  strace  6.1-0.1  asked for",
        "  libunwind8  1.6.2-3",
        "    needed by strace, gdb,",
        "    ltrace, perf",
    ]


def test_one_long_cell_does_not_cost_the_others_their_columns() -> None:
    rows = [
        ("NAME", "VERSION", "WHY"),
        ("jq", "1.6-2", "asked for"),
        ("libevent", "2.1.12^stable-8+deb12u1", "needed by tmux"),
        ("libjq1", "1.6-2", "needed by jq"),
        ("libonig5", "6.9", "needed by libjq1"),
    ]
    assert table(rows, width=38) == [
        "  NAME      VERSION  WHY",
        "  jq        1.6-2    asked for",
        "  libevent  2.1.12^stable-8+deb12u1",
        "    needed by tmux",
        "  libjq1    1.6-2    needed by jq",
        "  libonig5  6.9      needed by libjq1",
    ]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80])
def test_no_line_is_longer_than_the_terminal_but_for_a_long_word(width: int) -> None:
    lines = [*table(ROWS, width=width), *folded("Key: " + "word " * 30, width).split("\n")]
    assert max(map(len, lines)) <= width
    assert folded("word " + "x" * 90, width) == f"word\n  {'x' * 90}"


def test_a_line_goes_on_below_its_own_start() -> None:
    assert folded("  Packages: one two three four five six seven", 36) == (
        "  Packages: one two three four five\n            six seven"
    )
    assert folded("Triggers that will fire: a, b, c, d", 24) == (
        "Triggers that will fire:\n  a, b, c, d"
    )
    assert folded("as it is\n\n  here", None) == "as it is\n\n  here"


def test_a_long_word_stands_further_to_the_left_where_it_has_room() -> None:
    assert folded("      Commit: 0123456789", 20) == "  Commit: 0123456789"
    assert folded("      Commit: 0123456789", 15) == "      Commit:\n        0123456789"
    assert folded("  Commit: 0123456789 ab", 20) == "  Commit: 0123456789\n    ab"


def test_sizes_and_times_are_in_peoples_units() -> None:
    assert [size(n) for n in (0, 999, 1_000, 1_500_000)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "1.5 MB")
    ]
    assert [lasted(n) for n in (0.04, 9.94, 59.4, 125)] == ["0.0 s", "9.9 s", "59 s", "2 min 5 s"]


def test_an_output_has_what_it_can_show() -> None:
    assert fitted("● a… ü", "utf-8") == "● a… ü"
    assert fitted("● a… ü", "ascii") == "* a... \\xfc"
    assert fitted("● a… ü", "iso-8859-1") == "* a... ü"
    assert fitted("n\udcffn", "utf-8") == "n\\xffn"
    assert fitted("x", None) == "x"


# --- on a terminal ---


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options of a repository on a web server, with packages that say more than fits."""
    folder = tmp_path_factory.mktemp("shop")
    parts = [f"part-of-something-large-{n}" for n in range(3)]
    specs = [
        tiny_rpm("whole", FileSpec("/usr/share/whole", os.urandom(1 << 20)), requires=parts),
        *(tiny_rpm(part, f"/usr/share/{part}", requires=("libcommon",)) for part in parts),
        tiny_rpm("libcommon", "/usr/share/libcommon"),
    ]
    extra_repository(folder, *specs)
    with served(folder / "packages") as url:
        write_repo_file(folder / "repos", folder.name, url)
        yield ["--repo-dir", str(folder / "repos")]


@pytest.mark.parametrize("columns", [80, 40])
def test_a_plan_fits_the_terminal(machine_kept: Machine, shop: list[str], columns: int) -> None:
    words = ["install", "--sysroot", str(machine_kept.path), *shop, "--dry-run", "whole"]
    shown = on_terminal("--no-pager", *words, columns=columns)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.text).replace("\r\n", "\n")
    lines = plain.replace("\r", "\n").split("\n")
    plan = lines[next(i for i, line in enumerate(lines) if line.startswith("Base: ")) :]
    assert shown.status == 0
    assert max(len(line) for line in plan) <= columns
    said = " ".join(" ".join(plan).split())
    assert "Installing 5 packages:" in said
    parts = ", ".join(f"part-of-something-large-{n}" for n in range(3))
    assert f"needed by {parts}" in said


def test_one_display_shows_every_step(machine: Machine, shop: list[str]) -> None:
    words = ["install", "--sysroot", str(machine.path), *shop, "-y", "whole", "apple"]
    words += ["--repo-dir", str(machine.world.repo_dir)]
    shown = on_terminal(*words)
    assert shown.status == 0
    seen = shown.seen()
    end = next(i for i, line in enumerate(seen) if line.startswith("Downloading"))
    steps = [re.split(r"  | [━-]", line)[0] for line in seen[end:-1]]
    assert steps == [
        "Downloading",
        "Importing 7 packages",
        "Merging",
        "Running triggers",
        "Writing the rpm database",
        "Deploying",
    ]
    assert all(re.search(r"\d s$", line) for line in seen[end:-1]), seen
    assert seen[-1] == REBOOT
    assert re.search(r" \d+\.\d MB, \d files +\d+\.\d s$", seen[end]), seen
    assert max(map(len, seen)) <= 80 and all("…" not in line for line in seen), seen
    # What is done now was seen while it lasted, and is gone.
    assert "Running trigger ldconfig" in shown.text
    assert "Running trigger ldconfig" not in "\n".join(seen)
    assert shown.text.count("\x1b[?25l") == shown.text.count("\x1b[?25h") > 0


@pytest.mark.parametrize(
    ("env", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_colours_are_for_terminals_that_have_them(
    machine_kept: Machine, env: dict[str, str], has_colours: bool
) -> None:
    words = ["uninstall", "--sysroot", str(machine_kept.path), "--dry-run", "apple"]
    shown = on_terminal(*words, env=env)
    assert shown.status == 0
    assert ("\x1b[1;31mRemoving 2 packages\x1b[0m:" in shown.text) is has_colours
    assert ("\x1b[" in shown.text) is has_colours


def test_an_error_is_broken_between_words(machine_kept: Machine) -> None:
    words = ["uninstall", "--sysroot", str(machine_kept.path), "-y", "libseed"]
    assert on_terminal(*words, columns=40).seen() == [
        "error: never asked for: libseed",
        "       (libseed: layered because others",
        "       need it)",
        "hint: asked for is: apple",
    ]


def test_an_error_has_its_colour_on_stderr_alone(machine_kept: Machine) -> None:
    words = ["uninstall", "--sysroot", str(machine_kept.path), "-y", "nonesuch"]
    assert "\x1b[1;31merror:\x1b[0m never asked for" in on_terminal(*words).text
    assert "\x1b" not in layer(*words, status=1).stderr


# --- pages ---


def test_a_long_answer_comes_in_pages(machine_kept: Machine, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "[$LESS $1]"\ncat\necho "[end]"\n')
    pager.chmod(0o755)
    words = ["trigger", "list", "--sysroot", str(machine_kept.path)]
    for env in ({"LAYER_PAGER": f"{pager} x", "PAGER": "false"}, {"PAGER": f"{pager} x"}):
        seen = on_terminal(*words, env=env).seen()
        assert (seen[0], seen[-1]) == ("[FRX x]", "[end]")
    whole = on_terminal(*words, lines=200, env={"LAYER_PAGER": str(pager)}).seen()
    assert seen[1:-1] == whole  # and what is short comes at once
    assert layer(*words, env={"LAYER_PAGER": str(pager)}).stdout.startswith("[") is False


@pytest.mark.parametrize("pager", ["", "cat", "/no/such/pager", "'"])
def test_without_a_pager_all_is_printed(machine_kept: Machine, pager: str) -> None:
    words = ["trigger", "list", "--sysroot", str(machine_kept.path)]
    shown = on_terminal(*words, env={"LAYER_PAGER": pager})
    assert shown.status == 0
    assert shown.seen() == on_terminal("--no-pager", *words).seen()
    assert on_terminal(*words, "--no-pager").seen() == shown.seen()


def test_a_pager_may_end_before_it_has_read_all(machine_kept: Machine) -> None:
    words = ["trigger", "list", "--sysroot", str(machine_kept.path)]
    shown = on_terminal(*words, env={"LAYER_PAGER": "true"})
    assert (shown.status, shown.seen()) == (0, [])


# --- how much is said ---


def test_quiet_says_what_was_asked_for_alone(machine: Machine) -> None:
    done = do(machine, "install", "-q", "-y", "pear")
    assert (done.stdout, done.stderr) == ("", "")
    done = layer("-q", "uninstall", "--sysroot", str(machine.path), "-y", "pear")
    assert (done.stdout, done.stderr) == ("", "")
    done = do(machine, "upgrade", "--quiet", "-y")
    assert (done.stdout, done.stderr) == ("", "")
    assert do(machine, "status", "-q").stdout == do(machine, "status").stdout
    plan = do(machine, "install", "-q", "--dry-run", "pear")
    assert plan.stdout == do(machine, "install", "--dry-run", "pear").stdout != ""
    assert plan.stderr == ""


def test_quiet_shows_what_somebody_is_asked_about(machine: Machine) -> None:
    words = ["--sysroot", str(machine.path), "--repo-dir", str(machine.world.repo_dir), "pear"]
    shown = on_terminal("install", "-q", *words, answers={"[y/N]": "n\n"})
    assert shown.status == 1
    assert "Installing 2 packages:" in "\n".join(shown.seen())
    assert shown.seen()[-2:] == [
        "error: the answer is no; nothing has changed",
        "hint: -y says yes beforehand, --dry-run shows the plan alone",
    ]


def test_quiet_tells_errors(machine_kept: Machine) -> None:
    done = do(machine_kept, "uninstall", "-q", "-y", "nonesuch", status=1)
    assert done.stderr == "error: never asked for: nonesuch\nhint: asked for is: apple\n"


def test_verbose_tells_files_and_times(machine: Machine, shop: list[str]) -> None:
    done = do(machine, "install", "-v", *shop, "-y", "whole")
    lines = done.stderr.splitlines()
    assert any(re.fullmatch(r"  whole-1-1\.noarch  1\.\d MB", line) for line in lines)
    step = lines.index("Merging...")
    assert re.fullmatch(r"  [\d.]+ s", lines[step + 1])


@pytest.mark.parametrize("words", [["-q", "pin", "-v", "0"], ["-qv", "status"], ["reset", "-qv"]])
def test_verbose_and_quiet_exclude_each_other(machine_kept: Machine, words: list[str]) -> None:
    done = layer(*words, status=2, env={"OSTREE_SYSROOT": str(machine_kept.path)})
    assert done.stderr.splitlines()[-1] == "Error: --quiet and --verbose exclude each other"


def test_a_command_that_is_handed_on_keeps_its_options(machine_kept: Machine) -> None:
    script = "echo $0 $1"
    done = do(machine_kept, "run", "--", "/bin/sh", "-c", script, "-q", "-v")
    assert done.stdout == "-q -v\n"
