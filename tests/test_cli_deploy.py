"""`layer deploy`, `pin` and `unpin`: a base of one's choice, and deployments that stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import REF, STATEROOT, Machine, World, base_packages, ostree, remove


@pytest.fixture
def versions(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine on the third version of its base."""
    for version in ("2", "3"):
        own_world.publish(*base_packages(version))
        own_world.compose()
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def history(machine: Machine) -> list[str]:
    """The base's commits on the server, the newest first."""
    served = f"--repo={machine.world.path}/served"
    log = ostree("log", served, REF).splitlines()
    return [line.split()[1] for line in log if line.startswith("commit ")]


def deploy(machine: Machine, *words: str, **rest: int) -> str:
    repos = ("--repo-dir", str(machine.world.repo_dir))
    return do(machine, "deploy", *repos, *words, **rest).stdout


def test_an_older_version_is_held_until_an_upgrade(versions: Machine) -> None:
    third, second, oldest = history(versions)
    do(versions, "install", "-y", "web")
    with unchanged(versions.path / "ostree/deploy"), unchanged(versions.path / "boot"):
        plan = deploy(versions, "1", "-n")
    assert f"Base: tiny:{REF}, version 1, {oldest[:12]}\n  was: tiny:{REF}, version 3," in plan
    deploy(versions, "1", "-y")
    entry = first(versions)
    assert (entry["base-checksum"], entry["version"]) == (oldest, "1")
    assert f"override-commit={oldest}\n" in origin_of(versions)
    assert "Held: at this base; layer upgrade moves on" in do(versions, "status").stdout
    do(versions, "install", "-y", "pear")  # a change of layers moves no base
    assert first(versions)["base-checksum"] == oldest
    assert versions.layered() == ["libseed", "pear", "web"]
    deploy(versions, second[:9], "-y", "--install", "suid")
    assert first(versions)["base-checksum"] == second
    assert versions.layered() == ["libseed", "pear", "suid", "web"]
    do(versions, "upgrade", "-y")
    assert first(versions)["base-checksum"] == third
    assert "override-commit" not in origin_of(versions)
    assert ostree("fsck", f"--repo={versions.path}/ostree/repo").endswith("no errors found.\n")


def test_the_tree_is_that_of_a_machine_that_was_always_there(
    versions: Machine, tmp_path: Path
) -> None:
    do(versions, "install", "-y", "daemon")
    deploy(versions, "2", "-y")
    fresh = versions.world.machine(tmp_path / "fresh")
    deploy(fresh, "2", "-y", "--install", "daemon")
    assert fresh.pending().checksum == versions.pending().checksum
    remove([tmp_path / "fresh"])


@pytest.mark.parametrize("word", ["7", "3f0c2a9", "", "0" * 64, "../x"])
def test_what_the_history_has_not_is_named(versions: Machine, word: str) -> None:
    entries = [d.checksum for d in versions.host().sysroot.deployments()]
    done = do(versions, "deploy", word, "-y", status=1)
    lines = done.stderr.splitlines()
    assert lines[-2:] == [
        f"error: the history of tiny:{REF} has no {word}",
        "hint: it has, the newest first: 3, 2, 1",
    ]
    assert [d.checksum for d in versions.host().sysroot.deployments()] == entries


def test_a_base_can_be_layered_onto_before_it_ever_boots(versions: Machine) -> None:
    do(versions, "rebase", f"tiny:{REF}", "--install", "apple", "--install", "web", "-y")
    assert versions.layered() == ["apple", "libseed", "web"]
    do(versions, "uninstall", "-y", "apple")
    assert versions.layered() == ["web"]


def test_a_pinned_deployment_outlives_all_that_come(machine: Machine) -> None:
    old = machine.pending()
    before = [p.read_bytes() for p in sorted((machine.path / "boot/loader/entries").iterdir())]
    do(machine, "pin", "0")
    after = [p.read_bytes() for p in sorted((machine.path / "boot/loader/entries").iterdir())]
    assert before == after
    assert first(machine)["pinned"] is True
    for name in ("web", "pear", "suid"):
        machine.install(name)
        assert first(machine)["pinned"] is False
    assert old.checksum in [d.checksum for d in machine.host().sysroot.deployments()]
    index = next(d.index for d in machine.host().sysroot.deployments() if d.is_pinned)
    do(machine, "unpin", str(index))
    machine.install("daemon")
    assert old.checksum not in [d.checksum for d in machine.host().sysroot.deployments()]


@pytest.mark.parametrize("verb", ["pin", "unpin"])
def test_a_wrong_number_is_named(machine_kept: Machine, verb: str) -> None:
    last = len(machine_kept.host().sysroot.deployments()) - 1
    error, hint = fails(machine_kept, verb, "0", "7")
    assert error == f"error: there is no deployment 7 (there is: 0 to {last})"
    assert hint == "hint: `layer status` lists the deployments, the first is 0"
    for word in ("", "x", "1.5"):
        assert do(machine_kept, verb, word, status=2).stderr
    assert first(machine_kept)["pinned"] is False
    assert first(machine_kept)["osname"] == STATEROOT
