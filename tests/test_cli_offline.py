"""Without a network: what was downloaded before is enough, and what was not is one error."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import verbs
from layer.errors import LayerError
from layer.importer import find_package
from layer.sandbox import process
from layer.sandbox.machine import reboot
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from testdata.distro.tiny import tiny_rpm
from tests.cli import REBOOT, do, fails, first
from tests.snapshot import unchanged
from tests.world import (
    REF,
    STATEROOT,
    Machine,
    World,
    base_packages,
    ostree,
    remove,
    served,
    write_repo_file,
)


@pytest.fixture
def online(own_world: World, tmp_path: Path) -> Iterator[tuple[Machine, list[str]]]:
    """A machine whose packages come by HTTP too; the paths of all requests, to be cleared."""
    asked: list[str] = []
    with served(own_world.path, asked) as url:
        write_repo_file(own_world.repo_dir, "tiny", f"{url}packages")
        initialize(tmp_path / "machine", STATEROOT)
        machine = Machine(tmp_path / "machine", own_world)
        add_remote(machine.host().store, "tiny", f"{url}served", verify=False)
        machine.apply(lambda host: verbs.rebase(host, f"tiny:{REF}"))
        yield machine, asked
    remove([tmp_path / "machine"])


def move_on(world: World) -> None:
    """A newer base and newer packages."""
    world.publish(*base_packages(version="2"), tiny_rpm("web", version="2", arch="x86_64"))
    world.compose()


def test_what_was_downloaded_is_deployed_without_a_network(
    online: tuple[Machine, list[str]],
) -> None:
    machine, asked = online
    do(machine, "install", "-y", "web")
    move_on(machine.world)
    with unchanged(machine.path / "ostree/deploy"), unchanged(machine.path / "boot"):
        done = do(machine, "upgrade", "-y", "--download-only").stdout
    assert done.endswith("\nDownloaded. With --cache-only the same needs no network.\n")
    plan = do(machine, "upgrade", "-n").stdout
    assert "Changing 1 package:\n  web  1-1  ->  2-1\n" in plan
    asked.clear()
    assert do(machine, "upgrade", "-n", "-C").stdout == plan
    assert do(machine, "upgrade", "-y", "--cache-only").stdout == f"{plan}{REBOOT}\n"
    assert asked == []
    made = machine.pending().checksum
    assert first(machine)["version"] == "2"
    newest = json.loads(do(machine, "history", "--json").stdout)[0]
    assert newest["upgraded"] == [["web-1-1.x86_64", "web-2-1.x86_64"]]
    assert "downgraded" not in newest
    do(machine, "upgrade", "-y")  # and with a network nothing is new
    assert machine.pending().checksum == made


def test_without_a_download_there_is_no_upgrade_to_be_had(
    online: tuple[Machine, list[str]],
) -> None:
    machine, asked = online
    move_on(machine.world)
    asked.clear()
    assert do(machine, "upgrade", "-y", "-C").stdout == "No upgrade available.\n"
    error, hint = fails(machine, "install", "-y", "-C", "web")
    assert error.startswith("error: repository tiny has no metadata in ")
    assert hint == "hint: fetch them while there is a network: layer refresh-md"
    assert asked == []
    do(machine, "refresh-md")
    asked.clear()
    assert fails(machine, "install", "-y", "-C", "web", "apple") == [
        "error: not fetched yet: apple-1-1.x86_64, libseed-1-1.x86_64, web-2-1.x86_64",
        "hint: fetch them while there is a network: --download-only in place of --cache-only",
    ]
    assert asked == []
    do(machine, "install", "-y", "--download-only", "web", "apple")
    asked.clear()
    do(machine, "install", "-y", "-C", "web", "apple")
    assert (asked, machine.layered()) == ([], ["apple", "libseed", "web"])


def test_a_version_is_downloaded_and_deployed_later(online: tuple[Machine, list[str]]) -> None:
    machine, asked = online
    move_on(machine.world)
    with unchanged(machine.path / "ostree/deploy"):
        do(machine, "deploy", "-y", "--download-only", "2")
    asked.clear()
    do(machine, "deploy", "-y", "-C", "2")
    assert (asked, first(machine)["version"]) == ([], "2")


# --- what was downloaded outlives a clean-up ---


def kept(machine: Machine) -> list[str]:
    """The names of the packages in the store, and how many bases are."""
    refs = machine.host().store.refs("layer")
    packages = [find_package(machine.host().store, ref[10:]) for ref in refs if "/pkg/" in ref]
    bases = sum(ref.startswith("layer/base/") for ref in refs)
    return [*sorted(str(p.nevra) for p in packages if p is not None), f"{bases} bases"]


def test_no_cleanup_takes_what_was_downloaded(online: tuple[Machine, list[str]]) -> None:
    machine, asked = online
    do(machine, "install", "-y", "web")
    move_on(machine.world)
    do(machine, "upgrade", "-y", "--download-only")
    do(machine, "cleanup", "-b")
    do(machine, "install", "-y", "suid")  # on the base that the upgrade is to replace
    do(machine, "cleanup", "-b")
    assert kept(machine) == ["suid-1-1.x86_64", "web-1-1.x86_64", "web-2-1.x86_64", "2 bases"]
    ostree("fsck", f"--repo={machine.path}/ostree/repo", "--quiet")
    asked.clear()
    do(machine, "upgrade", "-y", "-C")
    assert asked == []
    assert machine.host().store.refs("layer/download") == {}
    do(machine, "cleanup", "-rb")
    assert kept(machine) == ["suid-1-1.x86_64", "web-2-1.x86_64", "1 bases"]


def test_a_download_takes_the_place_of_the_one_before(online: tuple[Machine, list[str]]) -> None:
    machine, _ = online
    do(machine, "install", "-y", "--download-only", "web")
    do(machine, "install", "-y", "--download-only", "apple")
    do(machine, "cleanup", "-b")
    assert kept(machine) == ["apple-1-1.x86_64", "libseed-1-1.x86_64", "1 bases"]
    do(machine, "install", "-y", "suid")  # the base is what was downloaded: that is over
    do(machine, "cleanup", "-b")
    assert kept(machine) == ["suid-1-1.x86_64", "1 bases"]


def test_a_newer_base_than_the_one_that_was_downloaded_ends_it(
    online: tuple[Machine, list[str]],
) -> None:
    machine, _ = online
    do(machine, "install", "-y", "web")
    move_on(machine.world)
    do(machine, "upgrade", "-y", "--download-only")
    machine.world.publish(*base_packages(version="3"))
    machine.world.compose()
    do(machine, "upgrade", "-y")
    assert first(machine)["version"] == "3"
    assert machine.host().store.refs("layer/download") == {}
    do(machine, "cleanup", "-rb")
    assert kept(machine) == ["web-2-1.x86_64", "1 bases"]


def test_what_was_downloaded_is_given_up_where_asked(online: tuple[Machine, list[str]]) -> None:
    machine, _ = online
    do(machine, "install", "-y", "--download-only", "web")
    do(machine, "cleanup", "-m")
    assert kept(machine) == ["web-1-1.x86_64", "1 bases"]
    do(machine, "cleanup", "-b")
    assert kept(machine) == ["1 bases"]


def test_a_failed_download_leaves_the_one_before(online: tuple[Machine, list[str]]) -> None:
    machine, _ = online
    do(machine, "install", "-y", "--download-only", "web")
    for file in machine.world.packages.rglob("apple*.rpm"):
        file.write_bytes(b"no package")
    fails(machine, "install", "-y", "--download-only", "apple")
    do(machine, "cleanup", "-b")
    assert kept(machine) == ["web-1-1.x86_64", "1 bases"]


def test_a_ref_that_was_never_pulled_is_one_error(machine_kept: Machine) -> None:
    assert fails(machine_kept, "rebase", "-y", "-C", "tiny:some/ref") == [
        "error: the sysroot's repository has no ref tiny:some/ref",
        "hint: pull it while there is a network: leave out --cache-only",
    ]


# --- --reboot ---


@pytest.mark.parametrize(
    "words",
    [
        ("install", "-y", "-r", "web"),
        ("uninstall", "-y", "--reboot", "apple"),
        ("reset", "-y", "-r"),
        ("kargs", "-y", "-r", "--append=quiet=1"),
        ("rollback", "-y", "-r"),
    ],
)
def test_a_reboot_into_what_does_not_run_is_refused(
    machine_kept: Machine, words: tuple[str, ...]
) -> None:
    assert fails(machine_kept, *words) == [
        f"error: --reboot: {machine_kept.path} is not what this machine runs; nothing has changed",
        "hint: leave out --reboot",
    ]


def test_systemctl_is_asked_for_the_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ ! -e {tmp_path}/no ]\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setitem(process.HOST_ENVIRONMENT, "PATH", os.environ["PATH"])
    reboot()
    assert (tmp_path / "asked").read_text() == "reboot\n"
    (tmp_path / "no").touch()
    with pytest.raises(LayerError, match="cannot reboot"):
        reboot()
