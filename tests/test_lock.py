"""`layer lock`: the same commit on another machine, without a solver, a network or a repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layer.errors import InvalidInput
from layer.lock_file import format_lock, parse_lock
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do
from tests.sealing import edited
from tests.snapshot import unchanged
from tests.world import Machine, World, base_packages, layer, ostree, remove

PACKAGES = ("apple", "daemon", "suid")


def lock(machine: Machine, verb: str, *words: str, status: int = 0, **env: str) -> Any:
    """`layer lock VERB` on a machine, without any repository of the world's."""
    return layer("lock", verb, "--sysroot", str(machine.path), *words, status=status, env=env)


def error(done: Any) -> str:
    """The line of its error."""
    (line,) = [row for row in done.stderr.splitlines() if row.startswith("error: ")]
    return str(line)


@pytest.fixture
def pair(world: World, tmp_path: Path) -> Iterator[tuple[Machine, Machine, Path]]:
    """A machine with layers, another one on its base, and the lock of the first."""
    first, second = world.machine(tmp_path / "first"), world.machine(tmp_path / "second")
    do(first, "install", "-y", "--accept-unscripted", "daemon", *PACKAGES)
    lock(first, "export", str(tmp_path / "lock"))
    yield first, second, tmp_path / "lock"
    remove([first.path, second.path])


@pytest.fixture
def no_solver(tmp_path: Path) -> str:
    """A PYTHONPATH on which `import solv` fails."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "solv.py").write_text("raise ImportError('there is no solver here')\n")
    return str(folder)


def copy_packages(source: Machine, target: Machine) -> None:
    """Copies what the first has imported, as an admin does with a disk."""
    refs = list(source.host().store.refs("layer/pkg"))
    repo = f"--repo={target.path}/ostree/repo"
    ostree("pull-local", repo, f"{source.path}/ostree/repo", *refs)


def test_the_same_commit_without_solver_repository_and_network(
    pair: tuple[Machine, Machine, Path], no_solver: str
) -> None:
    first, second, file = pair
    copy_packages(first, second)
    stub = {**os.environ, "PYTHONPATH": no_solver}
    done = subprocess.run([sys.executable, "-c", "import solv"], env=stub, check=False)
    assert done.returncode == 1
    words = ["lock", "import", "--sysroot", str(second.path), "-y", str(file)]
    command = ["unshare", "--net", sys.executable, "-m", "layer", *words]
    subprocess.run(command, env=stub, check=True)
    assert second.pending().checksum == first.pending().checksum
    assert second.layered() == first.layered()
    again = lock(second, "export").stdout
    assert again == file.read_text()


def test_packages_come_from_the_repositories_of_the_lock(
    pair: tuple[Machine, Machine, Path], no_solver: str
) -> None:
    first, second, file = pair
    options = ["--repo-dir", str(second.world.repo_dir)]
    plan = lock(second, "import", "-n", *options, str(file), PYTHONPATH=no_solver).stdout
    assert re.search(r"libseed .* needed by others of the lock\n", plan)
    lock(second, "import", "-y", *options, str(file), PYTHONPATH=no_solver)
    assert second.pending().checksum == first.pending().checksum


def test_packages_come_from_files_and_from_the_cache(
    pair: tuple[Machine, Machine, Path],
) -> None:
    first, second, file = pair
    rpms = [next(second.world.packages.rglob(f"{n}-1-1.*.rpm")) for n in (*PACKAGES, "libseed")]
    lock(second, "import", "-y", str(file), *map(str, rpms))
    assert second.pending().checksum == first.pending().checksum


def test_the_lock_has_checksum_size_and_location_of_every_package(
    pair: tuple[Machine, Machine, Path],
) -> None:
    first, _, file = pair
    found = json.loads(file.read_text())
    assert [p["nevra"].split("-")[0] for p in found["packages"]] == first.layered()
    for package in found["packages"]:
        rpm = first.world.packages / package["location"]
        digest = subprocess.run(["sha256sum", rpm], capture_output=True, text=True, check=True)
        assert package["sha256"] == digest.stdout.split()[0]
        assert (package["size"], package["repository"]) == (rpm.stat().st_size, "tiny")
    assert (found["commit"], found["base"]) == (
        first.pending().checksum,
        first.world.base.checksum,
    )


def test_a_package_that_cannot_be_had_is_named(pair: tuple[Machine, Machine, Path]) -> None:
    _, second, file = pair
    with unchanged(second.path):
        done = lock(second, "import", "-y", str(file), status=1)
    assert "error: these packages of the lock are not here" in done.stderr
    assert re.search(
        r"  apple-1-1.x86_64 \(SHA-256 [0-9a-f]{64}\) of repository tiny\n", done.stderr
    )


def test_a_package_that_left_its_repository_is_named(own_world: World, tmp_path: Path) -> None:
    first, second = own_world.machine(tmp_path / "first"), own_world.machine(tmp_path / "second")
    do(first, "install", "-y", "web")
    lock(first, "export", str(tmp_path / "lock"))
    next(own_world.packages.rglob("web-1-1.*.rpm")).unlink()
    own_world.publish(tiny_rpm("web", "/usr/bin/web", version="2", arch="x86_64"))
    options = ["--repo-dir", str(own_world.repo_dir)]
    done = lock(second, "import", "-y", *options, str(tmp_path / "lock"), status=1)
    assert "web-1-1.x86_64" in error(done)
    # What is layered does not move before an upgrade, and the lock says the same.
    do(first, "install", "-y", "suid")
    rows = json.loads(lock(first, "export").stdout)["packages"]
    assert [row["nevra"] for row in rows] == ["suid-1-1.x86_64", "web-1-1.x86_64"]
    do(first, "upgrade", "-y")
    rows = json.loads(lock(first, "export").stdout)["packages"]
    assert [row["nevra"] for row in rows] == ["suid-1-1.x86_64", "web-2-1.x86_64"]
    remove([first.path, second.path])


def test_a_lock_for_another_base_is_refused(own_world: World, tmp_path: Path) -> None:
    first = own_world.machine(tmp_path / "first")
    lock(first, "export", str(tmp_path / "lock"))
    own_world.publish(*base_packages("2"))
    own_world.compose()
    second = own_world.machine(tmp_path / "second")
    with unchanged(second.path):
        done = lock(second, "import", "-y", str(tmp_path / "lock"), status=1)
    bases = [m.pending().checksum for m in (first, second)]
    assert error(done) == (
        f"error: {tmp_path}/lock is a lock for base {bases[0][:12]}, version 1, "
        f"and {bases[1][:12]} is here"
    )
    assert f"hint: take that base first: layer deploy {bases[0]}" in done.stderr
    remove([first.path, second.path])


def test_local_files_overrides_options_and_ids_are_in_it(world: World, tmp_path: Path) -> None:
    first, second = world.machine(tmp_path / "first"), world.machine(tmp_path / "second")
    tiny_repository(tmp_path / "files", tiny_rpm("loc", "/usr/share/doc/loc/x", arch="x86_64"))
    local = next((tmp_path / "files").rglob("loc-*.rpm"))
    do(first, "install", "-y", "--no-docs", str(local), "web")
    options = ["--sysroot", str(first.path), "--repo-dir", str(world.repo_dir)]
    layer("override", "remove", *options, "-y", "tiny-libc")
    lock(first, "export", str(tmp_path / "lock"))
    copy_packages(first, second)
    lock(second, "import", "-y", "-C", str(tmp_path / "lock"))
    assert second.pending().checksum == first.pending().checksum
    host = second.host()
    assert host.origin(second.pending()) == first.host().origin(first.pending())
    remove([first.path, second.path])


# --- bad input ---


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "is damaged, or no file of layer's: it is no JSON"),
    "cut short": (lambda text: text[:-40], "is damaged, or no file of layer's: it is no JSON"),
    "a list": (lambda _: "[]", "is not what `layer lock` writes"),
    "nested deeply": (lambda _: "[" * 100_000, "is damaged, or no file of layer's"),
    "a plan": (lambda t: t.replace('"kind": "lock"', '"kind": "plan"'), "is not what `layer lock`"),
    "newer": (
        lambda t: t.replace('"schema": 1', '"schema": 2'),
        "has schema 2; this version knows 1",
    ),
    "edited": (lambda t: t.replace("apple-1-1", "apple-1-2"), "was edited, or is damaged"),
    "a location above": (
        edited(lambda v: v["packages"][0].update(location="../../etc/shadow")),
        "location is not what it should be",
    ),
    "an absolute location": (
        edited(lambda v: v["packages"][0].update(location="/etc/shadow")),
        "location is not what it should be",
    ),
    "a short checksum": (
        edited(lambda v: v["packages"][0].update(sha256="abc")),
        "sha256 is not what it should be",
    ),
    "a name with a slash": (
        edited(lambda v: v["packages"][0].update(nevra="../x-1-1.x86_64")),
        "nevra is not what it should be",
    ),
    "no packages": (edited(lambda v: v.pop("packages")), "packages is not what it should be"),
    "a text for a size": (
        edited(lambda v: v["packages"][0].update(size="1")),
        "size is not what it should be",
    ),
    "ids that are texts": (
        edited(lambda v: v.update(ids={"alpha": "1"})),
        "ids is not what it should be",
    ),
    "an origin that is none": (
        edited(lambda v: v.update(origin=["["])),
        "the origin file is corrupt",
    ),
}


@pytest.fixture(scope="module")
def exported(machine_kept: Machine) -> str:
    """A lock with packages."""
    return str(lock(machine_kept, "export").stdout)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_lock_is_one_error(exported: str, name: str) -> None:
    edit, message = BAD[name]
    with pytest.raises(InvalidInput, match=re.escape(message)):
        parse_lock(edit(exported), "the.lock")
    assert format_lock(parse_lock(exported, "the.lock")) == exported


def test_a_lock_that_cannot_be_written_is_one_error(machine_kept: Machine) -> None:
    done = lock(machine_kept, "export", "/nonexistent/lock", status=1)
    error, hint = done.stderr.splitlines()
    assert error == "error: cannot write /nonexistent/lock: No such file or directory"
    assert hint.startswith("hint: name a file in a directory")


def test_a_checksum_that_was_sealed_anew_finds_no_package(
    machine_kept: Machine, exported: str, tmp_path: Path
) -> None:
    file = tmp_path / "lock"
    file.write_text(edited(lambda v: v["packages"][0].update(sha256="0" * 64))(exported))
    with unchanged(machine_kept.path):
        done = lock(machine_kept, "import", "-y", str(file), status=1)
    assert f"apple-1-1.x86_64 (SHA-256 {'0' * 64})" in done.stderr


@pytest.mark.parametrize("key", ["commit", "tools"])
def test_another_commit_than_the_locks_is_not_deployed(
    machine_kept: Machine, exported: str, tmp_path: Path, key: str
) -> None:
    edits: dict[str, Callable[[dict[str, Any]], None]] = {
        "commit": lambda v: v.update(commit="0" * 64, version="0"),
        "tools": lambda v: v["tools"].update(rpm="1.0"),
    }
    file = tmp_path / "lock"
    file.write_text(edited(edits[key])(exported))
    before = machine_kept.pending()
    done = lock(machine_kept, "import", "-y", str(file), status=1)
    assert {"commit": "in place of 000000000000", "tools": "rpm 1.0, here "}[key] in error(done)
    assert machine_kept.pending() == before
