"""Ansible's own modules for rpm-ostree, on a booted machine where layer is linked as that."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.tiny import tiny_rpm
from tests.booted import Booted
from tests.test_architecture import ROOT
from tests.world import World, remove, write_repo_file

ANSIBLE = ROOT / "build/ansible"
HOST = "/run/host"
INSTALL = "community.general.rpm_ostree_pkg: {name: [apple, web], state: present}"
REMOVE = "community.general.rpm_ostree_pkg: {name: [apple], state: absent}"
UPGRADE = "ansible.posix.rpm_ostree_upgrade: {os: tiny}"
PAGE = ROOT / "docs/how-to/ansible.md"


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, str]]:
    """The recap of each play by its title; all of them are shown at the end."""
    recaps: dict[str, str] = {}
    yield recaps
    lines = [f"{title:<20}{line}" for title, line in recaps.items()]
    print("\n".join(["", "# Recap", *lines]), file=sys.stderr)


@pytest.fixture
def booted(own_world: World, tmp_path: Path) -> Booted:
    """A running machine with the program linked, and packages named in its /etc."""
    subprocess.run([ROOT / "packaging/ansible"], check=True)
    machine = own_world.machine(tmp_path / "machine")
    folder = machine.pending().path / "etc/yum.repos.d"
    folder.mkdir()
    write_repo_file(folder, "tiny", f"file://{HOST}{own_world.packages}")
    (tmp_path / "path").mkdir()
    program = tmp_path / "path/rpm-ostree"  # the checkout's interpreter has another path there
    called = tmp_path / "called/rpm-ostree"
    called.parent.mkdir()
    shutil.copy(Path(sys.executable).with_name("layer"), called)
    program.write_text(f'#!/bin/sh\nexec python3 {HOST}{called} "$@"\n')
    program.chmod(0o755)
    return Booted(machine, tmp_path / "booted", is_readonly=False)


def play(
    booted: Booted,
    folder: Path,
    played: dict[str, str],
    title: str,
    *tasks: str,
    status: int = 0,
) -> str:
    """What a playbook with these tasks prints, whose recap is that of the page.

    With `-s` it is shown, too.
    """
    lines = ["- hosts: localhost", "  gather_facts: false", "  tasks:"]
    lines += [f"    - {task}" for task in tasks]
    (folder / "play.yml").write_text("\n".join([*lines, ""]))
    settings = {
        "PYTHONPATH": f"{HOST}{ROOT}:{HOST}{_purelib()}:{HOST}{ANSIBLE}/lib",
        "ANSIBLE_COLLECTIONS_PATH": f"{HOST}{ANSIBLE}/collections",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_HOME": "/tmp/ansible",
        "ANSIBLE_REMOTE_TEMP": "/tmp/ansible/remote",
        "HOME": "/tmp",
        "PATH": f"{HOST}{folder}/path:/usr/bin:/usr/sbin",
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    command = ("env", *words, "python3", "-m", "ansible", "playbook", f"{HOST}{folder}/play.yml")
    done = booted.run(*command, status=status)
    print(f"\n# {title}\n{done.stdout}", file=sys.stderr)
    figures = recap(done.stdout)
    told = (f"{name}={figures[name]}" for name in ("ok", "changed", "unreachable", "failed"))
    played[title] = f"localhost : {'  '.join(told)}"
    assert f"{title:<20}{played[title]}\n" in PAGE.read_text()
    return done.stdout


def _purelib() -> Path:
    return next(Path(p) for p in sys.path if p.endswith("site-packages") and ".venv" in p)


def recap(printed: str) -> dict[str, int]:
    """The figures of the play's last line."""
    (line,) = re.findall(r"^localhost +: (.*)$", printed, re.MULTILINE)
    return {name: int(number) for name, number in (word.split("=") for word in line.split())}


def changed(printed: str) -> int:
    """How many tasks have changed something; none of them has failed."""
    figures = recap(printed)
    assert (figures["failed"], figures["unreachable"], figures["ok"]) == (0, 0, 1), printed
    return figures["changed"]


def test_the_page_about_ansible_says_what_is_played_here() -> None:
    page = PAGE.read_text()
    assert all(f"    - {task}\n" in page for task in (INSTALL, UPGRADE))
    assert len(re.findall(r"^.* localhost : ok=\d  changed=\d ", page, re.MULTILINE)) == 8


@pytest.mark.slow
def test_playbooks_change_a_machine_once(
    booted: Booted, tmp_path: Path, played: dict[str, str]
) -> None:
    world, machine = booted.machine.world, booted.machine
    assert changed(play(booted, tmp_path, played, "install", INSTALL)) == 1
    booted.reboot()
    assert machine.layered() == ["apple", "libseed", "web"]
    assert changed(play(booted, tmp_path, played, "install again", INSTALL)) == 0
    assert changed(play(booted, tmp_path, played, "remove", REMOVE)) == 1
    booted.reboot()
    assert machine.layered() == ["web"]
    assert changed(play(booted, tmp_path, played, "remove again", REMOVE)) == 0
    assert changed(play(booted, tmp_path, played, "upgrade unchanged", UPGRADE)) == 0
    world.publish(tiny_rpm("tiny-libc", version="2.37", arch="x86_64"))
    world.compose()
    assert changed(play(booted, tmp_path, played, "upgrade", UPGRADE)) == 1
    assert changed(play(booted, tmp_path, played, "upgrade again", UPGRADE)) == 0
    booted.reboot()
    assert machine.layered() == ["web"]
    remove([machine.path])


@pytest.mark.slow
def test_a_playbook_that_asks_for_what_is_not_there_fails(
    booted: Booted, tmp_path: Path, played: dict[str, str]
) -> None:
    task = INSTALL.replace("web", "no-such")
    printed = play(booted, tmp_path, played, "no such package", task, status=2)
    assert recap(printed)["failed"] == 1
    assert "no-such" in printed
    remove([booted.machine.path])
