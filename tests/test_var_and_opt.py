"""What packages have in /var, /run and /opt is there after a boot, with its owners."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.world import World, remove

USERS = b'u keeper - "Keeper" /var/lib/keeper\n'
PACKAGE = tiny_rpm(
    "vendor",
    FileSpec("/usr/lib/sysusers.d/vendor.conf", USERS),
    FileSpec("/opt/vendor/bin/tool", b"tool\n", mode=0o755),
    FileSpec("/opt/vendor/etc/tool.conf", b"conf\n"),
    FileSpec.directory("/var/lib/keeper", 0o750, "keeper", "keeper"),
    FileSpec("/var/lib/keeper/seed", b"seed\n", mode=0o640, user="keeper", group="keeper"),
    FileSpec("/var/lib/keeper/with space 'and' \"quotes\"", b"odd\n"),
    # systemd-tmpfiles enters no directory of root's inside one of somebody else's.
    FileSpec.directory("/var/lib/keeper/deep", 0o755, "keeper", "keeper"),
    FileSpec("/var/lib/keeper/deep/er", b"deep\n"),
    FileSpec.symlink("/var/lib/keeper/link", "../elsewhere"),
    FileSpec.directory("/run/keeper", 0o700, "keeper", "keeper"),
    arch="x86_64",
)


def facts(path: Path, root: Path) -> tuple[str, int, str]:
    """Mode, owner, and content or target of a path in the root; links to / lead into the root."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "link", status.st_uid, str(path.readlink())
    content = "" if path.is_dir() else path.read_text()
    return f"{stat.S_IMODE(status.st_mode):o}", status.st_uid, content


def test_content_is_there_after_the_trees_own_tmpfiles(own_world: World, tmp_path: Path) -> None:
    own_world.publish(PACKAGE)
    machine = own_world.machine(tmp_path / "machine")
    tree = machine.install("vendor").path
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", str(tree), str(root)], check=True)
    keeper = (tree / "usr/bin").parent.parent / "usr/etc/passwd"
    lines = [line.split(":") for line in keeper.read_text().splitlines()]
    uid = next(int(fields[2]) for fields in lines if fields[0] == "keeper")

    command = ["systemd-tmpfiles", f"--root={root}", "--create", "--boot"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

    var = root / "var"
    assert facts(var / "lib/keeper", root) == ("750", uid, "")
    assert facts(var / "lib/keeper/seed", root) == ("640", uid, "seed\n")
    assert facts(var / "lib/keeper/with space 'and' \"quotes\"", root) == ("644", 0, "odd\n")
    assert facts(var / "lib/keeper/deep/er", root) == ("644", 0, "deep\n")
    assert facts(var / "lib/keeper/link", root) == ("link", 0, "../elsewhere")
    assert facts(root / "run/keeper", root) == ("700", uid, "")
    assert facts(var / "opt/vendor", root) == ("link", 0, "/usr/lib/opt/vendor")
    assert (root / "usr/lib/opt/vendor/bin/tool").read_text() == "tool\n"
    assert str((root / "opt").readlink()) == "var/opt"

    # What a daemon wrote since is its own: another boot changes nothing.
    (var / "lib/keeper/seed").write_text("grown\n")
    subprocess.run(command, check=True, capture_output=True)
    assert facts(var / "lib/keeper/seed", root) == ("640", uid, "grown\n")
    subprocess.run(["chattr", "-i", str(root)], check=False, stderr=subprocess.DEVNULL)
    remove([machine.path])
