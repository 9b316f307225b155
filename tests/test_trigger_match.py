"""Patterns, and which changes of a tree fire a trigger with which arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer.errors import InvalidInput
from layer.model import TreeDiff
from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.globs import bind, descent, match, parse_glob
from layer.triggers.match import fires, jobs


def trigger(
    include: list[str], *, command: str = '["demo"]', match: str = "", run: str = ""
) -> Trigger:
    return parse_trigger(
        f"""
        schema = 1
        name = "demo"
        description = "A test."
        [match]
        include = {include}
        {match}
        [run]
        exec = {command}
        {run}
        [io]
        writes = ["usr/out/**"]
        """,
        "demo.toml",
    )


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ("usr/a/b", "usr/a/b", {}),
        ("usr/a/b", "usr/a/bc", None),
        ("usr/a/b", "usr/a/b/c", None),
        ("usr/a/b", "x/usr/a/b", None),
        ("usr/a.b", "usr/axb", None),
        ("usr/*.conf", "usr/a.conf", {}),
        ("usr/*.conf", "usr/.conf", {}),
        ("usr/*.conf", "usr/a/b.conf", None),
        ("usr/a/**", "usr/a/b", {}),
        ("usr/a/**", "usr/a/b/c/d", {}),
        ("usr/a/**", "usr/a", None),
        ("usr/a/**", "usr/ab/c", None),
        ("usr/a/**/z", "usr/a/z", {}),
        ("usr/a/**/z", "usr/a/b/c/z", {}),
        ("usr/a/**/z", "usr/a/bz", None),
        ("usr/lib*/**.so*", "usr/lib64/libx.so.1", {}),
        ("usr/lib*/**.so*", "usr/lib/x86_64/libx.so", {}),
        ("usr/lib*/**.so*", "usr/share/libx.so", None),
        ("usr/lib*/**.so*", "usr/lib/solib", None),
        ("usr/icons/{theme}/**", "usr/icons/hi color/x\ny", {"theme": "hi color"}),
        ("usr/icons/{theme}/**", "usr/icons/a", None),
        ("usr/{a}-{b}.x", "usr/1-2-3.x", {"a": "1-2", "b": "3"}),
        ("usr/{a}/{a}.x", "usr/q/q.x", {"a": "q"}),
        ("usr/{a}/{a}.x", "usr/q/r.x", None),
    ],
)
def test_a_pattern_matches_whole_paths(
    pattern: str, path: str, words: dict[str, str] | None
) -> None:
    assert match(parse_glob(pattern), path) == words


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "usr", "/usr/a", "etc/a", "*/a", "usr/", "usr//a", "usr/./a", "usr/../a", "usr/a?"),
        *("usr/[a]", "usr/a\\b", "usr/***", "usr/{a", "usr/a}", "usr/{}", "usr/{A}", "usr/{a}{b}"),
        *("usr/{a}*", "usr/*{a}"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="bad pattern"):
        parse_glob(pattern)


NAMES = st.text(st.sampled_from("ab*.{}+$\n"), min_size=1, max_size=3).filter(
    lambda name: name not in {".", ".."}
)


@given(NAMES, NAMES)
def test_a_bound_word_is_taken_literally(word: str, other: str) -> None:
    glob = bind(parse_glob("usr/{word}/x"), {"word": word})

    assert match(glob, f"usr/{word}/x") == {}
    assert (match(glob, f"usr/{other}/x") is not None) == (word == other)
    assert glob.prefix == f"usr/{word}/x"


PATTERNS = st.lists(
    st.sampled_from(["a", "b", "*", "a*", "*b", "**", "**b", "{x}", "a{x}"]), min_size=1, max_size=4
).map(lambda parts: "/".join(["usr", *parts]))
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4).map(
    lambda parts: "/".join(["usr", *parts])
)


@given(PATTERNS, PATHS)
def test_descending_level_by_level_finds_every_match(pattern: str, path: str) -> None:
    glob = parse_glob(pattern)
    found = descent(glob)
    names = path.split("/")

    fits = all(
        name == step if isinstance(step, str) else step.fullmatch(name) is not None
        for step, name in zip(found.steps, names, strict=False)
    )
    is_long_enough = (
        len(names) > len(found.steps) if glob.is_deep else len(names) == len(found.steps)
    )

    if match(glob, path) is not None:
        assert fits
        assert is_long_enough


DIFF = TreeDiff(
    added=("usr/a/new", "usr/z"), changed=("usr/a/other", "usr/b"), removed=("usr/a/gone",)
)


@pytest.mark.parametrize(
    ("on", "paths"),
    [
        ('["add", "change", "remove"]', ["usr/a/gone", "usr/a/new", "usr/a/other"]),
        ('["add"]', ["usr/a/new"]),
        ('["change"]', ["usr/a/other"]),
        ('["remove"]', ["usr/a/gone"]),
    ],
)
def test_a_trigger_fires_on_the_changes_it_waits_for(on: str, paths: list[str]) -> None:
    firing = fires(trigger(["usr/a/*"], match=f"on = {on}"), DIFF)

    assert firing is not None
    assert [path for path, _ in firing.matches] == paths


def test_excluded_paths_do_not_fire() -> None:
    demo = trigger(["usr/a/*"], match='exclude = ["usr/a/n*", "usr/a/g*", "usr/a/o*"]')

    assert fires(demo, DIFF) is None
    assert fires(trigger(["usr/c/**"]), DIFF) is None
    assert fires(demo, TreeDiff()) is None


def test_the_order_of_a_difference_does_not_matter() -> None:
    demo = trigger(["usr/a/*"])

    assert fires(demo, TreeDiff(added=("usr/z", "usr/a/2", "usr/b", "usr/a/1"))) == fires(
        demo, TreeDiff(added=("usr/a/1", "usr/a/2"))
    )


ICONS = TreeDiff(added=("usr/icons/x/1", "usr/icons/x/2", "usr/icons/y/1", "usr/units/u@.service"))


def test_once_is_one_command_with_an_argument_for_each_word() -> None:
    demo = trigger(
        ["usr/icons/{theme}/*", "usr/units/{unit}.service"],
        command='["demo", "-x", "{theme}", "{unit}.service", "end"]',
    )
    firing = fires(demo, ICONS)
    assert firing is not None

    (job,) = jobs(demo, firing)

    assert job.commands == (("demo", "-x", "x", "y", "u@.service", "end"),)
    assert job.values == ("u@.service", "x", "y")


def test_capture_is_one_job_for_each_word_with_its_own_patterns() -> None:
    demo = trigger(
        ["usr/icons/{theme}/*"], command='["demo", "/usr/icons/{theme}"]', run='per = "capture"'
    )
    firing = fires(demo, ICONS)
    assert firing is not None

    done = jobs(demo, firing)

    assert [job.commands for job in done] == [
        (("demo", "/usr/icons/x"),),
        (("demo", "/usr/icons/y"),),
    ]
    assert [job.values for job in done] == [("x",), ("y",)]
    assert [match(job.include[0], "usr/icons/x/1") is not None for job in done] == [True, False]


def test_file_is_one_job_with_a_command_for_each_file() -> None:
    demo = trigger(
        ["usr/icons/{theme}/*"], command='["demo", "{file}", "{theme}"]', run='per = "file"'
    )
    firing = fires(demo, ICONS)
    assert firing is not None

    (job,) = jobs(demo, firing)

    assert job.commands == (
        ("demo", "/usr/icons/x/1", "x"),
        ("demo", "/usr/icons/x/2", "x"),
        ("demo", "/usr/icons/y/1", "y"),
    )
    assert job.values == ("usr/icons/x/1", "usr/icons/x/2", "usr/icons/y/1")


def test_files_is_one_job_whose_commands_name_each_file_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    demo = trigger(["usr/icons/**"], command='["demo", "{file}", "--"]', run='per = "files"')
    firing = fires(demo, ICONS)
    assert firing is not None

    (whole,) = jobs(demo, firing)
    monkeypatch.setattr("layer.triggers.match._ARGUMENTS", 2 * len("usr/icons/x/1"))
    (halved,) = jobs(demo, firing)

    files = ("/usr/icons/x/1", "/usr/icons/x/2", "/usr/icons/y/1")
    assert whole.commands == (("demo", *files, "--"),)
    assert halved.commands == (("demo", *files[:2], "--"), ("demo", files[2], "--"))
    assert whole.values == ()


def test_a_word_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    demo = trigger(["usr/{a}/{b}"], command='["demo", "{a}", "{b}"]', run='per = "capture"')
    firing = fires(demo, TreeDiff(added=("usr/{b}/x",)))
    assert firing is not None

    assert jobs(demo, firing)[0].commands == (("demo", "{b}", "x"),)
