"""The kernel's calls on mounts, for what neither Python nor a program of util-linux can do whole.

A mount is made aside with its attributes, and appears in one step: open_tree(2), mount_setattr(2)
and move_mount(2). Where a mount is to make room for another, that one is put beneath it first
(Linux 6.5), so that there is no moment without either.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL, ENOSYS, EPERM
from pathlib import Path

from layer.errors import ALL_RIGHTS, LayerError
from layer.frozen import dataclass

# The same on all machines: asm-generic/unistd.h has counted for all since 5.1.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE, _FSMOUNT_CLOEXEC = 1, 1, 6, 1
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_BENEATH = 4, 0x200
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_MNT_DETACH = 2
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_BENEATH_SINCE = (6, 5)
_ESCAPE = re.compile(r"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo (proc(5)): what of a filesystem is where, and who follows whom.

    `root` is the directory of the filesystem that is seen at `point`; `peers` and `master` are
    the groups that share what is mounted below, 0 for none. `kind` is the filesystem's type.
    """

    number: int
    parent: int
    root: str
    point: str
    is_readonly: bool
    peers: int
    master: int
    kind: str


class _Attributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def read_mounts(pid: int | str) -> tuple[Mount, ...]:
    """The mounts that a process sees, in the kernel's order. OSError where it is gone."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines()
    return tuple(parse_mount(line) for line in lines)


def parse_mount(line: str) -> Mount:
    """One line of mountinfo."""
    fields = line.split(" ")
    end = fields.index("-", 6)
    groups = dict(word.split(":") for word in fields[6:end] if ":" in word)
    return Mount(
        number=int(fields[0]),
        parent=int(fields[1]),
        root=_unescaped(fields[3]),
        point=_unescaped(fields[4]),
        is_readonly="ro" in fields[5].split(","),
        peers=int(groups.get("shared", 0)),
        master=int(groups.get("master", 0)),
        kind=fields[end + 1],
    )


def has_beneath() -> bool:
    """Whether the kernel can put a mount beneath another."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return release is not None and (int(release[1]), int(release[2])) >= _BENEATH_SINCE


@contextmanager
def read_only_clone(path: Path) -> Iterator[int]:
    """A mount of a directory that is nowhere yet, read-only and followed by nobody.

    Gives its descriptor. LayerError where the kernel lacks the calls, or we the rights.
    """
    clone = _call(
        "open_tree",
        _OPEN_TREE,
        _AT_FDCWD,
        os.fsencode(path),
        _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC,
    )
    try:
        # It would be a peer of the mount that it is a clone of.
        wanted = _Attributes(set=_MOUNT_ATTR_RDONLY, propagation=_MS_PRIVATE)
        size = ctypes.sizeof(wanted)
        _call(
            "mount_setattr",
            _MOUNT_SETATTR,
            clone,
            b"",
            _AT_EMPTY_PATH,
            ctypes.byref(wanted),
            ctypes.c_size_t(size),
        )
        yield clone
    finally:
        os.close(clone)


def require_calls() -> None:
    """LayerError where this kernel lacks the calls of a live change, or does not allow them."""
    with read_only_clone(Path("/")):
        pass
    with suppress(OSError):  # of nothing: whether the call is there, and is ours, is told first
        _call("move_mount", _MOVE_MOUNT, -1, b"", -1, b"", _MOVE_MOUNT_F_EMPTY_PATH)


def put_on_top(clone: int, point: str) -> None:
    """Makes a clone be what is seen at `point`, in one step; what was seen stays below it."""
    _call(
        "move_mount",
        _MOVE_MOUNT,
        clone,
        b"",
        _AT_FDCWD,
        os.fsencode(point),
        _MOVE_MOUNT_F_EMPTY_PATH,
    )


def put_in_place(clone: int, point: str) -> bool:
    """Makes a clone be what is seen at `point`, in place of the uppermost mount there.

    False, and nothing done, where the kernel cannot put it beneath that one.
    """
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_BENEATH
    try:
        _call("move_mount", _MOVE_MOUNT, clone, b"", _AT_FDCWD, os.fsencode(point), flags)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return False
    detach(point)
    return True


def detach(point: str) -> None:
    """Takes the uppermost mount at `point` away; who has files of it open keeps them."""
    _checked("umount2", _libc.umount2(os.fsencode(point), _MNT_DETACH))


def make_private(point: str, *, is_recursive: bool = False) -> None:
    """What is mounted there elsewhere is no longer seen at `point` in this namespace."""
    flags = _MS_PRIVATE | (_MS_REC if is_recursive else 0)
    _checked("mount", _libc.mount(None, os.fsencode(point), None, ctypes.c_ulong(flags), None))


def bind(source: str, point: str) -> None:
    """Shows a directory at another place, too."""
    flags = ctypes.c_ulong(0x1000)  # MS_BIND
    _checked("mount", _libc.mount(os.fsencode(source), os.fsencode(point), None, flags, None))


def new_tmpfs() -> int | None:
    """The root of a new filesystem in memory that is mounted nowhere, open; None if not for us.

    It is gone with the last descriptor, whatever becomes of the process.
    """
    try:
        context = _call("fsopen", _FSOPEN, b"tmpfs", _FSOPEN_CLOEXEC)
        try:
            with suppress(LayerError, OSError):  # a kernel without large pages takes small ones
                size = b"huge", b"within_size"
                _call("fsconfig", _FSCONFIG, context, _FSCONFIG_SET_STRING, *size, 0)
            _call("fsconfig", _FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
            return _call("fsmount", _FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
        finally:
            os.close(context)
    except (LayerError, OSError):
        return None


def enter_root(directory: int) -> None:
    """Makes an open directory the root and working directory of this thread, for no other."""
    _checked("unshare", _libc.unshare(_CLONE_FS))
    os.fchdir(directory)
    _checked("chroot", _libc.chroot(b"."))


def leave_namespace_of(pid: int | str) -> None:
    """Gives this process mounts of its own, which follow nobody, where it has that one's.

    What is mounted at /usr from now on is not for us: we go on loading what we began with.
    """
    if namespace_of("self") == namespace_of(pid):
        _checked("unshare", _libc.unshare(_CLONE_NEWNS))
    make_private("/", is_recursive=True)


def namespace_of(pid: int | str) -> str:
    """What tells a process's mount namespace from others. OSError where it is gone."""
    return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115  # a link to no path


@contextmanager
def in_namespace_of(pid: int | str) -> Iterator[None]:
    """What is inside sees, and changes, the mounts of another process.

    Paths are its own meanwhile; the working directory is ours again afterwards.
    """
    # An absolute path in a chroot would mean something else afterwards; nobody calls us in one.
    ours = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    here = os.open(".", os.O_PATH)
    try:
        # The kernel wants a root and working directory that no other thread shares.
        _checked("unshare", _libc.unshare(_CLONE_FS))
        _checked("setns", _libc.setns(theirs, _CLONE_NEWNS))
        try:
            yield
        finally:
            _checked("setns", _libc.setns(ours, _CLONE_NEWNS))
            os.fchdir(here)
    finally:
        for descriptor in (ours, theirs, here):
            os.close(descriptor)


def _call(name: str, number: int, *arguments: object) -> int:
    return _checked(name, _libc.syscall(ctypes.c_long(number), *arguments))


def _checked(name: str, result: int) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if number == ENOSYS:
        raise LayerError(
            f"this kernel ({os.uname().release}) lacks the call {name}; nothing is mounted",
            "a live change needs Linux 5.12; a reboot brings what is pending",
        )
    if number == EPERM:
        raise LayerError(f"we may not use the kernel's call {name}; nothing is mounted", ALL_RIGHTS)
    raise OSError(number, f"{name}: {os.strerror(number)}")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
