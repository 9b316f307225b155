"""The how-to pages: their commands, in order, on a running machine that has what they speak of."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs.making.tutorial import commands
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_repository, tiny_rpm
from tests.booted import Booted
from tests.test_architecture import ROOT
from tests.world import make_world, remove, write_repo_file

HOST = "/run/host"
REBOOT = "systemctl reboot"
WORK = "var/work"  # of the stateroot's; the directory that the commands are given in
NETWORK_GOES = "<!-- test: the network goes -->"


def package(name: str, version: str = "1", **rest: object) -> RpmSpec:
    """A package with a program."""
    return tiny_rpm(name, f"/usr/bin/{name}", version=version, arch="x86_64", **rest)  # type: ignore[arg-type]


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[Booted]:
    """A machine that runs; its base has a podman, its repositories are named in its /etc."""
    (tmp_path / "world").mkdir()
    with make_world(tmp_path / "world", package("podman", "4.4")) as world:
        machine = world.machine(tmp_path / "machine")
        folder = machine.pending().path / "etc/yum.repos.d"
        folder.mkdir(exist_ok=True)
        write_repo_file(folder, "tiny", f"file://{HOST}{world.packages}")
        tiny_repository(tmp_path / "testing", package("podman", "4.5"))
        write_repo_file(folder, "testing", f"file://{HOST}{tmp_path}/testing")
        booted = Booted(machine, tmp_path / "booted", is_readonly=False)
        program = tmp_path / "path/layer"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nexec python3 -m layer "$@"\n')
        program.chmod(0o755)
        work_folder(booted).mkdir()
        yield booted
        remove([machine.path])


def work_folder(booted: Booted) -> Path:
    """Where the commands are given, seen from here."""
    return booted.machine.path / "ostree/deploy" / booted.deployment.stateroot / WORK


def give(booted: Booted, *specs: RpmSpec) -> None:
    """Puts packages as files where the commands are given."""
    for spec in specs:
        write_rpm(spec, work_folder(booted))


def follow(booted: Booted, page: str, at: Callable[[str], None] = lambda _: None) -> str:
    """Does what a page says; all that was printed. `at` is told what the page says to the test."""
    text = (ROOT / "docs/how-to" / page).read_text()
    printed = []
    for part in re.split(r"^(<!-- test: .* -->)$", text, flags=re.MULTILINE):
        if part.startswith("<!--"):
            at(part)
            continue
        for command in commands(part):
            if command == REBOOT:
                booted.reboot()
                continue
            where = f"PATH={HOST}{booted.machine.path.parent}/path:$PATH\ncd /{WORK}\n"
            done = booted.run("sh", "-ec", where + command, status=None)
            shown = f"$ {command}\n{done.stdout}{done.stderr}"
            assert done.returncode == 0, "".join([*printed, shown])
            printed.append(shown)
    return "".join(printed)


def test_a_broken_package_is_overridden(booted: Booted) -> None:
    booted.machine.world.publish(package("docker"))
    give(booted, package("podman", "4.3"))
    printed = follow(booted, "override.md")
    assert "podman-4.4-1.x86_64 -> 4.3-1" in printed
    assert "podman-4.4-1.x86_64 -> 4.5-1" in printed
    last = booted.layer("status").stdout.split("\n\n")[0]
    assert "podman" not in last and "docker" not in last


def test_it_works_offline(booted: Booted) -> None:
    world = booted.machine.world
    world.publish(package("podman", "4.4.1"))
    world.compose()
    give(booted, package("tool", "2", requires=("libtool",)), package("libtool", "2"))

    def unplug(said: str) -> None:
        assert said == NETWORK_GOES
        shutil.rmtree(world.packages)
        shutil.rmtree(world.path / "served")

    printed = follow(booted, "offline.md", unplug)
    assert "tool" in printed


GREET = b"""#!/bin/sh
while read line; do echo "$line"; done </usr/share/greet/index
"""
GREET_INDEX = b"""#!/bin/sh
cd /usr/share/greet
for f in *.txt; do read text <$f; echo $f: $text; done >index
"""


def test_a_trigger_is_written(booted: Booted) -> None:
    programs = [("greet", GREET), ("greet-index", GREET_INDEX)]
    files = [FileSpec(f"/usr/bin/{name}", text, mode=0o755) for name, text in programs]
    text = FileSpec("/usr/share/greet/french.txt", b"bonjour\n")
    scriptlet = Scriptlet("post", "greet-index\n")
    booted.machine.world.publish(
        tiny_rpm("greet", *files, arch="x86_64"),
        tiny_rpm("greet-french", text, requires=("greet",), scriptlets=(scriptlet,)),
    )
    printed = follow(booted, "trigger.md")
    assert "nothing stands in for: greet-index\n" in printed
    assert "$ layer run -- greet\nfrench.txt: bonjour\n" in printed


def test_changes_are_rolled_back(booted: Booted) -> None:
    booted.machine.world.publish(package("htop"), package("strace"))
    follow(booted, "roll-back.md")
    assert booted.machine.layered() == []
