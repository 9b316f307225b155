"""A small sysroot whose trees and /etc change at random, and what a deployment is, path by path."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from random import Random

from layer.model import (
    BootPlan,
    Deployment,
    DirectoryAttributes,
    FileAttributes,
    NewDeployment,
    Recycling,
    Tree,
)
from layer.store.objects import OstreeStore
from layer.store.sysroot import Sysroot, initialize
from layer.store.trees import TreeEditor, empty_tree

OS = "os"
ORIGIN = "[origin]\nrefspec=os:base\n"
_MODES = (0o644, 0o600, 0o755, 0o4755, 0o2711)
_XATTRS = ((), ((b"user.note", b"x"),), ((b"user.a", b"1"), (b"user.b", b"\0\1")))


_CHANGING = {
    f"os.{name}"
    for name in ("chmod", "chown", "link", "mkdir", "removexattr", "rename", "rmdir", "setxattr")
} | {"os.remove", "os.utime"}


def described(folder: Path, *, is_one_store: bool = True) -> dict[str, tuple[object, ...]]:
    """Every path below: type, mode, owner, attributes, content, and the time where it is fixed.

    Where it `is_one_store`, a file of /usr is told by its inode, too: it is the store's own.
    """
    flags = subprocess.run(["lsattr", "-d", folder], capture_output=True, text=True, check=True)
    found: dict[str, tuple[object, ...]] = {".": (*_noun(folder), flags.stdout.split()[0])}
    for path in sorted(folder.rglob("*")):
        name, inode = str(path.relative_to(folder)), path.lstat().st_ino
        is_folder = path.is_dir() and not path.is_symlink()
        if name.split("/")[0] == "etc":  # copied, at the time of the deployment
            found[name] = _noun(path)
        elif is_folder:
            found[name] = (*_noun(path), path.lstat().st_mtime_ns)
        else:
            found[name] = (*_noun(path), inode if is_one_store else None)
    return found


def _noun(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)  # noqa: PTH115  # Path would tidy it up
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    names = sorted(os.listxattr(path, follow_symlinks=False))
    xattrs = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    return (oct(status.st_mode), status.st_uid, status.st_gid, xattrs, content)


class Small:
    """A sysroot with one stateroot and trees of a few dozen files."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.mkdir()
            initialize(path, OS)
        self.path = path

    def sysroot(self) -> Sysroot:
        """A fresh view of it."""
        return Sysroot(self.path)

    @property
    def store(self) -> OstreeStore:
        """Its store."""
        return self.sysroot().store

    def base(self) -> str:
        """A commit with a kernel, an /etc and some directories in /usr."""
        store = self.store
        with store.transaction():
            editor = TreeEditor(store, empty_tree(store))
            for number in range(40):
                _put(store, editor, f"usr/share/d{number % 7}/e{number % 3}/f{number}", number)
            for number in range(20):
                _put(store, editor, f"usr/etc/d{number % 4}/f{number}", number)
            for name in ("vmlinuz", "initramfs.img", "modules.dep"):
                _put(store, editor, f"usr/lib/modules/6.0/{name}", 1)
            _put(store, editor, "usr/lib/modules/6.0/kernel/fs/ext4.ko", 1)
            os_release = store.write_file(FileAttributes(), [b"ID=small\nNAME=Small\n"])
            editor.put_file("usr/lib/os-release", os_release)
            attributes = store.write_directory_attributes(DirectoryAttributes())
            for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"):
                editor.put_directory(name, attributes)
            return self.commit(store, editor.write(), "base")

    def changed(self, commit: str, random: Random, count: int = 12) -> str:
        """A commit that differs in `count` places from another, /usr/etc among them."""
        store = self.store
        with store.transaction():
            editor = TreeEditor(store, store.read_commit(commit).root)
            for _ in range(count):
                _change(store, editor, random)
            return self.commit(store, editor.write(), f"{commit} {random.random()}")

    def deploy(
        self, commit: str, recycling: Recycling, behind: Sequence[int] = (0,), overlay: bytes = b""
    ) -> Deployment:
        """Deploys it, with the /etc of the last one of `behind`: those deployments stay."""
        sysroot = self.sysroot()
        with sysroot.lock(wait=False, on_wait=lambda: None):
            there = sysroot.deployments()
            kept = [there[number] for number in behind] if there else []
            merge = kept[-1] if kept else None
            new = NewDeployment(OS, commit, ORIGIN, merge, ("quiet",), overlay)
            return sysroot.write(BootPlan((new, *kept)), recycling=recycling)[0]

    def clean_up(self, recycling: Recycling = Recycling.SAMPLED) -> None:
        """As `layer cleanup --base`."""
        sysroot = self.sysroot()
        with sysroot.lock(wait=False, on_wait=lambda: None):
            sysroot.clean_up(recycling, may_check_out=True)

    def spares(self) -> list[str]:
        """The commits of which a checkout was put aside."""
        return sorted(path.name for path in self.path.glob("ostree/layer/spare/*"))

    def in_work(self) -> list[Path]:
        """What was left in the place of work."""
        return sorted(self.path.glob("ostree/layer/work/*"))

    def trees(self) -> list[str]:
        """The checkouts of deployments that are there, whether they boot or not."""
        return sorted(p.name for p in self.path.glob("ostree/deploy/os/deploy/*") if p.is_dir())

    def entries(self) -> list[str]:
        """The boot entries."""
        return [path.read_text() for path in sorted(self.path.glob("boot/loader/entries/*"))]

    def commit(self, store: OstreeStore, root: Tree, subject: str) -> str:
        """Commits a tree inside a transaction; it outlives every clean-up."""
        commit = store.write_commit(root, parent=None, timestamp=0, subject=subject, metadata={})
        store.set_ref(f"os/{commit}", commit)
        return commit


def _put(store: OstreeStore, editor: TreeEditor, path: str, number: int) -> None:
    attributes = FileAttributes(
        uid=number % 3,
        gid=number % 2,
        mode=stat.S_IFREG | _MODES[number % len(_MODES)],
        xattrs=_XATTRS[number % len(_XATTRS)],
    )
    if number % 5 == 4:
        attributes = FileAttributes(mode=stat.S_IFLNK | 0o777, target=f"f{number}")
    data = () if attributes.target else (f"{path} {number}".encode(),)
    editor.put_file(path, store.write_file(attributes, data))


def _change(store: OstreeStore, editor: TreeEditor, random: Random) -> None:
    top = random.choice(["usr/share", "usr/share", "usr/etc", "usr/lib/modules/6.0/kernel"])
    number = random.randrange(40)
    path = f"{top}/d{number % 7}/e{number % 3}/f{number}" if top != "usr/etc" else ""
    path = path or f"usr/etc/d{number % 4}/f{number}"
    folder = path.rpartition("/")[0]
    match random.randrange(6):
        case 0 | 1:
            if not isinstance(editor.lookup(folder), str):
                _put(store, editor, path, random.randrange(1000))
        case 2 if editor.lookup(path) is not None:
            editor.remove(path)
        case 3 if isinstance(editor.lookup(folder), Tree):
            attributes = DirectoryAttributes(
                random.randrange(3),
                random.randrange(3),
                stat.S_IFDIR | random.choice([0o755, 0o700, 0o1777, 0o2755]),
                random.choice(_XATTRS),
            )
            editor.put_directory(folder, store.write_directory_attributes(attributes))
        case 4 if isinstance(editor.lookup(folder), Tree):
            editor.remove(folder)
            if top == "usr/share" and random.random() < 0.5:  # a file where a directory was
                _put(store, editor, folder, random.randrange(1000))
        case 5 if isinstance(editor.lookup(path), str):
            editor.remove(path)  # and a directory where a file was
            _put(store, editor, f"{path}/inside", random.randrange(1000))


def die_in_deployment(path: Path, commit: str, at: int) -> bool:
    """Deploys in another process, which is killed before it changes the disk for the `at`th time.

    False where it was through before. What libostree does in between, in C, is its own affair.
    """
    words = [sys.executable, "-m", "tests.recycling", path, commit, str(at)]
    done = subprocess.run(words, check=False, cwd=Path(__file__).parent.parent)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def _die_at(number: int) -> None:
    count = itertools.count(1)

    def hook(event: str, _: object) -> None:
        if event in _CHANGING and next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def edit_etc(etc: Path, random: Random, count: int = 8, spared: Collection[str] = ()) -> None:
    """Does to an /etc what admins do: anything, but not to the names that are `spared`."""
    for _ in range(count):
        found = [p for p in sorted(etc.rglob("*")) if p.relative_to(etc).parts[0] not in spared]
        if found:
            _edit(random.choice(found), random)


def _edit(path: Path, random: Random) -> None:
    if random.random() < 0.2:
        os.chown(path, random.randrange(4), random.randrange(4), follow_symlinks=False)
    elif random.random() < 0.3 and not path.is_symlink():
        path.chmod(random.choice([0o600, 0o755, 0o4755, 0o1777]))
        os.setxattr(path, "user.edited", bytes([random.randrange(256)]))
    elif path.is_dir() and not path.is_symlink():
        if random.random() < 0.3:
            shutil.rmtree(path)
        elif not (new := path / f"new{random.randrange(9)}").is_dir():
            new.write_text("new")
    else:
        path.unlink()
        match random.randrange(4):
            case 0:
                path.symlink_to("elsewhere")
            case 1:
                path.mkdir()
                (path / "below").write_text("x")
            case 2:
                path.write_text(f"edited {random.random()}")


if __name__ == "__main__":
    _small = Small(Path(sys.argv[1]))
    _die_at(int(sys.argv[3]))
    _small.deploy(sys.argv[2], Recycling.SAMPLED)
