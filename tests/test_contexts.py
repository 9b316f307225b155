"""Which paths a change of an SELinux policy touches, held against libselinux itself."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layer.contexts import (
    is_touched,
    parse_contexts,
    parse_type,
    touched,
    with_moved_paths,
)
from layer.store.selinux import Policy
from tests.policy import line, write_policy

BASE = ["/.* default_t", "/usr(/.*)? usr_t", "/usr/bin/.* -l link_t", r"/usr/lib/.*\.so lib_t"]
PATHS = (
    *("/", "/usr", "/usr/bin", "/usr/bin/a", "/usr/bin/ab", "/usr/lib/x.so", "/usr/lib/x/y"),
    *("/etc", "/etc/a", "/usr/etc", "/usr/etc/a", "/proc", "/mnt", "/opt/a", "/usr/lib/opt/a"),
    *("/usr/lib64/x.so", "/b", "/bin/a", "/b/opt/a", "/a|b", "/usr/bin/a.b", "/usr/bin/c+"),
)
regexes = st.sampled_from(
    [
        *("/usr/bin/a", "/usr/bin/ab?", "/usr/bin/a(/.*)?", "/usr/bin/[^/]*", r"/usr/bin/a\.b"),
        *("/etc(/.*)?", "/usr/etc/a", "/mnt", "/opt/.*", "/usr/lib/.*", "/u*sr/bin", "/b|/etc"),
        *(
            "/(usr|etc)/bin/(a|b)",
            "/[a|b]",
            r"/a\|b",
            r"/usr/bin/c\+",
            "(/usr)?/bin/a",
            "/usr/x{0,2}bin/a",
        ),
    ]
)
kinds = st.sampled_from(["", "-l", "--", "-d"])
types = st.sampled_from(["bin_t", "etc_t", "other_t"])
specifications = st.lists(st.builds("{} {} {}".format, regexes, kinds, types), max_size=4)
substitutions = st.lists(
    st.sampled_from(
        [
            "/usr/etc /etc",
            "/usr/lib64 /usr/lib",
            "/opt /usr/lib",
            "/bin /usr/bin",
            "/b /",
            "/etc /b",
        ]
    ),
    max_size=3,
    unique=True,
)


def text(lines: Sequence[str]) -> str:
    """A file_contexts: types become labels."""
    words = [row.split() for row in lines]
    return b"".join(line(w[0], w[-1], w[1] if len(w) > 2 else "") for w in words).decode()


def labels(folder: Path, contexts: str, moved: str) -> dict[tuple[str, int], str | None]:
    """What libselinux says of PATHS, as each type of file."""
    policy = Policy(write_policy(folder, contexts.encode(), moved.encode()))
    modes = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR)
    return {(path, mode): policy.label(path, mode) for path in PATHS for mode in modes}


@settings(deadline=None, max_examples=150)
@given(specifications, specifications, substitutions, substitutions)
@example(["/b|/etc bin_t"], [], [], [])
@example(["/usr/bin/ab? bin_t"], [], [], [])
@example(["/usr/x{0,2}bin/a bin_t"], [], [], [])
@example([], [], ["/b /"], [])
@example(["/opt/.* bin_t"], [], ["/b /"], ["/b /"])
@example(["/usr/bin/a bin_t", "/usr/bin/a etc_t"], ["/usr/bin/a etc_t", "/usr/bin/a bin_t"], [], [])
@example(["/mnt bin_t"], ["/mnt etc_t"], [], [])
def test_no_label_differs_where_nothing_is_touched(
    old: list[str], new: list[str], old_moved: list[str], new_moved: list[str]
) -> None:
    texts = [(text([*BASE, *rows]), "\n".join([*moved, ""]))
             for rows, moved in ((old, old_moved), (new, new_moved))]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            labels(Path(folder) / str(number), *pair) for number, pair in enumerate(texts)
        )
    prefixes = touched(*(parse_contexts([rows], [moved]) for rows, moved in texts))
    missed = [
        path
        for path, mode in before
        if before[path, mode] != after[path, mode] and not is_touched(prefixes, path)
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("added", "moved", "expected"),
    [
        ([], "", ()),
        (["/opt/tool(/.*)? bin_t"], "", ("/opt/tool",)),
        ([r"/usr/bin/tool\.sh bin_t", "/usr/bin/toolbox bin_t"], "", ("/usr/bin/tool",)),
        (["/usr/lib(64)?/tool bin_t"], "", ("/usr/lib",)),
        (["/etc/tool bin_t"], "/usr/etc /etc\n", ("/etc/tool", "/usr/etc/tool")),
        (["/one bin_t", "/two|/three bin_t"], "", ("",)),
        ([".*/tool bin_t"], "", ("",)),
    ],
)
def test_a_new_line_touches_what_it_can_match(
    added: list[str], moved: str, expected: tuple[str, ...]
) -> None:
    old = parse_contexts([text(BASE)], [moved])
    new = parse_contexts([text(BASE), text(added), ""], [moved])
    assert touched(old, new) == expected
    assert touched(new, old) == expected


def test_other_comments_and_blanks_touch_nothing() -> None:
    old = parse_contexts(["# one\n/a\t--  x\n"], [""])
    assert touched(old, parse_contexts(["/a -- x\n\n# two"], [""])) == ()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", None),
        ("SELINUX=enforcing\n", None),
        ("# SELINUXTYPE=no\nSELINUX=permissive\nSELINUXTYPE=targeted \n", "targeted"),
        ("SELINUXTYPE=targeted\nSELINUX=disabled\n", None),
    ],
)
def test_the_configuration_names_the_policy(config: str, expected: str | None) -> None:
    assert parse_type(config) == expected


def test_paths_that_a_tree_has_elsewhere_are_added_once() -> None:
    once = with_moved_paths("/bin /usr/bin")
    assert once == "/bin /usr/bin\n/usr/etc /etc\n/usr/lib/opt /opt\n"
    assert with_moved_paths(once) == once
    assert with_moved_paths("") == "/usr/etc /etc\n/usr/lib/opt /opt\n"
