"""The system calls that change files or mounts, on x86-64; the filter that stops at them."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass

_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_LOAD, _EQUAL, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF's, on 32-bit words
_NUMBER, _ARGUMENTS = 0, 16  # offsets in struct seccomp_data
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PR_SET_SECCOMP, _FILTER = 22, 2


FREEZE, FREEZING = "ioctl FIFREEZE", 0xC0045877
SYNCING = frozenset({"fsync", "fdatasync", "syncfs", "sync_file_range", FREEZE})


@dataclass(frozen=True)
class Call:
    """A system call: which of its arguments name what it changes.

    `file`: a descriptor of what changes. `path`: a path, relative to the descriptor `folder`
    where there is one. `values` of the argument `decides`, or bits in it, make it a change.
    """

    number: int
    name: str
    file: int | None = None
    path: int | None = None
    folder: int | None = None
    decides: int | None = None
    bits: int = 0
    values: tuple[int, ...] = ()


CALLS = (
    Call(1, "write", file=0),
    Call(18, "pwrite64", file=0),
    Call(20, "writev", file=0),
    Call(296, "pwritev", file=0),
    Call(328, "pwritev2", file=0),
    Call(40, "sendfile", file=0),
    Call(275, "splice", file=2),
    Call(326, "copy_file_range", file=2),
    Call(16, "ioctl", file=0, decides=1, values=(0x40049409, 0x4020940D, 0x40086602, FREEZING)),
    Call(2, "open", path=0, decides=1, bits=_WRITING),
    Call(257, "openat", path=1, folder=0, decides=2, bits=_WRITING),
    Call(437, "openat2", path=1, folder=0),
    Call(85, "creat", path=0),
    Call(76, "truncate", path=0),
    Call(77, "ftruncate", file=0),
    Call(285, "fallocate", file=0),
    Call(82, "rename", path=1),
    Call(264, "renameat", path=3, folder=2),
    Call(316, "renameat2", path=3, folder=2),
    Call(86, "link", path=1),
    Call(265, "linkat", path=3, folder=2),
    Call(88, "symlink", path=1),
    Call(266, "symlinkat", path=2, folder=1),
    Call(87, "unlink", path=0),
    Call(263, "unlinkat", path=1, folder=0),
    Call(84, "rmdir", path=0),
    Call(83, "mkdir", path=0),
    Call(258, "mkdirat", path=1, folder=0),
    Call(133, "mknod", path=0),
    Call(259, "mknodat", path=1, folder=0),
    Call(90, "chmod", path=0),
    Call(91, "fchmod", file=0),
    Call(268, "fchmodat", path=1, folder=0),
    Call(92, "chown", path=0),
    Call(93, "fchown", file=0),
    Call(94, "lchown", path=0),
    Call(260, "fchownat", path=1, folder=0),
    Call(188, "setxattr", path=0),
    Call(189, "lsetxattr", path=0),
    Call(190, "fsetxattr", file=0),
    Call(197, "removexattr", path=0),
    Call(198, "lremovexattr", path=0),
    Call(199, "fremovexattr", file=0),
    Call(235, "utimes", path=0),
    Call(280, "utimensat", path=1, folder=0),
    Call(74, "fsync", file=0),
    Call(75, "fdatasync", file=0),
    Call(277, "sync_file_range", file=0),
    Call(306, "syncfs", file=0),
    Call(165, "mount", path=1),
    Call(166, "umount2", path=0),
    Call(429, "move_mount", path=3, folder=2),
)
BY_NUMBER = {call.number: call for call in CALLS}
# What needs room: on a full disk these fail, and what only takes away does not.
TAKING = frozenset(
    {
        *("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"),
        *("copy_file_range", "open", "openat", "creat", "fallocate", "rename"),
        *("renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
        *("mkdir", "mkdirat", "mknod", "mknodat", "setxattr", "lsetxattr"),
        *("fsetxattr"),
    }
)


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("is_true", ctypes.c_ubyte),
        ("is_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def stop_at_calls() -> None:
    """Has this process and its children stop for their tracer at each of the calls; needs root."""
    code = [(_LOAD, 0, 0, _NUMBER)]
    for call in CALLS:
        code += _lines(call)
    code.append((_RETURN, 0, 0, _ALLOW))
    array = (_Instruction * len(code))(*(_Instruction(*line) for line in code))
    program = _Program(len(code), ctypes.addressof(array))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _lines(call: Call) -> list[tuple[int, int, int, int]]:
    """Each part leaves the number loaded for the one behind it."""
    verdict = (_RETURN, 0, 0, _TRACE)
    if call.decides is None:
        return [(_EQUAL, 0, 1, call.number), verdict]
    tests = [(_ANY_OF, call.bits)] if call.bits else [(_EQUAL, value) for value in call.values]
    rows = [(code, len(tests) - n, 0, operand) for n, (code, operand) in enumerate(tests)]
    inner = [
        (_LOAD, 0, 0, _ARGUMENTS + 8 * call.decides),
        *rows,
        (_RETURN, 0, 0, _ALLOW),
        verdict,
    ]
    return [(_EQUAL, 0, len(inner), call.number), *inner]


def read_arguments(registers: bytes) -> tuple[int, tuple[int, ...]]:
    """The number of the call and its arguments, of a struct user_regs_struct."""
    values = struct.unpack("27Q", registers)
    return values[15], tuple(values[n] for n in (14, 13, 12, 7, 9, 8))
