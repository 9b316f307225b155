"""Files of the machine's own /etc in an initrd that the boot entry loads after the tree's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from layer.early_files import overlay_initrd
from tests.cli import REBOOT, do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.test_cli_boot import assert_sound
from tests.world import REF, Machine, World

STAGED = Path("/run/ostree/staged-initrds")
OVERLAYS = "boot/ostree/initramfs-overlays"


def initrds(machine: Machine, index: int = 0) -> list[Path]:
    """What the boot entry of a deployment loads, in order, as files."""
    entries = sorted((machine.path / "boot/loader/entries").glob("*.conf"), reverse=True)
    lines = entries[index].read_text().splitlines()
    words = [line.split()[1] for line in lines if line.startswith("initrd ")]
    return [machine.path / "boot" / word.lstrip("/").removeprefix("boot/") for word in words]


def unpacked(archive: Path, folder: Path) -> dict[str, str]:
    """The files in an initrd, as cpio unpacks it."""
    folder.mkdir()
    command = ["cpio", "--extract", "--make-directories", "--quiet"]
    subprocess.run(command, input=archive.read_bytes(), cwd=folder, check=True)
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_tracked_file_is_loaded_and_untracked_again(machine: Machine, tmp_path: Path) -> None:
    etc = machine.pending().path / "etc"
    (etc / "tiny.conf").write_text("from=admin\n")
    (etc / "unlock.d").mkdir()
    (etc / "unlock.d/key").write_text("secret\n")
    (etc / "unlock.d/key").chmod(0o600)
    assert do(machine, "initramfs-etc").stdout == "No tracked files.\n"
    base = initrds(machine)
    assert len(base) == 1

    words = ["--track", "/etc/tiny.conf", "--track", "/etc/unlock.d"]
    with unchanged(machine.path):
        plan = do(machine, "initramfs-etc", "-n", *words).stdout
    told = "Tracked from now on, for the initramfs: /etc/tiny.conf, /etc/unlock.d.\n"
    assert told in plan
    done = do(machine, "initramfs-etc", "-y", *words)
    assert done.stdout.endswith(f"{REBOOT}\n")
    tree, overlay = initrds(machine)
    assert tree == base[0]
    assert unpacked(overlay, tmp_path / "one") == {
        "etc/tiny.conf": "from=admin\n",
        "etc/unlock.d/key": "secret\n",
    }
    assert (tmp_path / "one/etc/unlock.d/key").stat().st_mode & 0o777 == 0o600
    assert machine.pending().overlays == (overlay.stem,)
    assert not (STAGED / overlay.stem).exists()
    shown = do(machine, "initramfs-etc").stdout
    assert shown == "Tracked files:\n  /etc/tiny.conf\n  /etc/unlock.d\n"
    assert first(machine)["initramfs-etc"] == ["/etc/tiny.conf", "/etc/unlock.d"]
    assert "InitramfsEtc: /etc/tiny.conf /etc/unlock.d\n" in do(machine, "status").stdout
    assert origin_of(machine) == (
        f"[origin]\nbaserefspec=tiny:{REF}\n\n"
        "[rpmostree]\ninitramfs-etc=/etc/tiny.conf;/etc/unlock.d;\n"
    )

    again = do(machine, "initramfs-etc", "-y", *words, "--unchanged-exit-77", status=77)
    assert again.stdout == "No change.\n"
    do(machine, "initramfs-etc", "-y", "--untrack", "/etc/unlock.d")
    assert unpacked(initrds(machine)[1], tmp_path / "two") == {"etc/tiny.conf": "from=admin\n"}
    do(machine, "initramfs-etc", "-y", "--untrack-all")
    assert initrds(machine) == base
    assert origin_of(machine) == f"[origin]\nrefspec=tiny:{REF}\n"
    assert_sound(machine)
    do(machine, "cleanup", "-b", "-r")
    assert list((machine.path / OVERLAYS).glob("*")) == []


def test_it_lives_through_other_verbs_and_is_made_anew(machine: Machine, tmp_path: Path) -> None:
    do(machine, "initramfs-etc", "-y", "--track", "/etc/tiny.conf")
    (machine.pending().path / "etc/tiny.conf").write_text("later\n")
    machine.install("apple")
    assert unpacked(initrds(machine)[1], tmp_path / "one") == {"etc/tiny.conf": "later\n"}
    do(machine, "kargs", "-y", "--append=debug")
    assert unpacked(initrds(machine)[1], tmp_path / "two") == {"etc/tiny.conf": "later\n"}
    (machine.pending().path / "etc/tiny.conf").write_text("latest\n")
    do(machine, "rollback", "-y", "--keep-etc")
    assert unpacked(initrds(machine)[1], tmp_path / "three") == {"etc/tiny.conf": "latest\n"}
    do(machine, "reset", "-y")
    assert len(initrds(machine)) == 1


def test_a_sync_is_forced_only_where_files_have_changed(machine: Machine, tmp_path: Path) -> None:
    do(machine, "initramfs-etc", "-y", "--track", "/etc/tiny.conf")
    options = ["-y", "--force-sync", "--unchanged-exit-77"]
    assert do(machine, "initramfs-etc", *options, status=77).stdout == "No change.\n"
    (machine.pending().path / "etc/tiny.conf").write_text("edited\n")
    assert "Tracked files have changed.\n" in do(machine, "initramfs-etc", *options).stdout
    assert unpacked(initrds(machine)[1], tmp_path / "one") == {"etc/tiny.conf": "edited\n"}
    # The kernel and its arguments are the same: only the overlay tells the entries apart.
    assert initrds(machine, 0) != initrds(machine, 1)


def test_an_origin_of_rpm_ostree_is_taken_over(machine: Machine, tmp_path: Path) -> None:
    path = machine.pending().path
    path.with_name(f"{path.name}.origin").write_text(
        f"[origin]\nbaserefspec=tiny:{REF}\n\n[rpmostree]\ninitramfs-etc=/etc/tiny.conf;\n"
    )
    machine.install("apple")
    assert unpacked(initrds(machine)[1], tmp_path / "one") == {"etc/tiny.conf": "from=base\n"}


# --- what cannot be ---


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["--track", "/etc/nothing", "--track", "/etc/neither"],
            [
                "error: tracked for the initramfs, and not in /etc: /etc/neither, /etc/nothing",
                "hint: layer initramfs-etc --untrack /etc/neither --untrack /etc/nothing",
            ],
        ),
        (
            ["--track", "/usr/bin/sh"],
            ["error: '/usr/bin/sh' is no path of a file in /etc", "hint: it is /etc/NAME"],
        ),
        (
            ["--track", "/etc/../usr/bin/sh"],
            ["error: '/etc/../usr/bin/sh' is no path of a file in /etc", "hint: it is /etc/NAME"],
        ),
        (
            ["--untrack", "/etc/tiny.conf"],
            ["error: not tracked: /etc/tiny.conf", "hint: tracked is: nothing"],
        ),
    ],
    ids=["missing", "elsewhere", "dots", "untracked"],
)
def test_wrong_paths_are_one_error(
    machine_kept: Machine, words: list[str], lines: list[str]
) -> None:
    assert fails(machine_kept, "initramfs-etc", "-y", *words) == lines


def test_the_same_files_are_the_same_bytes(world: World, tmp_path: Path) -> None:
    archives = []
    for name in ("a", "b"):
        folder = tmp_path / name / "etc"
        folder.mkdir(parents=True)
        for file in ("two", "one") if name == "a" else ("one", "two"):
            (folder / file).write_text(f"{file}\n")
        (folder / "link").symlink_to("one")
        archives.append(overlay_initrd(folder.parent, ["/etc/one", "/etc/link", "/etc/two"]))
    assert archives[0] == archives[1] != b""
