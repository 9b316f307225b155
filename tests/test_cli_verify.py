"""`layer trigger verify`: each kind of fault is named, and what is shipped has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from layer.tracing import Declared, Reads, parse_trace, undeclared
from layer.triggers.globs import parse_glob
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import do, extra_repository, host_programs
from tests.snapshot import unchanged
from tests.test_cli_trigger import trigger
from tests.test_trigger_cases import FAKETIME
from tests.test_trigger_set import put_local
from tests.world import Machine, tools_package

CLOCK, ORDER, REVERSE, TIMES = (
    "400 days later",
    "where directories list their entries in another order",
    "where directories list their entries the other way round",
    "with other mtimes of its inputs",
)
TOOLS = ("/bin/ls", "/bin/cat", "/usr/bin/stat")
SCRIPTS = {
    "good": "cat /usr/share/demo/* > /usr/share/out/good",
    "date": "date +%F > /usr/share/out/date",
    "order": "ls -U /usr/share/demo > /usr/share/out/order",
    "times": "stat -c %Y /usr/share/demo/one > /usr/share/out/times",
    "foretold": "stat -c %Y /usr/share/demo/one > /usr/share/out/foretold",
    "reader": "cat /usr/share/demo/* /etc/tiny.conf > /usr/share/out/reader",
    "lister": "ls /usr/bin > /usr/share/out/lister",
    "random": "cat /proc/sys/kernel/random/uuid > /usr/share/out/random",
    "failing": "echo so it is; exit 3",
}


FORETOLD = 'mtimes = "all are 0 in a tree"'


def text_of(name: str, script: str) -> str:
    return f"""\
schema = 1
name = "{name}"
description = "A test."
[match]
include = ["usr/share/demo/*"]
[run]
exec = ["sh", "-euc", '''{script}''']
[io]
writes = ["usr/share/out/**"]
{FORETOLD if name == "foretold" else ""}
[sandbox]
proc = {json.dumps(name == "random")}
"""


@pytest.fixture
def demo(machine: Machine, tmp_path: Path) -> Machine:
    """A machine with inputs for the triggers of this test, and programs for their scripts."""
    files = [FileSpec(f"/usr/share/demo/{name}", f"{name}\n".encode()) for name in ("one", "two")]
    there = {file.path for file in tools_package().files}
    package = tiny_rpm(
        "demo",
        *files,
        FileSpec.directory("/usr/share/out"),
        *(file for file in host_programs(*TOOLS) if file.path not in there),
        arch="x86_64",
    )
    do(machine, "install", "-y", *extra_repository(tmp_path / "demo", package), "demo", "apple")
    for name, script in SCRIPTS.items():
        put_local(machine, name, text_of(name, script))
    return machine


def verify(machine: Machine, *words: str, status: int = 1) -> list[dict[str, Any]]:
    """What `verify --json` says; it must change nothing."""
    with unchanged(machine.path):
        done = trigger(machine, "verify", "--json", *words, status=status)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_each_fault_is_named(demo: Machine) -> None:
    rows = {row["name"]: row for row in verify(demo, *SCRIPTS)}

    def paths(name: str) -> dict[str, list[str]]:
        return {found["circumstance"]: found["paths"] for found in rows[name]["differs"]}

    assert {name: row["result"] for name, row in rows.items()} == {
        "good": "deterministic",
        "date": "not deterministic",
        "order": "not deterministic",
        "times": "not deterministic",
        "foretold": "deterministic",
        "reader": "reads undeclared",
        "lister": "reads undeclared",
        "random": "not deterministic",
        "failing": "failed",
    }
    assert paths("date") == {CLOCK: ["usr/share/out/date"]}
    assert set(paths("order")) <= {ORDER, REVERSE} != set()
    assert paths("order") != {}
    assert paths("times") == {TIMES: ["usr/share/out/times"]}
    assert set(paths("random")) >= {"when run again", CLOCK, ORDER, REVERSE, TIMES}
    assert rows["foretold"]["expected"] == [f"{TIMES}: all are 0 in a tree"]
    assert [row["expected"] for name, row in rows.items() if name != "foretold"] == [[]] * 8
    assert rows["reader"]["reads"] == ["usr/etc/tiny.conf"]
    assert rows["lister"]["reads"] == ["usr/bin/"]
    assert rows["failing"]["failure"] == "failed with status 3\nso it is"
    assert [row["untested"] for row in rows.values()] == [[]] * len(rows)


def test_the_triggers_that_ship_pass(demo: Machine) -> None:
    rows = {row["name"]: row for row in verify(demo, "ldconfig", "sysusers", status=0)}
    assert rows["ldconfig"]["result"] == "deterministic"
    assert rows["ldconfig"]["runs"] == 1
    assert rows["sysusers"]["result"] == "no input"


def test_what_the_machine_lacks_the_means_for_is_said(demo: Machine) -> None:
    """The machine of this test has neither strace nor libfaketime."""
    hidden = ["--ro-bind", "/dev/null", "/usr/bin/strace", "--tmpfs", str(Path(FAKETIME).parent)]
    words = [sys.executable, "-m", "layer", "trigger", "verify", "date", "reader"]
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", "--cap-add", "ALL", *hidden, "--", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OSTREE_SYSROOT": str(demo.path)},
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            line
            for name in ("date", "reader")
            for line in (
                f"{name:18} deterministic",
                "    not tested: 400 days later: this machine has no libfaketime",
                "    not tested: undeclared reads: this machine has no strace",
            )
        ],
    )


def test_verify_takes_a_commit_and_only_build_triggers(demo: Machine) -> None:
    base = demo.world.base.checksum
    rows = verify(demo, "--commit", base, "good", "ldconfig", status=0)
    assert {row["name"]: row["result"] for row in rows} == {
        "good": "no input",
        "ldconfig": "deterministic",
    }
    for name, fact in (
        ("tmpfiles", "trigger tmpfiles does not run at build, but at boot"),
        ("nobody", "there is no trigger nobody"),
    ):
        done = trigger(demo, "verify", name, status=1)
        assert done.stderr.splitlines()[0] == f"error: {fact}"


# --- what strace says ---------------------------------------------------------------------------

TRACE = r"""
7 execve("/usr/bin/bwrap", ["bwrap"], 0x1 /* 2 vars */) = 0
7 openat(AT_FDCWD</>, "/etc/before", O_RDONLY) = 3</etc/before>
8 openat(AT_FDCWD</>, "/etc/before", O_RDONLY) = 3</etc/before>
9 execve("/usr/bin/sh", ["sh"], 0x1 /* 2 vars */) = 0
9 openat(AT_FDCWD</>, "x", O_RDONLY|O_CLOEXEC <unfinished ...>
10 execve("/bin/sed", ["sed"], 0x1 /* 2 vars */) = 0
9 <... openat resumed>) = 3</usr/share/x>
7 openat(AT_FDCWD</>, "/etc/outer", O_RDONLY) = 3</etc/outer>
10 openat(AT_FDCWD</>, "/etc/\303\244\"b", O_RDONLY) = 3</etc/\303\244\"b>
10 openat(AT_FDCWD</>, "/etc/out", O_WRONLY|O_CREAT, 0666) = 3</etc/out>
10 openat(AT_FDCWD</>, "/etc/none", O_RDONLY) = -1 ENOENT (No such file or directory)
10 openat(AT_FDCWD</>, "/tmp/x", O_RDWR) = 3</tmp/x>
10 openat(AT_FDCWD</>, "/etc/gone", O_RDWR) = 3</etc/gone (deleted)>
11 openat(AT_FDCWD</>, "d", O_RDONLY|O_DIRECTORY) = 4</usr/share/d>
11 getdents64(4</usr/share/d>, 0x1 /* 3 entries */, 32768) = 80
11 getdents64(5</>, 0x1 /* 3 entries */, 32768) = 80
10 +++ exited with 0 +++
"""


def test_a_trace_says_what_the_program_and_its_children_read() -> None:
    assert parse_trace(TRACE.splitlines(), "/usr/bin/sh") == Reads(
        files=frozenset({"usr/share/x", 'usr/etc/ä"b'}),
        folders=frozenset({"usr/share/d"}),
        programs=frozenset({"usr/bin/sh", "usr/bin/sed"}),
    )


def test_reads_are_declared_by_patterns_or_are_basic() -> None:
    reads = Reads(
        files=frozenset(
            {
                *("usr/share/in/a", "usr/share/in/a.cache", "usr/share/in/deep/x", "usr/etc/conf"),
                *("usr/lib/x86_64-linux-gnu/libc.so.6", "usr/share/other"),
            }
        ),
        folders=frozenset({"usr/share/in", "usr/share/in/deep", "usr/share", "usr/etc"}),
        programs=frozenset({"usr/bin/sed", "usr/bin/openssl", "usr/share/sed"}),
    )
    declared = Declared(
        globs=(parse_glob("usr/share/in/*"),),
        excluded=(parse_glob("usr/share/in/*.cache"),),
        always=(parse_glob("usr/etc/conf"),),
    )
    assert undeclared(reads, declared) == (
        "usr/bin/openssl",
        "usr/etc/",
        "usr/share/",
        "usr/share/in/a.cache",
        "usr/share/in/deep/",
        "usr/share/in/deep/x",
        "usr/share/other",
        "usr/share/sed",
    )
