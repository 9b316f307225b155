"""What packages have in /var, /run and /opt is there after a boot, with its owners."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from layer.crossings import CROSSINGS, owners_handed_over
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


OWNER = tiny_rpm(
    "owner",
    FileSpec("/usr/lib/sysusers.d/owner.conf", b"u keeper -\n"),
    FileSpec("/usr/lib/tmpfiles.d/owner.conf", b"d /var/lib/keeper 0700 keeper root - -\n"),
    FileSpec.directory("/var/lib/keeper", 0o755),
    arch="x86_64",
)
GUEST = tiny_rpm(
    "guest",
    FileSpec.directory("/var/lib/keeper", 0o755),
    FileSpec.directory("/var/lib/keeper/rules", 0o755),
    FileSpec.directory("/var/lib/keeper/rules/vendor", 0o755),
    FileSpec("/var/lib/keeper/rules/vendor/guest", b"rule\n"),
    arch="x86_64",
)


def make_by_root_option(root: Path) -> str:
    """Runs the real systemd-tmpfiles on a root, and gives what it complains of."""
    command = ["systemd-tmpfiles", f"--root={root}", "--create", "--boot"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stderr


def make_in_place(root: Path) -> str:
    """The same, where the root's configuration, accounts and /var are those of / itself."""
    words = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/run", "--tmpfs", "/etc/tmpfiles.d"]
    for path in ("usr/lib/tmpfiles.d", "usr/share/factory", "var"):
        words += ["--bind", str(root / path), f"/{path}"]
    for name in ("passwd", "group"):
        words += ["--bind", str(root / "usr/etc" / name), f"/etc/{name}"]
    command = [*words, "--cap-add", "ALL", "systemd-tmpfiles", "--create", "--boot"]
    done = subprocess.run(
        [*command, "--prefix=/var/lib/keeper"], check=False, capture_output=True, text=True
    )
    return done.stderr


@pytest.mark.parametrize("make", [make_by_root_option, make_in_place])
@pytest.mark.parametrize("before", ["", "var/lib/keeper", "var/lib/keeper/rules"])
@pytest.mark.parametrize("order", [("owner", "guest"), ("guest", "owner"), ("owner guest",)])
def test_content_comes_below_a_directory_of_another_user(
    own_world: World,
    tmp_path: Path,
    make: Callable[[Path], str],
    before: str,
    order: tuple[str, ...],
) -> None:
    """Whether or not that is there already, and the owner's it is in the end."""
    own_world.publish(OWNER, GUEST)
    machine = own_world.machine(tmp_path / "machine")
    for names in order:
        tree = machine.install(*names.split()).path
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", str(tree), str(root)], check=True)
    accounts = (root / "usr/etc/passwd").read_text().splitlines()
    uid = next(int(line.split(":")[2]) for line in accounts if line.startswith("keeper:"))
    keeper = root / "var/lib/keeper"
    if before:
        (root / before).mkdir(parents=True)
        os.chown(keeper, uid, 0)

    for _ in range(2):  # at a later boot it is as at the first one
        said = make(root)
        assert "unsafe" not in said, said
        assert facts(keeper, root) == ("700", uid, "")
        assert facts(keeper / "rules/vendor", root) == ("755", 0, "")
        assert facts(keeper / "rules/vendor/guest", root) == ("644", 0, "rule\n")


def test_a_link_of_the_other_user_leads_nowhere(own_world: World, tmp_path: Path) -> None:
    own_world.publish(OWNER, GUEST)
    machine = own_world.machine(tmp_path / "machine")
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", str(machine.install("owner", "guest").path), str(root)], check=True)
    keeper = root / "var/lib/keeper"
    (root / "aim/vendor").mkdir(parents=True)
    keeper.mkdir(parents=True)
    (keeper / "rules").symlink_to("/aim")
    for path in (keeper, keeper / "rules"):
        os.lchown(path, 4711, 0)
    assert "unsafe path transition" in make_by_root_option(root)
    assert list((root / "aim/vendor").iterdir()) == []


def test_without_the_guest_nothing_is_handed_over(own_world: World, tmp_path: Path) -> None:
    own_world.publish(OWNER, GUEST)
    machine = own_world.machine(tmp_path / "machine")
    with_both = machine.install("owner", "guest").path / CROSSINGS
    assert with_both.read_text() == (
        "d /var/lib/keeper 0700 root root - -\nz /var/lib/keeper - keeper -\n"
    )
    assert not (machine.uninstall("guest").path / CROSSINGS).exists()


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        pytest.param({"owner.conf": "d /var/a 0700 u g"}, [], id="nothing of layer's"),
        pytest.param(
            {"zz-layer-x.conf": "d /var/a 0700 u g\nC /var/a/f"}, [], id="in the directory itself"
        ),
        pytest.param(
            {"zz-layer-x.conf": "d /var/a 0700 u g\nd /var/a/b 0755 u g\nC /var/a/b/f"},
            [],
            id="one owner all the way",
        ),
        pytest.param(
            {"zz-layer-x.conf": 'D! "/var/a b" 0700 u g 10d\nC "/var/a b/c/f"'},
            ['D! "/var/a b" 0700 root g 10d\n', 'z "/var/a b" - u -\n'],
            id="a directory that nothing declares",
        ),
        pytest.param(
            {"zz-layer-x.conf": "d /var/a\nd /var/a/b - v -\nC /var/a/b/c/f\nz /var/a - u -"},
            [
                "d /var/a - root\n",
                "z /var/a - u -\n",
                "d /var/a/b - root -\n",
                "z /var/a/b - v -\n",
            ],
            id="several, and an owner from a later line",
        ),
        pytest.param(
            {"a.conf": "d /var/a 0700 u g", "zz-layer-x.conf": "d /var/a - 0 0\nC /var/a/b/f"},
            ["d /var/a 0700 root g\n", "z /var/a - u -\n"],
            id="the first file's line counts",
        ),
    ],
)
def test_which_directories_are_handed_over(files: dict[str, str], lines: list[str]) -> None:
    assert list(owners_handed_over(files)) == lines
