"""The program linked as `rpm-ostree`, as playbooks, update agents and scripts call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from layer.commands import _rpm_ostree
from layer.commands._rpm_ostree import translate
from testdata.distro.tiny import Scriptlet, tiny_rpm
from tests.cli import REBOOT, origin_of
from tests.test_architecture import ROOT
from tests.world import Machine, World, remove, write_repo_file

PLAYBOOKS = ("--allow-inactive", "--idempotent", "--unchanged-exit-77")


def link(folder: Path) -> Path:
    """The installed program under its other name, in a directory for $PATH."""
    path = folder / "bin/rpm-ostree"
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(Path(sys.executable).with_name("layer"))
    return path


def rpm_ostree(
    machine: Machine, folder: Path, *words: str, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs it on a machine whose own /etc says where packages come from."""
    program = folder / "bin/rpm-ostree"
    done = subprocess.run(
        [program if program.exists() else link(folder), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OSTREE_SYSROOT": str(machine.path)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def with_repository(machine: Machine) -> Machine:
    """The same machine, whose /etc names the world's packages."""
    folder = machine.pending().path / "etc/yum.repos.d"
    folder.mkdir(exist_ok=True)
    write_repo_file(folder, "tiny", f"file://{machine.world.packages}")
    return machine


@pytest.fixture
def own(machine: Machine) -> Machine:
    """A machine with a repository of its own."""
    return with_repository(machine)


@pytest.fixture
def own_of_own_world(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """The same, whose world may be changed."""
    yield with_repository(own_world.machine(tmp_path / "machine"))
    remove([tmp_path / "machine"])


def test_a_playbooks_calls_have_the_exit_codes_and_texts_that_it_looks_for(
    own: Machine, tmp_path: Path
) -> None:
    done = rpm_ostree(own, tmp_path, "install", *PLAYBOOKS, "apple")
    assert done.stdout.splitlines()[-1] == REBOOT
    again = rpm_ostree(own, tmp_path, "install", *PLAYBOOKS, "apple", status=77)
    assert REBOOT not in again.stdout
    gone = rpm_ostree(own, tmp_path, "uninstall", *PLAYBOOKS, "apple")
    assert gone.stdout.splitlines()[-1] == REBOOT
    rpm_ostree(own, tmp_path, "uninstall", *PLAYBOOKS, "apple", status=77)
    assert rpm_ostree(own, tmp_path, "upgrade", "--peer").stdout == "No upgrade available.\n"
    error = rpm_ostree(own, tmp_path, "install", *PLAYBOOKS, "no-such", status=1).stderr
    assert "no-such" in error.splitlines()[-2]


def test_an_upgrade_names_what_is_new_once(own_of_own_world: Machine, tmp_path: Path) -> None:
    own = own_of_own_world
    rpm_ostree(own, tmp_path, "upgrade", "--check", status=77)
    own.world.publish(tiny_rpm("tiny-libc", version="2.37", arch="x86_64"))
    own.world.compose()
    assert "2.37" in rpm_ostree(own, tmp_path, "upgrade", "--preview").stdout
    assert REBOOT in rpm_ostree(own, tmp_path, "update", "--os", "tiny").stdout
    assert rpm_ostree(own, tmp_path, "upgrade").stdout == "No upgrade available.\n"


def test_an_update_agents_calls_are_served(own_of_own_world: Machine, tmp_path: Path) -> None:
    own = own_of_own_world
    old = own.pending().checksum
    own.world.publish(tiny_rpm("tiny-libc", version="2.37", arch="x86_64"))
    new = own.world.compose().checksum
    agent = ("--register-driver", "Agent", "--bypass-driver", "--skip-branch-check")
    rpm_ostree(own, tmp_path, "deploy", *agent, f"revision={new}", "--disallow-downgrade")
    assert own.pending().checksum == new
    words = ("deploy", "--disallow-downgrade", f"revision={old}")
    error = rpm_ostree(own, tmp_path, *words, status=1).stderr
    assert "is older than what is deployed" in error
    assert own.pending().checksum == new
    rpm_ostree(own, tmp_path, "deploy", f"revision={old}")
    assert own.pending().checksum == old
    listed = json.loads(rpm_ostree(own, tmp_path, "status", "--json").stdout)
    assert [entry["checksum"] for entry in listed["deployments"]] == [old, new]
    assert rpm_ostree(own, tmp_path, "cancel").stdout == "No active transaction.\n"
    assert "no daemon" in rpm_ostree(own, tmp_path, "reload").stdout


def test_unknown_lines_of_scriptlets_do_not_stop_it(
    own_of_own_world: Machine, tmp_path: Path
) -> None:
    own = own_of_own_world
    odd = tiny_rpm("odd", "/usr/bin/odd", scriptlets=(Scriptlet("post", "frob --all\n"),))
    own.world.publish(odd)
    settings = own.pending().path / "etc/layer"
    settings.mkdir()
    (settings / "layer.toml").write_text('scriptlets = "stop"\n')
    error = rpm_ostree(own, tmp_path, "install", "odd", status=1).stderr
    assert "frob --all" in error
    (settings / "layer.toml").unlink()
    done = rpm_ostree(own, tmp_path, "install", "odd")
    assert "frob --all" in done.stdout
    assert own.layered() == ["odd"]
    # The same program under its own name stops there.
    assert "frob --all" in own.layer("install", "-y", "--no-docs", status=1).stderr


def test_reset_takes_back_parts(own: Machine, tmp_path: Path) -> None:
    rpm_ostree(own, tmp_path, "install", "apple")
    rpm_ostree(own, tmp_path, "reset", "--overlays")
    assert own.layered() == []
    assert "requested" not in origin_of(own)


def test_it_calls_itself_by_its_name(own: Machine, tmp_path: Path) -> None:
    help_text = rpm_ostree(own, tmp_path, "install", "--help").stdout
    assert help_text.startswith("Usage: rpm-ostree install ")
    shown = rpm_ostree(own, tmp_path, "--version").stdout.splitlines()
    assert shown[0] == "rpm-ostree:"
    assert shown[1].startswith(" Version: '")


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("update --peer", "upgrade"),
        ("pkg-add apple", "install apple"),
        ("upgrade --register-driver=x --os tiny", "upgrade --os tiny"),
        ("rebase --remote r --branch b --skip-purge", "rebase r:b"),
        ("rebase -m r --branch=b", "rebase r:b"),
        ("rebase -b local", "rebase local"),
        ("rebase --experimental r:b", "rebase r:b"),
        ("deploy version=40", "deploy 40"),
        ("reset", "reset"),
        ("reset -l -r", "uninstall --all --idempotent -r"),
        ("reset --initramfs", "initramfs --disable"),
        ("status -a", "status"),
        ("kargs --append=a=b -- --peer", "kargs --append=a=b -- --peer"),
        ("--help", "--help"),
    ],
)
def test_a_line_in_layers_words(line: str, ours: str) -> None:
    assert translate(line.split()) == ours.split()


@pytest.mark.parametrize("option", sorted(_rpm_ostree.REFUSED))
def test_what_is_not_done_is_refused(option: str, own: Machine, tmp_path: Path) -> None:
    done = rpm_ostree(own, tmp_path, "upgrade", option, status=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr == f"Error: {option} is not served: {_rpm_ostree.REFUSED[option]}\n"


@pytest.mark.parametrize("line", ["rebase --remote r", "reset -l -o"])
def test_what_is_half_said_is_refused(line: str) -> None:
    with pytest.raises(click.UsageError):
        translate(line.split())


def test_its_page_names_every_row_of_the_tables() -> None:
    page = (ROOT / "man/layer-rpm-ostree.7").read_text()
    for word in (*_rpm_ostree.IGNORED, *_rpm_ostree.REFUSED):
        assert f"Fl {word[1:]}" in page, word
    for verb in (*_rpm_ostree.VERBS, *_rpm_ostree.DONE_ALREADY):
        assert f"Cm {verb}" in page, verb
