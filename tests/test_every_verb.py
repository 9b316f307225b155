"""Every verb called with nothing, with nonsense, with what excludes each other, and unread.

Of each comes a clear answer, the right exit status, and never a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import click
import pytest

from layer.commands._verbs import cli
from tests.every_line import BUG, Done, run_lines
from tests.snapshot import unchanged
from tests.test_architecture import command_lines
from tests.world import Machine

LINES = [words.split() for words in command_lines()]
# Without a word more this one works for long, which other tests let it do.
SHORT = [words for words in LINES if words != ["trigger", "verify"]]
# What verbs answer that want nothing more: on a machine with `apple` layered over the newest base.
ALONE = {
    "audit": 0,
    "boot-complete": 0,
    "config-diff": 0,
    "db diff": 0,
    "fsck": 0,
    "db list": 0,
    "db version": 0,
    "history": 0,
    "initramfs": 0,
    "initramfs-etc": 0,
    "kargs": 0,
    "lock export": 0,
    "remote list": 0,
    "repo info": 0,
    "repo list": 0,
    "status": 0,
    "trigger list": 0,
}
# Those that begin, and find that nobody says yes, that nothing is there, or that they cannot.
REFUSED = {
    "apply-live": "so that nothing can be live",
    "finalize-deployment": "which commit is to boot?",
    "group list": "no enabled repository lists groups",
    "reset": "nobody is here to say yes",
    "rollback": "nobody is here to say yes",
    "usroverlay": "no deployment of",
}
# Those that need a repository or a server; each may succeed or say what it lacks.
OPEN = {"cancel", "doctor", "refresh-md", "upgrade"}
LOCALES = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "C as Python takes it": {"LC_ALL": "C"},
    "Latin-1": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "iso-8859-1"},
}


def run_on(machine: Machine, lines: Sequence[Sequence[str]], **env: str) -> list[Done]:
    """Runs the lines on the machine, which must stay as it is."""
    with unchanged(machine.path):
        return run_lines(lines, env={"OSTREE_SYSROOT": str(machine.path), **env})


def check(done: Done) -> None:
    """A clear answer: of usage, of an error with its hint, or of what was asked for."""
    about = f"{done.words} {done.status}: {done.stdout[-300:]} {done.stderr[-2000:]}"
    assert done.status in (0, 1, 2), about
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, about
    if done.status == 2:
        lines = done.stderr.splitlines()
        assert lines[0].startswith("Usage: layer"), about
        is_told = any(line.startswith("Error: ") for line in lines)
        assert is_told or "Commands:" in lines, about
    elif done.status == 1:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, about
        assert any(line.startswith("hint: ") for line in lines), about


@pytest.mark.parametrize("locale", LOCALES)
def test_a_verb_that_is_given_nothing_says_what_it_wants(
    machine_kept: Machine, locale: str
) -> None:
    for done in run_on(machine_kept, SHORT, **LOCALES[locale]):
        check(done)
        words = " ".join(done.words)
        if words in REFUSED:
            assert (done.status, REFUSED[words] in done.stderr) == (1, True), done
        elif words not in OPEN:
            assert done.status == ALONE.get(words, 2), done


NOT_UTF8 = "\udcff\udcfe"
NONSENSE = ["no/such", "-1", NOT_UTF8, "x" * 3000, "a\nb\x1b[31m", ""]


@pytest.mark.parametrize("locale", ["UTF-8", "C"])
def test_nonsense_is_refused(machine_kept: Machine, locale: str) -> None:
    # What a command to be run says of nonsense is its own affair.
    verbs = [words for words in LINES if words and words != ["run"]]
    # Each verb is given one kind of it, and in a locale without such bytes what is no UTF-8.
    kinds = NONSENSE if locale == "UTF-8" else [NOT_UTF8]
    lines = [[*words, kinds[n % len(kinds)]] for n, words in enumerate(verbs)]
    for done in run_on(machine_kept, lines, **LOCALES[locale]):
        check(done)
        assert "\x1b" not in done.stdout + done.stderr, done


def test_an_option_that_does_not_exist_is_named(machine_kept: Machine) -> None:
    lines = [[*words, "--frobnicate"] for words in LINES if words != ["run"]]
    for done in run_on(machine_kept, lines):
        check(done)
        assert done.status == 2 and "No such option" in done.stderr, done


EXCLUSIVE = [
    ("audit --lint --json", "--lint and --json exclude each other"),
    ("apply-live --reset --allow-replacement", "--reset goes alone"),
    ("apply-live --json", "--json shows a plan: it goes with --dry-run"),
    ("apply-live --pin 1 --reset", "--pin and --pin-always go without other options"),
    ("initramfs --enable --disable", "--enable and --disable do not go together"),
    ("initramfs --arg x", "--arg goes with --enable"),
    ("install --json apple", "--json shows a plan: it goes with --dry-run"),
    ("install -n -A apple", "--apply-live goes with a change that is made, and no reboot"),
    ("override replace --from x --from-repo y z", "say --from repo=ID, or --from-repo ID"),
    ("override reset --all x", "name packages, or say --all"),
    ("plan -o /tmp/x install -n pear", "a plan is built and not deployed"),
    (
        "remote add x http://x --gpg-import /etc/passwd --no-gpg-verify",
        "--gpg-import and --no-gpg-verify exclude each other",
    ),
    ("rollback --json", "--json shows a plan: it goes with --dry-run"),
    ("status -q -v x", "Got unexpected extra argument"),
    ("trigger run ldconfig", "say --dry-run to see which"),
    ("uninstall --all apple", "name packages, or say --all"),
    ("why --dot --json apple", "--dot and --json exclude each other"),
]


def test_options_that_exclude_each_other_are_refused(machine_kept: Machine) -> None:
    facts = {tuple(line.split()): fact for line, fact in EXCLUSIVE}
    for done in run_on(machine_kept, [list(line) for line in facts]):
        check(done)
        assert done.status == 2 and facts[done.words] in done.stderr, done


@pytest.mark.parametrize("columns", ["40", "20"])
def test_help_can_be_read_in_a_narrow_terminal(machine_kept: Machine, columns: str) -> None:
    for done in run_on(machine_kept, [[*words, "--help"] for words in LINES], COLUMNS=columns):
        assert (done.status, done.stderr) == (0, ""), done
        assert done.stdout.startswith("Usage: layer"), done
        widest = max(int(columns), 2 + len("--stateroot, --os NAME") + len(" DIRECTORY"))
        assert [line for line in done.stdout.splitlines() if len(line) > widest] == []


def test_what_is_said_fits_a_terminal_of_40_columns(machine_kept: Machine) -> None:
    """But for errors, which have commands to be copied, and words that are longer themselves."""
    root = {"OSTREE_SYSROOT": str(machine_kept.path), "LC_ALL": "C.UTF-8", "LAYER_PAGER": "cat"}
    repos = ["--repo-dir", str(machine_kept.world.repo_dir)]
    more = [[*words.split(), *repos] for words in ("info pear", "search pear", "install -n pear")]
    more += [["why", "libseed"], ["uninstall", "-n", "apple"]]
    more += [
        ["nonsense"],
        ["why", "nonsense"],
        ["rollback", "-n"],
        ["db", "owner", "/usr/bin/apple"],
    ]
    with unchanged(machine_kept.path):
        found = run_lines([*SHORT, *more], env={**root, "TERM": "xterm"}, columns=40)
    wide = {}
    for done in found:
        assert done.status in (0, 1, 2) and "Traceback" not in done.stdout, done
        text = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", done.stdout)
        text = re.split(r"^(?:[Ee]rror: |Try ')", text, maxsplit=1, flags=re.MULTILINE)[0]
        if long := [line for line in text.splitlines() if len(line) > 40 and _could_fold(line)]:
            wide[" ".join(done.words)] = long
    assert wide == {}


def _could_fold(line: str) -> bool:
    """Whether some words but the first, which is indented, would have had room below."""
    return all(len(word) <= 36 for word in line.split())


def test_nobody_who_reads_is_no_fault(machine_kept: Machine) -> None:
    """As in `layer status | true`: the status is that of a program that SIGPIPE ended."""
    lines = [[*words, "--help"] for words in LINES] + [words for words in SHORT if words]
    root = {"OSTREE_SYSROOT": str(machine_kept.path), "LC_ALL": "C.UTF-8"}
    with unchanged(machine_kept.path):
        found = run_lines(lines, env=root, is_closed=True)
    for done in found:
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done
        assert done.status in (0, 1, 2, 141), done
        if done.words[-1:] == ("--help",) or done.words == ("status",):
            assert (done.status, done.stderr) == (141, ""), done


def test_every_verb_that_reports_does_so_in_json(machine_kept: Machine) -> None:
    """Of the verbs that change nothing, all but those whose answer is a document of its own."""
    documents = {"lock export", "run", "boot-complete", "finalize-deployment", "plan"}
    acting = {
        "init",
        "cancel",
        "pin",
        "unpin",
        "cleanup",
        "usroverlay",
        "remote add",
        "remote delete",
    }
    without = [
        words
        for words in map(" ".join, LINES)
        if (command := _command(words)) is not None
        and not isinstance(command, click.Group)
        and words not in documents | acting
        and "--json" not in {option for each in command.params for option in each.opts}
    ]
    assert without == []


def test_what_is_said_in_json_is_json(machine_kept: Machine) -> None:
    lines = [
        *([*words, "--json"] for words in LINES if ALONE.get(" ".join(words)) == 0),
        *(["why", "--json", "apple"], ["db", "owner", "--json", "/usr/bin/apple"]),
        *(["rollback", "-n", "--json"], ["uninstall", "-n", "--json", "apple"]),
        *(["reset", "-n", "--json"], ["trigger", "show", "--json", "ldconfig"]),
        *(["trigger", "run", "-n", "--json"], ["apply", "--json", "-n", "/no/such"]),
    ]
    documents = (["lock", "export"], ["boot-complete", "--json"])
    lines = [line for line in lines if line[:2] not in documents]
    for done in run_on(machine_kept, lines, **LOCALES["C"]):
        if done.status == 0:
            json.loads(done.stdout)
        assert done.status == (1 if done.words[0] == "apply" else 0), done


def _command(words: str) -> click.Command | None:
    context = click.Context(cli)
    command: click.Command | None = cli
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    return command


def test_a_bug_is_seen() -> None:
    """The other tests rely on it."""
    (done,) = run_lines([["--help"]], env={"LAYER_TEST_BUG": "1"})
    assert (done.status, "Traceback" in done.stderr) == (BUG, True)
