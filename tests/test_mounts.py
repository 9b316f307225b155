"""The calls on mounts, in namespaces of their own: what is looked up is one tree or the other."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from layer import mounts

ROOT = Path(__file__).parent.parent


def alone(script: str, tmp_path: Path) -> str:
    """What a script prints in a mount namespace of its own, with `point`, `old` and `new`."""
    for name in ("old", "new", "third", "point"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    head = f"""
    import os
    from pathlib import Path
    from layer import mounts
    top = Path({str(tmp_path)!r})
    point = str(top / "point")
    def seen(): return Path(point, "name").read_text()
    def stack(): return [Path(m.root).name for m in mounts.read_mounts("self") if m.point == point]
    """
    done = subprocess.run(
        ["unshare", "--mount", "--", sys.executable, "-c", textwrap.dedent(head) + script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_clone_is_read_only_when_it_appears_and_lies_over_what_was(tmp_path: Path) -> None:
    script = """
with mounts.read_only_clone(top / "new") as clone:
    mounts.put_on_top(clone, point)
print(seen(), stack())
try:
    Path(point, "x").touch()
except OSError as error:
    print(error.strerror)
mounts.detach(point)
print(seen(), stack())
"""
    assert alone(script, tmp_path).splitlines() == [
        "new ['new']",
        "Read-only file system",
        "point []",
    ]
    assert (tmp_path / "new/name").read_text() == "new"


def test_a_clone_takes_the_place_of_the_uppermost_mount(tmp_path: Path) -> None:
    script = """
for name in ("old", "new", "third"):
    with mounts.read_only_clone(top / name) as clone:
        if name == "old":
            mounts.put_on_top(clone, point)
        else:
            print(mounts.put_in_place(clone, point))
    print(seen(), stack())
"""
    if not mounts.has_beneath():
        pytest.skip("the kernel cannot put a mount beneath another")
    assert alone(script, tmp_path).splitlines() == [
        "old ['old']",
        "True",
        "new ['new']",
        "True",
        "third ['third']",
    ]


def test_what_cannot_be_put_beneath_is_left_alone(tmp_path: Path) -> None:
    script = """
with mounts.read_only_clone(top / "new") as clone:
    print(mounts.put_in_place(clone, point), seen(), stack())
"""
    assert alone(script, tmp_path) == "False point []\n"


def test_what_is_done_in_anothers_namespace_is_seen_there_alone(tmp_path: Path) -> None:
    script = """
os.chdir(top)
import subprocess
other = subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 60"],
                         stdout=subprocess.PIPE)
other.stdout.read(1)
with mounts.read_only_clone(top / "new") as clone, mounts.in_namespace_of(other.pid):
    mounts.put_on_top(clone, point)
    print(seen())
print(seen(), os.getcwd() == str(top))
print(Path(f"/proc/{other.pid}/root{point}/name").read_text())
other.kill()
"""
    assert alone(script, tmp_path).splitlines() == ["new", "point True", "new"]


def test_who_leaves_a_namespace_keeps_what_it_saw(tmp_path: Path) -> None:
    script = """
import subprocess
other = subprocess.Popen(["sleep", "60"])
subprocess.run(["mount", "--make-rshared", "/"], check=True)
mounts.bind(str(top / "old"), point)
mounts.leave_namespace_of(other.pid)
with mounts.read_only_clone(top / "new") as clone, mounts.in_namespace_of(other.pid):
    mounts.put_on_top(clone, point)
print(seen(), Path(f"/proc/{other.pid}/root{point}/name").read_text())
other.kill()
"""
    assert alone(script, tmp_path) == "old new\n"


def test_a_kernel_without_the_calls_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_OPEN_TREE", 100_000)  # the kernel answers so for what it lacks
    with (
        pytest.raises(mounts.LayerError, match="lacks the call open_tree; nothing is mounted"),
        mounts.read_only_clone(tmp_path),
    ):
        pass


def test_who_may_not_mount_is_told_so(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from layer import mounts\n"
        "try:\n"
        f"    with mounts.read_only_clone(Path({str(tmp_path)!r})): pass\n"
        "except mounts.LayerError as error: print(error.message, error.hint)\n"
    )
    dropped = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]
    done = subprocess.run(
        [*dropped, sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT
    )
    said = "we may not use the kernel's call open_tree; nothing is mounted "
    assert done.stdout == f"{said}{mounts.ALL_RIGHTS}\n"


def test_all_other_failures_are_the_kernels_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="umount2") as caught:
        mounts.detach(str(tmp_path))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (
            r"36 35 98:0 /mnt1 /mnt\0402 ro,noatime shared:1 master:2 - ext3 /dev/root rw",
            mounts.Mount(36, 35, "/mnt1", "/mnt 2", True, 1, 2, "ext3"),
        ),
        (
            "64 63 0:27 /a/usr /usr rw,relatime - tmpfs tmpfs ro,size=2k",
            mounts.Mount(64, 63, "/a/usr", "/usr", False, 0, 0, "tmpfs"),
        ),
    ],
)
def test_a_line_of_mountinfo_is_read(line: str, mount: mounts.Mount) -> None:
    assert mounts.parse_mount(line) == mount


def test_our_own_mounts_can_be_read() -> None:
    assert any(mount.point == "/proc" for mount in mounts.read_mounts(os.getpid()))
