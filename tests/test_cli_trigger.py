"""`layer trigger`, on a machine of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli import do, fails
from tests.snapshot import unchanged
from tests.test_cli_usage import completions
from tests.test_trigger_set import motd, put_local
from tests.world import Machine, layer, ostree


def test_triggers_are_listed_shown_and_checked(machine: Machine, tmp_path: Path) -> None:
    put_local(machine, "motd", motd())
    put_local(machine, "ldconfig", None)
    rows = json.loads(trigger(machine, "list", "--json").stdout)
    found = {(row["name"], row["place"]): row["state"] for row in rows}
    assert found["motd", "local"] == "used"
    assert (found["ldconfig", "packaged"], found["ldconfig", "local"]) == ("masked", "mask")
    assert "motd               local     build" in trigger(machine, "list").stdout
    shown = trigger(machine, "show", "motd").stdout
    assert shown == f"# /etc/layer/triggers.d/motd.toml\n{motd()}"


def test_check_names_every_fault(machine: Machine, tmp_path: Path) -> None:
    good = tmp_path / "motd.toml"
    good.write_text(motd())
    assert trigger(machine, "check", str(good)).stdout == f"{good}: nothing is wrong\n"
    bad = tmp_path / "bad.toml"
    bad.write_text(motd(motd="bad").replace("usr/bin/apple", "var/apple") + "odd = 1\n")
    lines = refused(machine, bad)
    assert lines[0].startswith(f"error: {bad}: match.include[0]: bad pattern 'var/apple'")
    assert lines[1] == f"{bad}: io.odd: unknown key"
    bad.write_text(motd(motd="bad") + '[order]\nafter = ["nobody"]\n')
    assert "there is no trigger 'nobody'" in refused(machine, bad)[0]


def test_check_does_not_mind_what_is_wrong_with_other_files(
    machine: Machine, tmp_path: Path
) -> None:
    """It goes through them when they are checked themselves."""
    put_local(machine, "broken", "schema = 2\n")
    put_local(machine, "lost", motd(motd="lost") + '[order]\nafter = ["nobody"]\n')
    put_local(machine, "pulls", motd(motd="pulls") + '[order]\nafter = ["motd"]\n')
    good = tmp_path / "motd.toml"
    good.write_text(motd() + '[order]\nafter = ["broken", "lost"]\n')
    assert trigger(machine, "check", str(good)).stdout == f"{good}: nothing is wrong\n"
    good.write_text(motd() + '[order]\nafter = ["pulls"]\n')
    assert refused(machine, good)[0] == (
        "error: triggers wait for each other: motd -> pulls -> motd"
    )
    put_local(machine, "unread", None).with_name("strange.toml").symlink_to("elsewhere")
    good.write_text(motd())
    assert trigger(machine, "check", str(good)).stdout == f"{good}: nothing is wrong\n"


def test_run_shows_what_fires_and_what_is_kept(machine: Machine) -> None:
    put_local(machine, "motd", motd())
    repos = ["--repo-dir", str(machine.world.repo_dir)]
    libs = "usr/lib/x86_64-linux-gnu/libutil.so.1"
    assert trigger(machine, "run", "-n").stdout == ""
    with unchanged(machine.path):
        plan = trigger(machine, "run", "-n", *repos, "--with", "apple").stdout
        users = trigger(machine, "run", "-n", *repos, "--with", "daemon", "sysusers").stdout
    assert plan.splitlines() == [
        "ldconfig                 kept or not, by content",
        f"    {libs}",
        "motd                     kept or not, by content",
        "    usr/bin/apple",
    ]
    assert users.splitlines()[1:] == ["    usr/lib/sysusers.d/daemon.conf"]
    machine.install("apple")
    with unchanged(machine.path):
        shown = trigger(machine, "run", "--dry-run", "motd", "ldconfig").stdout
    assert shown.splitlines() == [
        "ldconfig                 output is kept",
        f"    {libs}",
        "motd                     output is kept",
        "    usr/bin/apple",
    ]
    ref = next(iter(machine.host().store.refs("layer/trigger/motd")))
    ostree(f"--repo={machine.path}/ostree/repo", "refs", "--delete", ref)
    rows = json.loads(trigger(machine, "run", "-n", "--json").stdout)
    assert [(row["name"], row["is_kept"], row["inputs"]) for row in rows] == [
        ("ldconfig", True, [libs]),
        ("motd", False, ["usr/bin/apple"]),
    ]
    done = trigger(machine, "run", "motd", status=2)
    assert done.stderr.splitlines()[-1].startswith("Error: triggers run when a tree is made")


def test_the_shell_completes_triggers(machine_kept: Machine) -> None:
    assert completions(machine_kept, "layer trigger show ld") == ["ldconfig"]
    assert completions(machine_kept, "layer trigger verify ldconfig sysu") == ["sysusers"]


def test_a_bad_local_trigger_stops_the_install_before_anything(machine: Machine) -> None:
    put_local(machine, "motd", motd().replace("> /etc/motd", "> /etc/other"))
    lines = fails_anyhow(machine)
    assert lines[0] == "error: trigger motd writes what it does not declare: usr/etc/other"
    put_local(machine, "motd", motd() + '[order]\nafter = ["motd"]\n')
    assert fails(machine, "install", "-y", "apple")[0] == (
        "error: triggers wait for each other: motd -> motd"
    )


def fails_anyhow(machine: Machine) -> list[str]:
    """A failed trigger's scratch stays, to replay it."""
    before = machine.pending()
    done = do(machine, "install", "-y", "apple", status=1)
    assert machine.pending() == before
    return [line for line in done.stderr.splitlines() if line.startswith("error")]


def trigger(machine: Machine, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The group's verbs take the sysroot behind their own name."""
    return layer("trigger", *words, status=status, env={"OSTREE_SYSROOT": str(machine.path)})


def refused(machine: Machine, file: Path) -> list[str]:
    """The lines of the error."""
    return trigger(machine, "check", str(file), status=1).stderr.splitlines()
