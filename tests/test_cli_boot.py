"""What boots, and what is said of it: rollback, cleanup, status, and other programs' views."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layer import bootplan, transaction, verbs
from layer.errors import LayerError
from layer.model import BootPlan, Deployment
from tests.cli import REBOOT, do, fails, first
from tests.snapshot import unchanged
from tests.world import REF, STATEROOT, Machine, World, ostree


def checksums(machine: Machine) -> list[str]:
    """The deployments' commits in the order of the boot menu."""
    return [d.checksum for d in machine.host().sysroot.deployments()]


def booting(machine: Machine) -> str:
    """The deployment that the default boot entry names."""
    entries = sorted((machine.path / "boot/loader/entries").iterdir(), reverse=True)
    versions = {
        next(line for line in e.read_text().splitlines() if line.startswith("version ")): e
        for e in entries
    }
    newest = versions[max(versions, key=lambda line: int(line.split()[1]))].read_text()
    link = next(word for word in newest.split() if word.startswith("ostree=")).partition("=")[2]
    return (machine.path / link.lstrip("/")).resolve().name


def assert_sound(machine: Machine) -> None:
    """Every object is what its checksum says, and no commit lacks one."""
    assert ostree("fsck", f"--repo={machine.path}/ostree/repo").endswith("no errors found.\n")


# --- rollback ---


def test_rollback_changes_places_and_a_second_one_returns(machine: Machine) -> None:
    old = machine.pending()
    new = machine.install("web")
    done = do(machine, "rollback", "-y")
    assert done.stdout == (
        "Boot order:\n"
        f"  default  {STATEROOT}  {old.checksum[:12]}\n"
        f"           {STATEROOT}  {new.checksum[:12]}\n"
        f"{REBOOT}\n"
    )
    assert checksums(machine) == [old.checksum, new.checksum]
    assert booting(machine) == f"{old.checksum}.{old.serial}"
    do(machine, "rollback", "-y")
    assert checksums(machine) == [new.checksum, old.checksum]
    assert booting(machine) == f"{new.checksum}.{new.serial}"


def test_rollback_is_planned_without_a_change(machine_kept: Machine) -> None:
    with unchanged(machine_kept.path):
        shown = do(machine_kept, "rollback", "-n").stdout
    assert shown.startswith("Boot order:\n  default  ")
    assert fails(machine_kept, "rollback")[0].startswith("error: nobody is here to say yes")


def test_a_change_after_a_rollback_builds_on_what_boots(machine: Machine) -> None:
    machine.install("web")
    do(machine, "rollback", "-y")
    machine.install("suid")
    assert machine.layered() == ["suid"]


def test_one_deployment_cannot_be_rolled_back(machine: Machine) -> None:
    for words in (["-y"], ["-n"]):
        assert fails(machine, "rollback", *words) == [
            f"error: there is no deployment of {STATEROOT} to roll back to",
            "hint: `layer status` lists the deployments",
        ]


# --- cleanup ---


def test_cleanup_takes_the_rollback_away(machine: Machine) -> None:
    old = machine.pending()
    new = machine.install("web")
    do(machine, "cleanup", "-r")
    assert checksums(machine) == [new.checksum]
    assert not old.path.exists()
    assert_sound(machine)
    assert do(machine, "cleanup", "-r").stdout == "Deployments unchanged.\n"


def test_cleanup_takes_the_pending_deployment_and_its_packages_away(
    machine: Machine, world: World
) -> None:
    new = machine.install("web")
    do(machine, "cleanup", "-p")
    assert checksums(machine) == [world.base.checksum]
    assert not new.path.exists()
    refs = ostree("refs", f"--repo={machine.path}/ostree/repo").split()
    refs = [ref for ref in refs if not ref.startswith("ostree/")]  # libostree's own
    assert sorted(refs) == [f"layer/base/{world.base.checksum}", f"tiny:{REF}"]
    assert do(machine, "cleanup", "-p").stdout == "Deployments unchanged.\n"


def test_the_last_deployment_always_stays(machine: Machine) -> None:
    new = machine.install("web")
    do(machine, "cleanup", "-p", "-r", "-b", "-m")
    assert checksums(machine) == [new.checksum]
    assert machine.layered() == ["web"]


def test_cleanup_keeps_what_deployments_need(machine: Machine, world: World) -> None:
    """An uninstall of one layer needs no network afterwards, although the remote's ref is gone."""
    machine.install("apple", "daemon")
    repo = f"--repo={machine.path}/ostree/repo"
    ostree("refs", repo, "--delete", f"tiny:{REF}")
    do(machine, "cleanup", "-r", "-b")
    assert_sound(machine)
    machine.layer("uninstall", "-y", "daemon")
    assert machine.layered() == ["apple", "libseed"]
    machine.layer("reset", "-y")
    assert machine.pending().checksum == world.base.checksum


def test_cleanup_forgets_metadata(machine: Machine) -> None:
    do(machine, "install", "-n", "web")
    assert (machine.host().cache / "tiny/repomd.xml").exists()
    with unchanged(machine.path):
        do(machine, "cleanup", "-m")
    assert not machine.host().cache.exists()


def test_a_pinned_deployment_is_not_cleaned_up(machine: Machine) -> None:
    machine.install("web")
    ostree("admin", f"--sysroot={machine.path}", "pin", "1")
    assert fails(machine, "cleanup", "-r") == [
        "error: deployment 1 is pinned",
        "hint: layer unpin 1",
    ]
    for name in ("apple", "suid"):
        machine.install(name)
    assert len(checksums(machine)) == 3


def make(index: int, **claims: bool) -> Deployment:
    """A deployment by its number."""
    return Deployment(index, "os", f"{index}" * 64, 0, "", Path("/nowhere"), **claims)


@pytest.mark.parametrize(
    ("booted", "pending", "rollback", "left"),
    [
        (None, True, False, [1, 2]),
        (None, False, True, [0, 2]),
        (None, True, True, [2]),
        (0, True, False, [0, 1, 2]),
        (0, False, True, [0, 2]),
        (1, True, False, [1, 2]),
        (1, False, True, [0, 1]),
        (1, True, True, [1]),
        (2, True, True, [2]),
    ],
)
def test_pending_and_rollback_are_told_by_what_is_booted(
    booted: int | None, pending: bool, rollback: bool, left: list[int]
) -> None:
    there = [make(i, is_booted=i == booted) for i in range(3)]
    other = replace(make(3), stateroot="other")
    plan = bootplan.without([*there, other], "os", pending=pending, rollback=rollback)
    assert plan == BootPlan((*(there[i] for i in left), other))


def test_a_booted_machine_whose_default_is_another_rolls_back_to_what_runs() -> None:
    there = [make(0), make(1, is_booted=True), make(2)]
    assert bootplan.rollback(there, "os") == BootPlan((there[1], there[0], there[2]))
    with pytest.raises(LayerError):
        bootplan.rollback(there[:1], "os")


class FailingLate:
    """A sysroot of libostree's whose write of boot entries fails when it is done."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def write_deployments_with_options(self, *arguments: Any) -> None:
        self._real.write_deployments_with_options(*arguments)
        raise OSError("no memory to look at what was written")


def test_a_failure_after_the_boot_entries_were_written_takes_nothing_away(
    machine: Machine,
) -> None:
    host = machine.host()
    host.sysroot._sysroot = FailingLate(host.sysroot._sysroot)
    with host.locked(), pytest.raises(OSError, match="no memory"):
        transaction.apply(host, verbs.install(host, ["web"]))
    assert machine.layered() == ["web"]
    assert booting(machine).startswith(machine.pending().checksum)
    assert (machine.pending().path / "usr/bin/web").exists()
    do(machine, "cleanup", "-b")
    assert_sound(machine)


# --- status ---

ALWAYS = {
    "id": str,
    "osname": str,
    "checksum": str,
    "serial": int,
    "booted": bool,
    "staged": bool,
    "pinned": bool,
    "unlocked": str,
    "requested-packages": list,
    "requested-local-packages": list,
    "requested-base-removals": list,
    "requested-base-remote-replacements": dict,
    "base-remote-replacements": dict,
    "requested-base-local-replacements": list,
    "packages": list,
    "base-removals": list,
    "base-local-replacements": list,
    "base-commit-meta": dict,
    "regenerate-initramfs": bool,
    # Ours alone:
    "scriptlet-lines-not-run": int,
    "requested-groups": list,
    "inactive-requests": list,
    "left-out-requests": list,
}
HERE = {"version": str, "timestamp": int, "origin": str, "gpg-enabled": bool}
LAYERED = {
    "base-checksum": str,
    "base-version": str,
    "base-timestamp": int,
    "layered-commit-meta": dict,
}


def test_status_json_has_rpm_ostrees_keys_and_types(machine: Machine, world: World) -> None:
    new = machine.install("apple")
    ostree("admin", f"--sysroot={machine.path}", "pin", "0")
    printed = json.loads(do(machine, "status", "--json").stdout)
    assert {k: v for k, v in printed.items() if k != "deployments"} == {
        "transaction": None,
        "cached-update": None,
        "finalization-failed": None,
        "finalization-locked": False,
        "processes-with-old-files": [],
    }
    layered, base = printed["deployments"]
    assert {k: type(v) for k, v in layered.items()} == {**ALWAYS, **HERE, **LAYERED}
    assert {k: type(v) for k, v in base.items()} == {**ALWAYS, **HERE}
    expected = {
        "id": f"{STATEROOT}-{new.checksum}.0",
        "osname": STATEROOT,
        "checksum": new.checksum,
        "serial": 0,
        "booted": False,
        "staged": False,
        "pinned": True,
        "unlocked": "none",
        "requested-packages": ["apple"],
        "packages": ["apple"],
        "origin": f"tiny:{REF}",
        "gpg-enabled": False,
        "version": "1",
        "base-version": "1",
        "base-checksum": world.base.checksum,
    }
    assert {key: layered[key] for key in expected} == expected
    assert json.loads(do(machine, "status", "--json", "-b").stdout)["deployments"] == []


def test_status_text_says_what_is_layered(machine_kept: Machine, world: World) -> None:
    new = machine_kept.pending()
    when = subprocess.run(
        ["ostree", "show", f"--repo={machine_kept.path}/ostree/repo", world.base.checksum],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("Date:  ")[1]
    date = when.splitlines()[0].replace(" +0000", "Z").replace(" ", "T")
    assert do(machine_kept, "status").stdout == (
        f"  tiny:{REF}\n"
        f"          Version: 1 ({date})\n"
        f"       BaseCommit: {world.base.checksum}\n"
        f"           Commit: {new.checksum}\n"
        f"        Stateroot: {STATEROOT}\n"
        "  LayeredPackages: apple\n"
        "\n"
        f"  tiny:{REF}\n"
        f"    Version: 1 ({date})\n"
        f"     Commit: {world.base.checksum}\n"
        f"  Stateroot: {STATEROOT}\n"
    )
    assert do(machine_kept, "status", "-b").stdout == "No deployments.\n"


# --- what other programs see ---


def test_ostree_knows_the_deployments_and_finds_no_fault(machine: Machine, world: World) -> None:
    new = machine.install("apple", "daemon")
    admin = ostree("admin", f"--sysroot={machine.path}", "status")
    assert [line.split()[:2] for line in admin.splitlines() if "." in line and "/" not in line] == [
        [STATEROOT, f"{new.checksum}.0"],
        [STATEROOT, f"{world.base.checksum}.0"],
    ]
    assert_sound(machine)
    config = ostree("admin", f"--sysroot={machine.path}", "config-diff", f"--os={STATEROOT}")
    assert config.strip() == ""


def test_rpm_lists_base_and_layers_on_a_read_only_tree(machine: Machine) -> None:
    usr = machine.install("apple", "daemon").path / "usr"
    before = {p: (p.lstat().st_mtime_ns, p.read_bytes()) for p in (usr / "share/rpm").iterdir()}
    listed = []
    for way in (
        ["--root", str(usr.parent), "--dbpath", "/usr/share/rpm"],
        ["--dbpath", usr / "share/rpm"],
    ):
        script = f'mount --bind "{usr}" "{usr}" && mount -o remount,ro,bind "{usr}" && exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-euc", script, "sh", "rpm", *way, "-qa"],
            capture_output=True,
            text=True,
            check=True,
        )
        listed.append(sorted(done.stdout.split()))
    expected = [
        "apple-1-1.x86_64",
        "daemon-1-1.x86_64",
        "libseed-1-1.x86_64",
        "tiny-kernel-1-1.x86_64",
        "tiny-libc-2.36-1.x86_64",
        "tiny-release-1-1.x86_64",
        "tiny-tools-1-1.x86_64",
    ]
    assert listed == [expected, expected]
    after = {p: (p.lstat().st_mtime_ns, p.read_bytes()) for p in (usr / "share/rpm").iterdir()}
    assert after == before


# --- the origin is everybody's ---

FOREIGN = """\
[origin]
refspec=tiny:{ref}
unconfigured-state=Register first

[rpmostree]
regenerate-initramfs=false
initramfs-args=-I;/etc/x;

[other-tool]
Key=a;b\\;c;
"""


def rewrite_origin(machine: Machine, text: str) -> Path:
    """Puts another origin file beside the deployment that boots next."""
    path = machine.pending().path
    origin = path.with_name(f"{path.name}.origin")
    origin.write_text(text)
    return origin


def test_keys_of_other_tools_survive_all_verbs(machine: Machine) -> None:
    rewrite_origin(machine, FOREIGN.format(ref=REF))
    for words in (
        ["install", "-y", "web", "apple"],
        ["uninstall", "-y", "web"],
        ["rollback", "-y"],
        ["rollback", "-y"],
        ["rebase", "-y", f"tiny:{REF}"],
        ["reset", "-y"],
    ):
        do(machine, *words)
        pending = machine.pending()
        text = pending.path.with_name(f"{pending.path.name}.origin").read_text()
        for line in FOREIGN.splitlines():
            assert line.startswith("refspec=") or line in text.splitlines(), (words, text)
    assert text == FOREIGN.format(ref=REF).replace(
        f"refspec=tiny:{REF}\nunconfigured-state=Register first",
        f"unconfigured-state=Register first\nrefspec=tiny:{REF}",
    )


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("[layer]\nschema=2\n", "the origin file has schema 2; this version knows 1"),
        (
            "[packages]\nrequested-local=abc:x-1-1.x86_64;\n",
            "the origin file says requested-local=abc:x-1-1.x86_64; it is SHA-256:NEVRA",
        ),
        (
            "[overrides]\nreplace=koji=1,nano;\n",
            "the origin file says replace=koji=1,nano; it is repo=ID,NAME,...",
        ),
    ],
    ids=["schema", "local", "overrides"],
)
def test_an_origin_that_asks_for_more_is_refused_untouched(
    machine: Machine, more: str, error: str
) -> None:
    rewrite_origin(machine, f"[origin]\nbaserefspec=tiny:{REF}\n{more}")
    for words in (
        ["install", "-y", "web"],
        ["uninstall", "-y", "--all"],
        ["reset", "-y"],
        ["upgrade", "-y"],
        ["rebase", "-y", f"tiny:{REF}"],
    ):
        assert fails(machine, *words)[0] == f"error: {error}"


def test_an_unreadable_origin_does_not_hide_the_other_deployments(machine: Machine) -> None:
    machine.install("web")
    rewrite_origin(machine, "[origin]\ncontainer-image-reference=ostree-image:x\n")
    shown = do(machine, "status").stdout
    assert "the base is a container image (ostree-image:x), which this version cannot" in shown
    assert f"tiny:{REF}" in shown
    entry = first(machine)
    assert entry["requested-packages"] == []
