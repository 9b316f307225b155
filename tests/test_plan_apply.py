"""`layer plan` builds and deploys nothing; `layer apply` deploys that very commit, or refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import REBOOT, do, first
from tests.sealing import edited
from tests.snapshot import unchanged
from tests.test_plan import VALIDATOR
from tests.world import Machine, World, layer, ostree, remove


def plan(machine: Machine, file: Path, verb: str, *words: str, status: int = 0) -> Any:
    """`layer plan -o FILE VERB WORDS` on a machine."""
    options = ["--sysroot", str(machine.path), "--repo-dir", str(machine.world.repo_dir)]
    return layer("plan", "-o", str(file), verb, *options, *words, status=status)


def apply(machine: Machine, file: Path, *words: str, status: int = 0) -> Any:
    """`layer apply FILE` on a machine."""
    return layer("apply", "--sysroot", str(machine.path), *words, str(file), status=status)


def refused(machine: Machine, file: Path) -> str:
    """The error of a plan that cannot be applied, which changes nothing."""
    with unchanged(machine.path):
        done = apply(machine, file, "-y", status=1)
    (line,) = [row for row in done.stderr.splitlines() if row.startswith("error: ")]
    return str(line)


def test_what_is_planned_is_what_is_deployed(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "plan"
    deployments, boot = machine.path / "ostree/deploy/tiny/deploy", machine.path / "boot"
    with unchanged(deployments), unchanged(boot):
        done = plan(machine, file, "install", "apple", "daemon", "--accept-unscripted", "daemon")
    found = json.loads(file.read_text())
    assert done.stdout.endswith(
        f"\nCommit: {found['commit']}\nIt is deployed by: layer apply {file}\n"
    )
    assert machine.layered() == []
    shown = apply(machine, file, "-n").stdout
    assert f"Commit: {found['commit']}\n  adds apple-1-1.x86_64\n" in shown
    told = done.stdout.partition("Installing")[2]
    assert told.splitlines()[1] in shown
    assert "\nPrivileged files:\n  /usr/bin/daemon: setgid alpha (daemon)\n" in shown
    assert json.loads(apply(machine, file, "-n", "--json").stdout) == found["plan"]
    assert apply(machine, file, "-y").stdout.endswith(f"{REBOOT}\n")
    assert refused(machine, file) == (
        f"error: commit {found['commit'][:12]} of {file} is what boots next already"
    )
    assert machine.pending().checksum == found["commit"]
    assert machine.layered() == ["apple", "daemon", "libseed"]
    assert first(machine)["requested-packages"] == ["apple", "daemon"]
    assert '"added": ["apple-1-1.x86_64", "daemon-1-1.x86_64", "libseed-1-1.x86_64"]' in " ".join(
        do(machine, "history", "--json").stdout.split()
    ).replace("[ ", "[").replace(" ]", "]")
    ostree("fsck", f"--repo={machine.path}/ostree/repo", "--quiet")


def test_the_plan_in_the_file_is_by_the_schema_and_measured(
    machine: Machine, tmp_path: Path
) -> None:
    plan(machine, tmp_path / "plan", "install", "daemon", "--accept-unscripted", "daemon")
    found = json.loads((tmp_path / "plan").read_text())["plan"]
    assert [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(found)] == []
    assert (found["disk"]["is-measured"], found["accounts-unread"]) == (True, [])
    assert {(a["kind"], a["name"]) for a in found["accounts"]} == {
        (kind, name) for kind in ("user", "group") for name in ("alpha", "beta")
    }
    assert all(isinstance(a["id"], int) for a in found["accounts"])


def test_the_same_is_deployed_without_a_plan(world: World, tmp_path: Path) -> None:
    planned, direct = world.machine(tmp_path / "planned"), world.machine(tmp_path / "direct")
    plan(planned, tmp_path / "plan", "install", "pear", "suid")
    apply(planned, tmp_path / "plan", "-y")
    direct.install("pear", "suid")
    assert planned.pending().checksum == direct.pending().checksum
    remove([planned.path, direct.path])


def test_a_plan_goes_through_pipes(machine: Machine) -> None:
    done = plan(machine, Path("-"), "install", "apple")
    found = json.loads(done.stdout)
    assert f"\nCommit: {found['commit']}\nIt is deployed by: layer apply FILE\n" in done.stderr
    command = [sys.executable, "-m", "layer", "apply", "--sysroot", str(machine.path), "-y", "-"]
    subprocess.run(command, input=done.stdout, text=True, check=True)
    assert machine.pending().checksum == found["commit"]


def test_a_plan_to_take_all_away_is_applied(machine: Machine, tmp_path: Path) -> None:
    machine.install("apple")
    plan(machine, tmp_path / "plan", "reset")
    apply(machine, tmp_path / "plan", "-y")
    assert machine.pending().checksum == machine.world.base.checksum


def test_a_plan_is_kept_from_cleanup_until_it_cannot_be_applied(
    machine: Machine, tmp_path: Path
) -> None:
    file = tmp_path / "plan"
    plan(machine, file, "install", "apple")
    do(machine, "cleanup", "-b")
    apply(machine, file, "-y")
    assert machine.layered() == ["apple", "libseed"]
    assert machine.host().store.refs("layer/plan") == {}
    plan(machine, file, "install", "suid")
    machine.uninstall("apple")
    do(machine, "cleanup", "-b")
    assert machine.host().store.refs("layer/plan") == {}
    plan(machine, file, "install", "web")
    do(machine, "cleanup", "-m")
    do(machine, "cleanup", "-b")
    commit = json.loads(file.read_text())["commit"]
    assert refused(machine, file) == (
        f"error: commit {commit[:12]} of {file} is not here: cleaned up, or of another machine"
    )


def test_a_plan_over_what_no_longer_boots_next_is_refused(machine: Machine, tmp_path: Path) -> None:
    before = machine.pending().checksum
    plan(machine, tmp_path / "plan", "install", "apple")
    machine.install("web")
    assert refused(machine, tmp_path / "plan") == (
        f"error: {tmp_path}/plan was made when {before[:12]} was to boot next; "
        "what boots next has changed since"
    )


def test_a_plan_is_refused_where_only_kernel_arguments_have_changed(
    machine: Machine, tmp_path: Path
) -> None:
    plan(machine, tmp_path / "plan", "install", "apple")
    do(machine, "kargs", "-y", "--append=debug")
    assert "what boots next has changed since" in refused(machine, tmp_path / "plan")


def test_a_plan_of_another_machine_is_refused(world: World, tmp_path: Path) -> None:
    one, other = world.machine(tmp_path / "one"), world.machine(tmp_path / "other")
    plan(one, tmp_path / "plan", "install", "apple")
    assert "is not here: cleaned up, or of another machine" in refused(other, tmp_path / "plan")
    remove([one.path, other.path])


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "is damaged, or no file of layer's: it is no JSON"),
    "edited": (lambda text: text.replace("apple", "peach"), "was edited, or is damaged"),
    "newer": (lambda t: t.replace('"schema": 1,\n "seal', '"schema": 2,\n "seal'), "has schema 2"),
    "a path": (
        edited(lambda v: v.update(commit="../" * 8)),
        "commit is not what it should be",
    ),
    "another base": (edited(lambda v: v.update(base="0" * 64)), "no commit 0000"),
    "another stateroot": (
        edited(lambda v: v.update(stateroot="x")),
        "is for the stateroot x",
    ),
    "another commit": (edited(lambda v: v.update(commit="0" * 64)), "is not here"),
}


@pytest.fixture(scope="module")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A machine and a plan for it."""
    folder = tmp_path_factory.mktemp("planned")
    machine = world.machine(folder / "machine")
    plan(machine, folder / "plan", "install", "apple")
    yield machine, (folder / "plan").read_text()
    remove([machine.path])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plan_is_one_error(written: Any, tmp_path: Path, name: str) -> None:
    machine, text = written
    edit, message = BAD[name]
    (tmp_path / "plan").write_text(edit(text))
    assert message in refused(machine, tmp_path / "plan")


def test_a_plan_that_cannot_be_written_is_not_built(machine_kept: Machine) -> None:
    with unchanged(machine_kept.path):
        done = plan(machine_kept, Path("/nonexistent/plan"), "install", "web", status=1)
    assert "Merging" not in done.stderr
    assert "\nerror: cannot write /nonexistent/plan: there is no such directory\n" in done.stderr


@pytest.mark.parametrize("words", [("-n", "web"), ("--download-only", "web"), ("-r", "web")])
def test_what_has_no_part_in_a_plan_is_a_usage_error(
    machine_kept: Machine, tmp_path: Path, words: tuple[str, ...]
) -> None:
    plan(machine_kept, tmp_path / "plan", "install", *words, status=2)
    assert not (tmp_path / "plan").exists()


def test_a_verb_without_a_commit_cannot_be_planned(machine_kept: Machine, tmp_path: Path) -> None:
    done = layer("plan", "-o", str(tmp_path / "plan"), "status", status=2)
    assert "'status' is not one of" in done.stderr
