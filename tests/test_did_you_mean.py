"""What a word was meant to be: of verbs, options, packages, requests, repositories and triggers."""

from __future__ import annotations

import pytest

from layer import overriding
from layer.words import did_you_mean
from tests.snapshot import unchanged
from tests.world import Machine, layer


def refused(machine: Machine, *words: str, status: int = 1) -> str:
    """What the program says of words that it refuses, and that change nothing."""
    has_use = words[0] not in ("why", "trigger", "remote", "db", "statsu")
    options = ["--repo-dir", str(machine.world.repo_dir)] if has_use else []
    with unchanged(machine.path):
        done = layer(*words, *options, status=status, env={"OSTREE_SYSROOT": str(machine.path)})
    return done.stderr[max(done.stderr.find("error: "), 0) :]


def test_names_that_resemble_a_word_are_offered() -> None:
    names = ("strace", "ltrace", "jq", "tiny-libc")
    assert did_you_mean(["strce"], names) == "did you mean strace or ltrace?"
    assert did_you_mean(["trace"], names) == "did you mean strace or ltrace?"
    assert did_you_mean(["tiny_libc", "strcae"], names) == "did you mean tiny-libc or strace?"
    assert did_you_mean(["x"], names, otherwise="look", rest="there is: jq") == "look there is: jq"
    assert did_you_mean(["x"], names) == ""


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("install -y peer", "no enabled repository has peer", "did you mean pear?"),
        ("info aple", "no package is named aple", "did you mean apple?"),
        ("info tiny-lib", "no package is named tiny-lib", "did you mean tiny-libc?"),
        ("info zzz", "no package is named zzz", "`layer search WORD` looks into summaries too"),
        ("provides deamon", "nothing provides deamon", "did you mean daemon?"),
        (
            "search aplpe",
            "no package has aplpe in its name or summary",
            "did you mean apple?",
        ),
        (
            "why libsed",
            "libsed is neither layered nor in the base of what boots next",
            "did you mean libseed?",
        ),
        (
            "why pear",
            "pear is neither layered nor in the base of what boots next",
            "`layer info pear` tells whether it could be",
        ),
        ("uninstall -y aple", "never asked for: aple", "did you mean apple? asked for is: apple"),
        ("uninstall -y web", "never asked for: web", "asked for is: apple"),
        (
            "override remove -y tiny-lbc",
            "nothing to take away:\n  tiny-lbc: the base has no such package",
            "did you mean tiny-libc?",
        ),
        (
            "override replace -y tiny-tols",
            "nothing to replace:\n  tiny-tols: the base has no such package",
            "did you mean tiny-tools?",
        ),
        (
            "override remove -y apple",
            "nothing to take away:\n  apple: layered, not of the base; layer uninstall apple",
            "`layer db list` shows the packages of the base",
        ),
        ("override reset -y tiny-libc", "not overridden: tiny-libc", "overridden is: nothing"),
        (
            "db list 0 libsede",
            "there is no package libsede",
            "did you mean libseed? packages were looked for in deployment 0",
        ),
        ("repo info tyny", "no repository is called tyny", "did you mean tiny? there is: tiny"),
        (
            "install -y --repo tiyn pear",
            "no repository is called tiyn",
            "did you mean tiny? there is: tiny",
        ),
        ("trigger show ldconfg", "there is no trigger ldconfg", "did you mean ldconfig or dconf?"),
        ("remote delete tinny", "there is no remote tinny", "did you mean tiny?"),
        ("rebase -y tny:x", "there is no remote tny (there is: tiny)", "did you mean tiny?"),
    ],
)
def test_an_unknown_name_is_answered_with_those_like_it(
    machine_kept: Machine, words: str, error: str, hint: str
) -> None:
    found = refused(machine_kept, *words.split())
    assert found.startswith(f"error: {error}\nhint: "), found
    assert hint in found.splitlines()[-1]


def test_what_is_overridden_is_offered(machine: Machine) -> None:
    machine.apply(lambda host: overriding.override_remove(host, ["tiny-libc"]))
    assert refused(machine, "override", "reset", "-y", "tinylibc") == (
        "error: not overridden: tinylibc\nhint: did you mean tiny-libc? overridden is: tiny-libc\n"
    )


def test_commands_and_options_are_offered_by_name(machine_kept: Machine) -> None:
    for words, meant in (
        ("statsu", "Did you mean status?"),
        ("override replce x", "Did you mean 'replace'?"),
        ("install --dry-rn x", "Did you mean '--dry-run'?"),
    ):
        assert meant in refused(machine_kept, *words.split(), status=2)
