"""A filter of system calls under which a command's sleep ends as it begins."""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

# By machine: linux/audit.h's name of it, and the numbers of nanosleep and clock_nanosleep.
_CALLS = {
    "x86_64": (0xC000003E, 35, 230),
    "aarch64": (0xC00000B7, 101, 115),
}
# linux/filter.h and linux/seccomp.h: load a word of seccomp_data, jump if equal, return.
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _MACHINE = 0, 4  # where seccomp_data has them
_ALLOW, _RETURN_ZERO = 0x7FFF0000, 0x00050000  # an error number of 0 is a call that succeeded


@contextmanager
def sleepless() -> Iterator[int | None]:
    """A descriptor of the filter, for bubblewrap's --seccomp; None on machines not known here."""
    calls = _CALLS.get(platform.machine())
    if calls is None:
        yield None
        return
    descriptor = os.memfd_create("sleepless", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, _filter(*calls))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _filter(machine: int, *numbers: int) -> bytes:
    """Programs of another machine, whose calls have other numbers, sleep as they want."""
    count = len(numbers)
    steps = [(_LOAD, 0, 0, _MACHINE), (_JUMP_IF_EQUAL, 0, count + 1, machine)]
    steps.append((_LOAD, 0, 0, _NUMBER))
    steps += [(_JUMP_IF_EQUAL, count - i, 0, number) for i, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _RETURN_ZERO)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
