"""Changes of /etc: what they are, and that a rollback loses none unasked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layer.change import EtcEdit
from layer.machine_etc import edits, left_behind
from tests.cli import REBOOT, do
from tests.snapshot import unchanged
from tests.world import STATEROOT, Machine


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A checkout whose /etc is as its tree ships it."""
    folder = tmp_path / "deployment"
    for etc in ("usr/etc", "etc"):
        write(folder / etc / "a.conf", "a")
        write(folder / etc / "d/b.conf", "b")
        (folder / etc / "link").symlink_to("a.conf")
    return folder


def change_all(etc: Path) -> None:
    (etc / "a.conf").write_text("other")
    (etc / "d/b.conf").unlink()
    (etc / "link").unlink()
    (etc / "link").symlink_to("d")
    write(etc / "new/x", "x")


def test_every_kind_of_change_is_found(deployment: Path) -> None:
    assert edits(deployment) == ()
    change_all(deployment / "etc")
    found = ["M /etc/a.conf", "D /etc/d/b.conf", "M /etc/link", "A /etc/new"]
    assert [str(edit) for edit in edits(deployment)] == found


@pytest.mark.parametrize("what", ["mode", "owner", "attribute", "kind", "folder mode"])
def test_it_need_not_be_the_content(deployment: Path, what: str) -> None:
    file, path = deployment / "etc/a.conf", "/etc/a.conf"
    if what == "mode":
        file.chmod(0o600)
    elif what == "owner":
        os.chown(file, 12, 34)
    elif what == "attribute":
        os.setxattr(file, "user.x", b"y")
    elif what == "kind":
        file.unlink()
        file.mkdir()
    else:
        (deployment / "etc/d").chmod(0o700)
        path = "/etc/d"
    assert edits(deployment) == (EtcEdit(path, "M"),)


def test_what_the_other_has_too_is_not_left_behind(deployment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "etc/a.conf", "other")
    write(other / "etc/new/x", "y")
    change_all(deployment / "etc")
    left = [str(edit) for edit in left_behind(deployment, other)]
    assert left == ["M /etc/link", "A /etc/new"]


def etc(machine: Machine) -> Path:
    return machine.pending().path / "etc"


def test_a_rollback_says_which_changes_stay_behind(machine: Machine) -> None:
    old = machine.pending()
    machine.install("web")
    (etc(machine) / "tiny.conf").write_text("from=admin\n")
    write(etc(machine) / "mine.conf", "mine\n")
    new = machine.pending()
    with unchanged(machine.path):
        plan = do(machine, "rollback", "-n").stdout
        assert do(machine, "config-diff").stdout == "A /etc/mine.conf\nM /etc/tiny.conf\n"
    assert plan == (
        f"Boot order:\n  default  {STATEROOT}  {old.checksum[:12]}\n"
        f"           {STATEROOT}  {new.checksum[:12]}\n\n"
        "Changes of /etc that stay behind (--keep-etc carries them along):\n"
        "  A /etc/mine.conf\n  M /etc/tiny.conf\n"
    )
    assert do(machine, "rollback", "-y").stdout == f"{plan}{REBOOT}\n"
    assert (etc(machine) / "tiny.conf").read_text() == "from=base\n"
    assert do(machine, "config-diff", "1").stdout == "A /etc/mine.conf\nM /etc/tiny.conf\n"


def test_what_programs_keep_is_counted_beside_what_was_changed(machine: Machine) -> None:
    machine.install("daemon")
    for name in ("passwd-", "shadow-"):
        write(etc(machine) / name, "root\n")
    assert "Changes" not in do(machine, "rollback", "-n").stdout
    write(etc(machine) / "mine.conf", "mine")
    assert do(machine, "rollback", "-n").stdout.endswith(
        "carries them along):\n  A /etc/mine.conf\n  and 2 files of programs' own\n"
    )
    everything = "A /etc/mine.conf\nA /etc/passwd-\nA /etc/shadow-\n"
    assert do(machine, "config-diff").stdout == everything


def test_a_rollback_carries_changes_along_if_asked_to(machine: Machine) -> None:
    old = machine.pending()
    do(machine, "pin", "0")
    machine.install("daemon")
    (etc(machine) / "tiny.conf").write_text("from=admin\n")
    (etc(machine) / "group").write_text("root:x:0:\nmine:x:77:\n")
    done = do(machine, "rollback", "--keep-etc", "-y").stdout
    assert "Changes of /etc that come along:\n" in done
    pending = machine.pending()
    assert (pending.checksum, pending.is_pinned) == (old.checksum, False)
    assert (etc(machine) / "tiny.conf").read_text() == "from=admin\n"
    assert "mine:x:77:" in (etc(machine) / "group").read_text()
    assert not (etc(machine) / "daemon.conf").exists()
    present = machine.host().sysroot.deployments()
    (kept,) = [d for d in present[1:] if d.checksum == old.checksum]
    assert (kept.path / "etc/tiny.conf").read_text() == "from=base\n"


def test_a_wrong_number_is_named(machine_kept: Machine) -> None:
    done = do(machine_kept, "config-diff", "9", status=1)
    assert "error: there is no deployment 9 (there is: 0 to " in done.stderr
