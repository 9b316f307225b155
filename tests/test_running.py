"""Triggers run over an overlay of a tree: what they write, what they may not, what is kept."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from layer import workbench
from layer.errors import TriggerFailed
from layer.model import Directory, NearTree, Tree, TriggerRun
from layer.overlay import link_difference
from layer.report import SILENT, Reporter
from layer.running import TriggerOutcome, run_triggers
from layer.sandbox.box import SandboxOptions
from layer.store.objects import OstreeStore
from layer.store.trees import directories_of, empty_tree, files_of, lookup
from layer.triggers.format import Trigger, parse_trigger
from testdata.triggers.hosttree import Entry, link, make, programs, put, text

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
TOOLS = programs(
    *(f"/usr/bin/{name}" for name in ("sh", "cat", "chmod", "chown", "cp", "date", "find", "ln")),
    *(f"/usr/bin/{name}" for name in ("mkdir", "mkfifo", "mv", "rm", "rmdir", "sleep", "touch")),
    "/usr/sbin/setcap",
    FAKETIME,
)
FOLDER = Entry(is_directory=True, mode=0o755)


def trigger(script: str, *, name: str = "demo", **keys: object) -> Trigger:
    """A trigger that runs a shell script when something in usr/share/demo differs."""
    values = {
        "include": ["usr/share/demo/**"],
        "on": ["add", "change", "remove"],
        "writes": ["usr/share/out/**"],
        "scratch": [],
        "reads": [],
        "per": "once",
        "phase": "build",
        "on_failure": "abort",
        "missing_tool": "skip",
        "timeout": 20,
        "tool": "sh",
        "needs": [],
        "after": [],
        "args": [],
        **keys,
    }
    said = {key: json.dumps(value) for key, value in values.items()}
    arguments = json.dumps([values["tool"], "-euc", script, "sh", *values["args"]])
    return parse_trigger(
        f"""
        schema = 1
        name = "{name}"
        description = "A test."
        match = {{ include = {said["include"]}, on = {said["on"]} }}
        [run]
        exec = {arguments}
        needs = {said["needs"]}
        per = {said["per"]}
        timeout = {said["timeout"]}
        [policy]
        on_failure = {said["on_failure"]}
        missing_tool = {said["missing_tool"]}
        [order]
        after = {said["after"]}
        [io]
        writes = {said["writes"]}
        scratch = {said["scratch"]}
        reads = {said["reads"]}
        phase = {said["phase"]}
        """,
        f"{name}.toml",
    )


@dataclass
class Bench:
    """A store, a base with a shell in it, and a tree that differs from it in usr/share/demo."""

    path: Path
    store: OstreeStore
    base: Tree
    tree: Tree
    near: NearTree
    runs: int = 0

    def change(self, **entries: Entry | None) -> None:
        with self.store.transaction():
            self.tree = put(self.store, self.tree, entries)

    def change_base(self, entries: dict[str, Entry | None]) -> None:
        """The base is another one, and what comes over it stays the same."""
        with self.store.transaction():
            self.base = put(self.store, self.base, entries)
            self.tree = put(self.store, self.tree, entries)

    def run(
        self,
        *triggers: Trigger,
        reporter: Reporter = SILENT,
        options: SandboxOptions | None = None,
        epoch: int = 1_700_000_000,
    ) -> TriggerOutcome:
        self.runs += 1
        scratch = self.path / f"scratch-{self.runs}"
        scratch.mkdir()
        with self.store.transaction():
            return run_triggers(
                self.store,
                self.near,
                before=self.base,
                tree=self.tree,
                triggers=triggers,
                epoch=epoch,
                scratch=scratch,
                reporter=reporter,
                options=options,
            )

    def read(self, tree: Tree, path: str) -> str:
        checksum = lookup(self.store, tree, path)
        assert isinstance(checksum, str), f"no file {path}"
        with self.store.open_file(checksum) as file:
            return file.read().decode()

    def listing(self, tree: Tree, below: str) -> dict[str, str]:
        """Paths below a directory: the type, mode and owner of each, and where a link points."""
        found = lookup(self.store, tree, below)
        assert isinstance(found, Tree)
        lines = {}
        for path, checksum in files_of(self.store, found):
            a = self.store.read_file_attributes(checksum)
            kind = f"l {a.target}" if a.target else f"f {stat.S_IMODE(a.mode):o}"
            lines[path] = f"{kind} {a.uid}:{a.gid}"
        for path, child in directories_of(self.store, found):
            d = self.store.read_directory_attributes(child.attributes)
            lines[path] = f"d {stat.S_IMODE(d.mode):o} {d.uid}:{d.gid}"
        return dict(sorted(lines.items()))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


def make_bench(path: Path) -> Bench:
    store = OstreeStore.create(path / "repo")
    with store.transaction():
        base = make(
            store,
            {
                **TOOLS,
                "usr/etc/hosts": text("hosts\n"),
                "usr/share/out": FOLDER,
                "usr/share/out/old": text("old\n"),
                "usr/share/out/folder/one": text("1\n"),
                "usr/share/out/folder/two": text("2\n"),
                "usr/share/other/file": text("other\n"),
            },
        )
        tree = put(store, base, {"usr/share/demo/a": text("a\n"), "usr/share/demo/b": text("b\n")})
    usr = lookup(store, base, "usr")
    assert isinstance(usr, Tree)
    (path / "near").mkdir()
    link_difference(store, None, usr, path / "near/usr")
    return Bench(path, store, base, tree, NearTree(path / "near", base))


def without(bench: Bench, listing: dict[str, str]) -> dict[str, str]:
    """What of a listing of usr/share/out is not there before."""
    before = bench.listing(bench.base, "usr/share/out")
    return {path: line for path, line in listing.items() if before.get(path) != line}


# --- what comes out -----------------------------------------------------------------------------


def test_what_a_trigger_writes_is_in_the_tree_with_its_owner_and_mode(bench: Bench) -> None:
    outcome = bench.run(
        trigger(
            """
            cat /usr/share/demo/* > /usr/share/out/all
            mkdir -p /usr/share/out/new/empty; ln -s ../all /usr/share/out/new/link
            cp /usr/share/out/all /usr/share/out/new/mine; chown 12:34 /usr/share/out/new/mine
            chmod 4711 /usr/share/out/new/mine; chown 5:6 /usr/share/out/new/empty
            chmod 2750 /usr/share/out/new/empty; ln /usr/share/out/all /usr/share/out/hard
            """
        )
    )

    assert without(bench, bench.listing(outcome.tree, "usr/share/out")) == {
        "all": "f 644 0:0",
        "hard": "f 644 0:0",
        "new": "d 755 0:0",
        "new/empty": "d 2750 5:6",
        "new/link": "l ../all 0:0",
        "new/mine": "f 4711 12:34",
    }
    assert bench.read(outcome.tree, "usr/share/out/new/mine") == "a\nb\n"
    assert outcome.written == (
        ("usr/share/out/all", "demo"),
        ("usr/share/out/hard", "demo"),
        ("usr/share/out/new/link", "demo"),
        ("usr/share/out/new/mine", "demo"),
    )
    assert [(run.name, run.status, run.was_cached) for run in outcome.runs] == [
        ("demo", "done", False)
    ]


def test_removed_files_and_directories_are_gone(bench: Bench) -> None:
    outcome = bench.run(trigger("rm -r /usr/share/out/folder /usr/share/out/old"))

    assert bench.listing(outcome.tree, "usr/share/out") == {}


def test_a_directory_that_was_made_anew_shows_none_of_its_old_files(bench: Bench) -> None:
    outcome = bench.run(
        trigger("cd /usr/share/out; rm -r folder; mkdir folder; echo 3 > folder/three")
    )

    assert bench.listing(outcome.tree, "usr/share/out/folder") == {"three": "f 644 0:0"}


def test_what_is_made_below_such_a_directory_is_new_too(bench: Bench) -> None:
    bench.change(**{"usr/share/out/folder/deep/old": text("")})

    outcome = bench.run(trigger("cd /usr/share/out; rm -r folder; mkdir -p folder/deep"))

    assert bench.listing(outcome.tree, "usr/share/out/folder") == {"deep": "d 755 0:0"}


def test_files_and_directories_may_take_each_others_place(bench: Bench) -> None:
    outcome = bench.run(
        trigger("cd /usr/share/out; rm -r folder old; echo > folder; mkdir old; echo > old/x")
    )

    assert bench.listing(outcome.tree, "usr/share/out") == {
        "folder": "f 644 0:0",
        "old": "d 755 0:0",
        "old/x": "f 644 0:0",
    }


def test_changed_attributes_of_a_directory_that_was_there_are_taken_over(bench: Bench) -> None:
    outcome = bench.run(trigger("chmod 1700 /usr/share/out/folder; chown 7 /usr/share/out/folder"))

    assert bench.listing(outcome.tree, "usr/share/out")["folder"] == "d 1700 7:0"
    assert bench.listing(outcome.tree, "usr/share/out/folder") == {
        "one": "f 644 0:0",
        "two": "f 644 0:0",
    }


def test_file_capabilities_are_taken_over_and_no_attribute_of_the_overlay(bench: Bench) -> None:
    outcome = bench.run(
        trigger("cp /usr/bin/cat /usr/share/out/cat; setcap cap_net_raw+ep /usr/share/out/cat")
    )

    checksum = lookup(bench.store, outcome.tree, "usr/share/out/cat")
    xattrs = dict(bench.store.read_file_attributes(str(checksum)).xattrs)
    assert list(xattrs) == [b"security.capability"]


def test_touching_and_rewriting_the_same_changes_nothing_anywhere(bench: Bench) -> None:
    outcome = bench.run(
        trigger(
            """
            touch /usr/share/other/file /usr/share/out/old; chmod 644 /usr/share/other/file
            cat /usr/share/out/folder/one > /tmp/one; cat /tmp/one > /usr/share/out/folder/one
            touch /usr/share/out/folder
            """
        )
    )

    assert outcome.tree == bench.tree
    assert outcome.written == ()


def test_objects_of_the_store_are_never_written_through(bench: Bench) -> None:
    bench.run(trigger("for f in old folder/one; do echo more >> /usr/share/out/$f; done"))

    done = subprocess.run(
        ["ostree", f"--repo={bench.path}/repo", "fsck", "--quiet"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.read(bench.base, "usr/share/out/old") == "old\n"


# --- what is not allowed ------------------------------------------------------------------------


def test_every_undeclared_write_is_named(bench: Bench) -> None:
    with pytest.raises(TriggerFailed) as failure:
        bench.run(
            trigger(
                """
                echo > /usr/share/out/allowed; echo > /etc/added; echo x > /usr/share/other/file
                rm /usr/share/demo/a; mkdir /usr/lib/folder; chmod 700 /usr/share/other
                mkfifo /usr/share/out/pipe
                """
            )
        )

    assert failure.value.message == (
        "trigger demo writes what it does not declare: usr/etc/added, usr/lib/folder,"
        " usr/share/demo/a, usr/share/other, usr/share/other/file,"
        " usr/share/out/pipe (a device, FIFO or socket)"
    )
    assert bench.store.refs("layer/trigger") == {}


def test_a_removed_directory_counts_with_all_that_was_in_it(bench: Bench) -> None:
    with pytest.raises(TriggerFailed, match=r"declare: usr/share/out/folder/two$"):
        bench.run(
            trigger(
                "rm -r /usr/share/out/folder; echo > /usr/share/out/folder",
                writes=["usr/share/out/folder", "usr/share/out/folder/one"],
            )
        )


def test_scratch_is_thrown_away_with_the_directories_made_for_it(bench: Bench) -> None:
    outcome = bench.run(
        trigger(
            """
            echo > /usr/share/out/made; echo > /etc/.lock; rm /etc/hosts
            mkdir -p /usr/lib/work/deep; echo > /usr/lib/work/deep/file
            """,
            scratch=["usr/etc/.lock", "usr/lib/work/**", "usr/etc/hosts"],
        )
    )

    assert [path for path, _ in outcome.written] == ["usr/share/out/made"]
    assert without(bench, bench.listing(outcome.tree, "usr")).keys() >= {"share/out/made"}
    assert lookup(bench.store, outcome.tree, "usr/lib/work") is None
    assert bench.read(outcome.tree, "usr/etc/hosts") == "hosts\n"


def test_a_failure_says_status_and_last_lines_and_its_hint_replays_it(bench: Bench) -> None:
    script = (
        "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; cat /usr/share/demo/a; exit 7"
    )
    with pytest.raises(TriggerFailed) as failure:
        bench.run(trigger(script))

    lines = failure.value.message.splitlines()
    assert lines[0] == "trigger demo failed with status 7"
    assert [line.strip() for line in lines[1:]] == [*(f"line {n}" for n in range(12, 31)), "a"]
    assert failure.value.hint is not None
    command = failure.value.hint.partition("\n")[2]
    again = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (7, "a")


def test_a_trigger_that_does_not_end_is_ended(bench: Bench) -> None:
    with pytest.raises(TriggerFailed, match=r"^trigger demo did not end within 1 s$"):
        bench.run(trigger("sleep 100", timeout=1))


def test_a_trigger_that_may_fail_is_noted_and_leaves_nothing(bench: Bench) -> None:
    notes: list[str] = []

    class Notes(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    outcome = bench.run(
        trigger("echo > /usr/share/out/half; exit 3", on_failure="warn"), reporter=Notes()
    )

    assert (outcome.tree, outcome.written) == (bench.tree, ())
    assert [run.status for run in outcome.runs] == ["failed"]
    assert notes == ["trigger demo failed with status 3"]
    assert bench.store.refs("layer/trigger") == {}


# --- what runs at all ---------------------------------------------------------------------------


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_sandbox(monkeypatch)


def forbid_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __init__(self, *_: object) -> None:
            raise AssertionError("a sandbox was set up")

    monkeypatch.setattr(workbench, "Sandbox", Forbidden)


@pytest.mark.usefixtures("no_sandbox")
def test_nothing_is_set_up_for_triggers_that_do_not_run(bench: Bench) -> None:
    outcome = bench.run(
        trigger("", name="elsewhere", include=["usr/share/nothing/**"]),
        trigger("", name="at-boot", phase="boot"),
        trigger("", name="toolless", tool="no-such-program"),
        trigger("", name="needy", needs=["usr/bin/no-such-program", "usr/lib/*/no-such"]),
    )

    assert outcome.tree == bench.tree
    assert [(run.name, run.status) for run in outcome.runs] == [
        ("at-boot", "deferred"),
        ("toolless", "no tool"),
        ("needy", "no tool"),
    ]


def test_a_missing_tool_may_be_an_error(bench: Bench) -> None:
    with pytest.raises(TriggerFailed, match="demo needs no-such-program, which the tree does not"):
        bench.run(trigger("", tool="no-such-program", missing_tool="abort"))


def test_triggers_fire_on_packages_and_not_on_each_others_output(bench: Bench) -> None:
    outcome = bench.run(
        trigger("echo > /usr/share/out/one", name="one"),
        trigger("exit 1", name="two", include=["usr/share/out/**"]),
    )

    assert [run.name for run in outcome.runs] == ["one"]


def test_a_later_trigger_sees_what_an_earlier_one_wrote(bench: Bench) -> None:
    outcome = bench.run(
        trigger("echo 1 > /usr/share/out/x; rm /usr/share/out/old", name="one"),
        trigger(
            "cat /usr/share/out/x > /usr/share/out/y; test ! -e /usr/share/out/old", name="two"
        ),
    )

    assert outcome.written == (("usr/share/out/x", "one"), ("usr/share/out/y", "two"))
    assert bench.read(outcome.tree, "usr/share/out/y") == "1\n"
    scratch = bench.path / f"scratch-{bench.runs}"
    between = [str(p.relative_to(scratch)) for p in (scratch / "difference-1").rglob("*")]
    assert sorted(between) == [
        "difference-1/share",
        "difference-1/share/out",
        "difference-1/share/out/old",
        "difference-1/share/out/x",
    ]


# --- what is kept -------------------------------------------------------------------------------

ALL_KINDS = """
cd /usr/share/out; cat /usr/share/demo/* > all; rm -r folder; mkdir -m 700 new; chmod 711 .
"""


def test_the_same_again_runs_nothing_and_gives_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.run(trigger(ALL_KINDS, writes=["usr/share/out", "usr/share/out/**"]))
    forbid_sandbox(monkeypatch)
    bench.store = OstreeStore.open(bench.path / "repo")

    again = bench.run(trigger(ALL_KINDS, writes=["usr/share/out", "usr/share/out/**"]))

    assert again == first
    assert again.tree != bench.tree
    assert [run.was_cached for run in again.runs] == [True]


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        pytest.param(text("c\n"), "usr/share/demo/a", id="matched"),
        pytest.param(text("a\n", mode=0o600), "usr/share/demo/a", id="mode"),
        pytest.param(text("c\n"), "usr/share/demo/deeper/c", id="added"),
        pytest.param(None, "usr/share/demo/b", id="removed"),
        pytest.param(text("x\n"), "usr/etc/demo.conf", id="read"),
        pytest.param(text("x\n"), "usr/share/out/folder/one", id="output"),
        pytest.param(text("#!/bin/sh\n", mode=0o755), "usr/bin/dash", id="program"),
    ],
)
def test_what_goes_in_makes_another_key(bench: Bench, path: str, entry: Entry | None) -> None:
    demo = trigger("", reads=["usr/etc/*.conf"], phase="boot")
    before = bench.run(demo).runs[0].key

    bench.change(**{path: entry})

    assert bench.run(demo).runs[0].key != before


def test_time_trigger_and_arguments_make_another_key(bench: Bench) -> None:
    keys = {
        bench.run(trigger("", phase="boot")).runs[0].key,
        bench.run(trigger("", phase="boot"), epoch=1).runs[0].key,
        bench.run(trigger("", phase="boot", timeout=21)).runs[0].key,
    }

    assert len(keys) == 3


def test_the_words_it_runs_for_make_another_key(bench: Bench) -> None:
    """The same tree, of which more or less is the base's."""
    demo = trigger("", include=["usr/share/demo/{word}"], args=["{word}"], phase="boot")
    both = bench.run(demo).runs[0]

    bench.change_base({"usr/share/demo/a": text("a\n")})
    one = bench.run(demo).runs[0]

    assert (both.values, one.values) == (("a", "b"), ("b",))
    assert both.key != one.key


def test_what_does_not_go_in_makes_no_other_key(bench: Bench) -> None:
    demo = trigger("", include=["usr/share/demo/*", "usr/lib*/**.so*"], phase="boot")
    before = bench.run(demo).runs[0].key

    bench.change(
        **{"usr/share/demo/deeper/x": text(""), "usr/lib/other": text(""), "usr/bin/x": text("")}
    )

    assert bench.run(demo).runs[0].key == before


def test_what_an_earlier_trigger_wrote_goes_in(bench: Bench) -> None:
    second = trigger("", name="second", reads=["usr/share/out/**"], writes=["usr/share/x"])

    keys = [
        bench.run(trigger(f"echo {n} > /usr/share/out/n", name="first"), second).runs[1].key
        for n in (1, 2)
    ]

    assert keys[0] != keys[1]


def test_a_kept_directory_does_not_replace_one_that_is_there(bench: Bench) -> None:
    demo = trigger("mkdir -p /usr/share/new; echo > /usr/share/new/x", writes=["usr/share/new/x"])
    bench.run(demo)
    bench.change_base({"usr/share/new": Entry(is_directory=True, mode=0o700, uid=3)})

    outcome = bench.run(demo)

    assert outcome.runs[0].was_cached
    assert bench.listing(outcome.tree, "usr/share")["new"] == "d 700 3:0"


def test_a_kept_output_replaces_what_another_base_has(bench: Bench) -> None:
    """Cold or warm, the tree is the same: what stands where a trigger writes is an input."""
    demo = trigger("cd /usr/share/out; rm -rf folder; cat /usr/share/demo/a > made")
    bench.change_base({"usr/share/out/made": text("a\n")})
    bench.run(demo)
    bench.change_base({"usr/share/out/made": text("stale\n"), "usr/share/out/folder/3": text("")})
    warm = bench.run(demo)

    cold = make_bench(bench.path / "cold")
    cold.change_base({"usr/share/out/made": text("stale\n"), "usr/share/out/folder/3": text("")})

    assert warm == cold.run(demo)
    assert bench.read(warm.tree, "usr/share/out/made") == "a\n"


def test_one_changed_theme_runs_that_theme_alone(bench: Bench) -> None:
    themes = trigger(
        "cat /usr/share/icons/$1/* > /usr/share/out/$1",
        include=["usr/share/icons/{theme}/**"],
        writes=["usr/share/out/{theme}"],
        per="capture",
        args=["{theme}"],
    )
    bench.change(**{"usr/share/icons/x/1": text("1"), "usr/share/icons/y/1": text("1")})
    bench.run(themes)
    bench.change(**{"usr/share/icons/y/2": text("2")})

    outcome = bench.run(themes)

    assert [(run.values, run.was_cached) for run in outcome.runs] == [
        (("x",), True),
        (("y",), False),
    ]
    assert bench.read(outcome.tree, "usr/share/out/y") == "12"


class Counting(OstreeStore):
    """Counts the directories that are read."""

    read: int = 0

    def read_directory(self, contents: str) -> Directory:
        self.read += 1
        return super().read_directory(contents)


def test_deciding_costs_the_same_over_a_small_and_a_large_base(tmp_path: Path) -> None:
    demo = trigger(
        "", include=["usr/share/demo/**", "usr/lib*/**.so*"], reads=["usr/etc/**"], phase="boot"
    )
    reads = []
    for size in (1, 300):
        bench = make_bench(tmp_path / str(size))
        many = {f"usr/lib/{n}/{n}.so.1": text(str(n)) for n in range(size)}
        bench.change_base(many)
        bench.store = store = Counting.open(bench.path / "repo")
        bench.run(demo)
        reads.append(store.read)

    assert reads[0] == reads[1]


# --- what a command sees ------------------------------------------------------------------------

SHOW = r"""
cd /usr/share; find . -path ./out -prune -o -printf '%p %y %m %U:%G %l\n' > /usr/share/out/seen
"""


def seen(bench: Bench, tree: Tree) -> dict[str, str]:
    lines = [line.split(" ", 2) for line in bench.read(tree, "usr/share/out/seen").splitlines()]
    return {path[2:]: f"{kind} {rest}" for path, kind, rest in lines}


def test_a_command_sees_the_tree_although_the_near_checkout_is_another(bench: Bench) -> None:
    """Changed, added, removed, and files, links and directories in each other's place."""
    with bench.store.transaction():
        old = {
            "usr/share/near/changed": text("old"),
            "usr/share/near/removed": text(""),
            "usr/share/near/to-folder": text(""),
            "usr/share/near/to-file/x": text(""),
            "usr/share/near/to-link/x": text(""),
            "usr/share/near/gone/deep/x": text(""),
            "usr/share/near/kept/x": text(""),
        }
        near = put(bench.store, bench.base, old)
        new = {
            "usr/share/near/changed": Entry(b"new", mode=0o4755, uid=3, gid=4),
            "usr/share/near/to-folder/y": text(""),
            "usr/share/near/to-file": text(""),
            "usr/share/near/to-link": link("kept"),
            "usr/share/near/kept": Entry(is_directory=True, mode=0o2770, uid=8, gid=9),
            "usr/share/near/kept/x": text(""),
            "usr/share/near/empty": Entry(is_directory=True, mode=0o1777),
        }
        bench.tree = put(bench.store, bench.tree, new)
    usr = lookup(bench.store, near, "usr")
    assert isinstance(usr, Tree)
    (bench.path / "other").mkdir()
    link_difference(bench.store, None, usr, bench.path / "other/usr")
    bench.near = NearTree(bench.path / "other", near)

    outcome = bench.run(trigger(SHOW))

    shown = {path: line for path, line in seen(bench, outcome.tree).items() if "near" in path}
    assert shown == {
        "near": "d 755 0:0 ",
        "near/changed": "f 4755 3:4 ",
        "near/empty": "d 1777 0:0 ",
        "near/kept": "d 2770 8:9 ",
        "near/kept/x": "f 644 0:0 ",
        "near/to-file": "f 644 0:0 ",
        "near/to-folder": "d 755 0:0 ",
        "near/to-folder/y": "f 644 0:0 ",
        "near/to-link": "l 777 0:0 kept",
    }


def test_with_and_without_a_near_checkout_the_outcome_is_the_same(bench: Bench) -> None:
    over_near = bench.run(trigger(ALL_KINDS, writes=["usr/share/out", "usr/share/out/**"]))
    other = make_bench(bench.path / "compose")
    other.near = NearTree(None, empty_tree(other.store))

    assert other.run(trigger(ALL_KINDS, writes=["usr/share/out", "usr/share/out/**"])) == over_near


@pytest.fixture
def strange_process() -> Iterator[None]:
    old = os.umask(0o077)
    yield
    os.umask(old)


@pytest.mark.usefixtures("strange_process")
def test_umask_and_environment_of_the_caller_do_not_matter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("DEMO", "1")
    script = "echo ${DEMO-unset} $LC_ALL $TZ > /usr/share/out/env; mkdir /usr/share/out/new"

    outcome = bench.run(trigger(script))

    assert bench.read(outcome.tree, "usr/share/out/env") == "unset C.UTF-8 UTC\n"
    assert without(bench, bench.listing(outcome.tree, "usr/share/out")) == {
        "env": "f 644 0:0",
        "new": "d 755 0:0",
    }


def test_the_clock_of_the_test_hook_reaches_a_command(bench: Bench) -> None:
    options = SandboxOptions(
        extra_binds=((Path(FAKETIME), "/run/faketime.so"),),
        extra_env=(("LD_PRELOAD", "/run/faketime.so"), ("FAKETIME", "2001-02-03 04:05:06")),
    )

    outcome = bench.run(trigger("date +%F > /usr/share/out/date"), options=options)

    assert bench.read(outcome.tree, "usr/share/out/date") == "2001-02-03\n"


def test_the_callers_mounts_are_what_they_were(bench: Bench) -> None:
    before = Path("/proc/self/mountinfo").read_text()

    bench.run(trigger("echo > /usr/share/out/x"))
    with pytest.raises(TriggerFailed):
        bench.run(trigger("exit 1"))

    assert Path("/proc/self/mountinfo").read_text() == before


def test_runs_say_for_which_words_they_were(bench: Bench) -> None:
    once = trigger("", include=["usr/share/demo/{word}"], args=["{word}"], phase="boot")
    capture = trigger("", include=["usr/share/demo/{word}"], per="capture", phase="boot")

    runs = [*bench.run(once).runs, *bench.run(capture).runs]

    assert [(run.status, run.values) for run in runs] == [
        ("deferred", ("a", "b")),
        ("deferred", ("a",)),
        ("deferred", ("b",)),
    ]
    assert isinstance(runs[0], TriggerRun)
