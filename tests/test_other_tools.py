"""What other programs see of our deployments is what they see on any OSTree system."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.world import STATEROOT, Machine, ostree


def rpm(tree: Path, *words: str, status: int = 0) -> list[str]:
    """The lines that rpm prints about a deployment."""
    command = ["rpm", "--root", tree, "--dbpath", "/usr/share/rpm", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return sorted(done.stdout.splitlines())


def admin(machine: Machine, verb: str, *words: str) -> str:
    """What `ostree admin` prints."""
    return ostree("admin", verb, f"--sysroot={machine.path}", *words)


def listed(machine: Machine) -> list[tuple[str, bool]]:
    """Checksums in the order of the boot menu, and which are pinned."""
    found = json.loads(machine.layer("status", "--json").stdout)["deployments"]
    return [(entry["checksum"], entry["pinned"]) for entry in found]


def test_ostree_admin_shows_pins_and_takes_away_what_layer_made(machine: Machine) -> None:
    base = machine.pending().checksum
    layered = machine.install("apple").checksum
    lines = admin(machine, "status").splitlines()
    assert any(f"{STATEROOT} {layered}.0" in line for line in lines), lines
    assert any(f"{STATEROOT} {base}.0" in line for line in lines), lines
    admin(machine, "pin", "1")
    assert listed(machine) == [(layered, False), (base, True)]
    again = machine.install("web").checksum
    assert listed(machine) == [(again, False), (layered, False), (base, True)]
    admin(machine, "pin", "--unpin", "2")
    admin(machine, "undeploy", "2")
    assert listed(machine) == [(again, False), (layered, False)]
    # The base is kept, as a pristine tree is wanted again.
    machine.reset()
    assert machine.pending().checksum == base


def test_fsck_finds_nothing(machine: Machine) -> None:
    machine.install("daemon", "suid")
    machine.uninstall("suid")
    ostree("fsck", f"--repo={machine.path}/ostree/repo", "--quiet")


def test_rpm_with_a_tree_s_own_macros_finds_its_database(machine: Machine) -> None:
    machine.install("apple")
    tree = machine.pending().path
    # As on the machine that has booted it, where rpm reads them by itself.
    macros = f"/usr/lib/rpm/macros:{tree}/usr/lib/rpm/macros.d/macros.*"
    command = ["rpm", "--macros", macros, "--root", tree, "-qa", "--queryformat", "%{name}\n"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {"apple", "libseed", "tiny-libc"} <= set(found.splitlines())


def test_rpm_lists_base_and_layers_and_finds_them_as_they_should_be(machine: Machine) -> None:
    machine.install("apple", "suid")
    tree = machine.pending().path
    names = rpm(tree, "-qa", "--queryformat", "%{name}\n")
    assert {"apple", "libseed", "suid", "tiny-libc", "tiny-release"} <= set(names)
    assert rpm(tree, "-V", "--nomtime", "apple", "libseed", "suid", "tiny-libc") == []
    assert rpm(tree, "-qf", "/usr/bin/apple") == ["apple-1-1.x86_64"]
    # A checkout of OSTree has no times. That -V would see a difference:
    (tree / "usr/bin/apple").chmod(0o600)
    assert rpm(tree, "-V", "--nomtime", "apple", status=1) == [".M.......    /usr/bin/apple"]


def test_a_sandbox_runs_what_is_layered(machine: Machine) -> None:
    machine.install("web")
    tree = machine.pending().path
    links = [("usr/bin", "/bin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")]
    view = ["--ro-bind", f"{tree}/usr", "/usr", "--ro-bind", f"{tree}/etc", "/etc"]
    view += [word for target, path in links for word in ("--symlink", target, path)]
    script = "test -f /usr/bin/web && date +%Y"
    command = ["bwrap", *view, "--unshare-all", "--", "/bin/sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2")


def test_a_container_runs_what_is_layered(machine: Machine) -> None:
    machine.install("web")
    tree = machine.pending().path
    before = sorted(tree.iterdir())
    # There need be no systemd here to register with, and its /run is left alone.
    options = ["--register=no", "--keep-unit", "--as-pid2", "--read-only", "--resolv-conf=off"]
    options += ["--timezone=off", "--link-journal=no", "--pipe", "--quiet", "--settings=no"]
    script = "test -f /usr/bin/web && test ! -w /usr && echo $container"
    own_run = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"]
    inside = ["-D", str(tree), "/bin/sh", "-c", script]
    command = [*own_run, "systemd-nspawn", *options, *inside]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "systemd-nspawn\n", "")
    assert sorted(tree.iterdir()) == before
