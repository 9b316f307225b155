"""The examples of manual pages and README run, in order, on a machine that has what they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from docs.making.tutorial import make_removable
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_repository, tiny_rpm
from tests.booted import Booted
from tests.test_docs import examples
from tests.world import REF, World, make_world, remove, write_repo_file

pytestmark = pytest.mark.slow

HOST = "/run/host"
WORK = "var/work"  # where the examples are given

# Pages that need what this machine cannot show, and what runs their verbs instead.
ELSEWHERE = {
    "layer-apply-live.1": "a system that really runs: make test-boot, tests/test_live.py",
    "layer-group.1": "lists of groups: tests/test_groups.py",
    "layer-initramfs.1": "a tree with dracut: tests/test_initramfs.py, make test-boot-more",
}
NO_GROUPS = "@editors"  # the one line of layer-install(1) about them

# What a text says before its first example.
SYSROOT = {"README.md": f"export OSTREE_SYSROOT=/{WORK}/demo\n"}
# What a page takes for granted.
BEFORE = {
    "layer-apply.1": ["layer plan -o tonight.plan install strace"],
    "layer-db.1": ["layer install -y strace"],
    "layer-init.1": ["layer remote add demo http://127.0.0.1:8000/ --no-gpg-verify"],
    "layer-install.1": ["layer install -y viewer"],
    "layer-kargs.1": ["layer kargs --append=debug"],
    "layer-lock.1": ["layer install -y strace"],
    "layer-rebase.1": ["layer remote add demo http://127.0.0.1:8000/ --no-gpg-verify"],
    "layer-rollback.1": ["layer install -y strace"],
    "layer-run.1": ["layer install -y mutt"],
    "layer-uninstall.1": ["layer install -y tmux htop"],
    "layer-unpin.1": ["layer pin 0"],
    "layer-why.1": ["layer install -y strace"],
}
# Not 0: nothing has changed, and the example asks to be told so.
STATUS = {
    "layer upgrade -y --unchanged-exit-77": 77,
    "layer upgrade --check --skip-broken": 77,
}
ASKING = {"apply", "deploy", "install", "override", "rebase", "reset", "rollback", "uninstall"}
ASKING |= {"upgrade", "initramfs-etc", "kargs"}
TRIGGER = """\
schema = 1
name = "mine"
description = "Mine."
[match]
include = ["usr/share/mine/*"]
[run]
exec = ["true"]
"""


def program(name: str, version: str = "1", **rest: object) -> RpmSpec:
    """A package with a program of its name."""
    file = FileSpec(f"/usr/bin/{name}", b"#!/bin/sh\n", mode=0o755)
    return tiny_rpm(name, file, version=version, arch="x86_64", **rest)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rich_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with the packages that the examples name."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "world").mkdir()
    base = (program("nano"), program("podman", "4.4"), program("libbase"))
    with make_world(folder / "world", *base) as world:
        strace = program("strace", "6.1", requires=("libunwind8",))
        world.publish(
            replace(strace, summary="System call tracer"),
            program("libunwind8", "1.6", provides=("libunwind.so.8()(64bit)",)),
            program("libxml2"),
            *map(
                program,
                ("grep", "jq", "mutt", "tree", "htop", "vim", "tmux", "editor", "viewer", "nginx"),
            ),
        )
        tiny_repository(folder / "testing", program("podman", "4.5"))
        write_rpm(tiny_rpm("other", "/usr/bin/other"), world.path / "served")
        yield world


@pytest.fixture
def booted(rich_world: World, tmp_path: Path) -> Iterator[Booted]:
    """A machine of it that runs."""
    machine = rich_world.machine(tmp_path / "machine")
    etc = machine.pending().path / "etc"
    (etc / "yum.repos.d").mkdir()
    write_repo_file(etc / "yum.repos.d", "tiny", f"file://{HOST}{rich_world.packages}")
    testing = rich_world.path.parent / "testing"
    for name in ("testing", "updates"):
        write_repo_file(etc / "yum.repos.d", name, f"file://{HOST}{testing}")
    for name in ("crypttab", "vconsole.conf"):
        (etc / name).write_text("\n")
    (etc / "layer/triggers.d").mkdir(parents=True)
    (etc / "layer/triggers.d/mine.toml").write_text(TRIGGER)
    booted = Booted(machine, tmp_path / "booted", is_readonly=False)
    _fill(tmp_path, booted, rich_world)
    yield booted
    make_removable(_work_folder(booted))  # an example makes a sysroot there
    remove([machine.path])


def _fill(folder: Path, booted: Booted, world: World) -> None:
    """Puts the program, and the files that examples name, where they look for them."""
    (folder / "path").mkdir()
    (folder / "path/layer").write_text('#!/bin/sh\nexec python3 -m layer "$@"\n')
    (folder / "path/layer").chmod(0o755)
    work = _work_folder(booted)
    (work / "build").mkdir(parents=True)
    (work / "repos").mkdir()
    write_repo_file(work / "repos", "tiny", f"file://{HOST}{world.packages}")
    (work / "demo-tree.toml").write_text((world.path / "tree.toml").read_text())
    for spec in (program("tool", "2"), program("podman", "4.3.1")):
        write_rpm(spec, work)
    write_rpm(program("tool", "2"), work / "build")


def _work_folder(booted: Booted) -> Path:
    return booted.machine.path / "ostree/deploy" / booted.deployment.stateroot / WORK


def as_here(line: str, world: World) -> str:
    """An example with this world's names for what it calls otherwise."""
    for theirs, ours in (
        (r"\bdemo:demo/1[23]/x86_64/base", f"demo:{REF}"),
        (r"http://127\.0\.0\.1:8000/", world.url),
        (r"https://example\.com/", world.url),
        (r"\s/mnt\b", f" /{WORK}/mnt"),
        (r"\bdeploy 41\b", "deploy 1"),
        (r"\b3f0c2a9\b", world.base.checksum[:7]),
        (r"share-home demo", "share-home tiny"),
    ):
        line = re.sub(theirs, ours, line)
    words = shlex.split(line)
    is_asking = words[1] in ASKING and words[1:] != ["kargs"]  # which alone only shows
    is_agreed = {"-y", "--dry-run", "--check"} & set(words)
    return f"{line} -y" if is_asking and not is_agreed else line


PAGES = sorted({page for page, _ in examples()})


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_the_examples_of_a_page_run(booted: Booted, page: str) -> None:
    folder = booted.machine.path.parent
    lines = [line.partition(" | ")[0] for name, line in examples() if name == page]
    todo = [(line, 0) for line in BEFORE.get(page, [])]
    todo += [(line, STATUS.get(line, 0)) for line in lines if NO_GROUPS not in line]
    printed = ""
    for line, status in todo:
        command = as_here(line, booted.machine.world)
        script = f"PATH={HOST}{folder}/path:$PATH\ncd /{WORK}\n{SYSROOT.get(page, '')}{command}"
        done = booted.run("bash", "-ec", script, status=None)
        printed += f"$ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == status, printed
        assert "Traceback" not in done.stderr, printed


def test_what_runs_elsewhere_is_there() -> None:
    assert set(ELSEWHERE) <= set(PAGES)
