"""Runs a function in a process of its own, and acts at each of its changes of files."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.kill.calls import (
    BY_NUMBER,
    FREEZE,
    FREEZING,
    SYNCING,
    Call,
    read_arguments,
    stop_at_calls,
)

_SEIZE, _CONT, _LISTEN, _GETREGS, _SETREGS, _GETEVENTMSG = 0x4206, 7, 0x4208, 12, 13, 0x4201
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100000  # fork, vfork, clone, seccomp, exitkill
_EVENTS_OF_NEW, _EVENT_SECCOMP, _EVENT_STOP = (1, 2, 3), 7, 128
_ALL = 0x40000000  # __WALL
_AT_FDCWD = 2**32 - 100
_ORIG_RAX, _RAX = 15, 10
_IOCTL = 16

_RANDOM = (
    (re.compile(r"[0-9a-f]{64}"), "#"),
    (re.compile(r"objects/[0-9a-f]{2}(/[0-9a-f]{62})?"), "objects/#"),
    (re.compile(r"/[0-9a-f]{2}/[0-9a-f]{62}"), "/#"),
    (re.compile(r"^(.*/)?([0-9a-f]{2})$"), r"\1#"),
    (re.compile(r"staging-[0-9a-f-]+-\w{6}"), "staging-?"),
    (re.compile(r"(tmp\.|tmp-|layer-|tmp|\.fetch-|\.new-)\w{6,8}(?=/|$)"), r"\1?"),
    (re.compile(r"fd/\d+"), "fd/?"),
    (re.compile(r"#\d+"), "#?"),
    (re.compile(r"#\.\d+"), "#.N"),
    (re.compile(r"boot\.\d(\.\d)?"), "boot.N"),
    (re.compile(r"loader\.\d"), "loader.N"),
    (re.compile(r"heads/ostree/[0-9/]+"), "heads/ostree/N"),
)
# One as another.
_MADE = re.compile(r"(.*/(?:deploy/#\.N|layer-live/#-\d+)/(?:usr|etc)|.*/difference-\d+)/.*")


@dataclass(frozen=True)
class Place:
    """A call and where it acts: digests, numbers and random parts of the path taken out."""

    call: str
    where: str


@dataclass
class Traced:
    """How the process ended and what it printed; the places of its changes below a directory.

    `strays` are changes that others made there after it was killed.
    """

    status: int = 0
    output: str = ""
    places: list[Place] = field(default_factory=list)
    children: list[Place] = field(default_factory=list)
    struck: Place | None = None
    strays: list[Place] = field(default_factory=list)


@dataclass(frozen=True)
class Blow:
    """What is done at the `number`-th change, the first is 1: SIGKILL, or an error in its place.

    `in_child`: of those of processes that it has started, counted by themselves; `errno`: the
    error; it is that of all changes from then on which are named in `lasting`. `is_alone`: the
    child is killed, not the program.
    """

    number: int
    in_child: bool = False
    errno: int = 0
    lasting: frozenset[str] = frozenset()
    is_alone: bool = False


@dataclass(frozen=True)
class NoSync(Blow):
    """Durability is promised and not given, by the `number`-th call for it; 0: by any.

    Those of the program and of all that it started count alike, if their path ends with one of
    `where`; no word there: whatever their path.
    """

    where: tuple[str, ...] = ()


def trace(
    run: Callable[[], None],
    tops: Path | Sequence[Path],
    output: Path,
    blow: Blow | None = None,
    among: AbstractContextManager[None] | None = None,
) -> Traced:
    """Runs it to its end, or to the blow; it is forked in the context `among`.

    The changes are those below `tops`. No other child of ours may make any meanwhile.
    """
    reader, writer = os.pipe()
    with among or nullcontext():
        pid = os.fork()
        if pid == 0:
            _child(run, reader, writer, output)
    os.close(reader)
    tracer = _Tracer(pid, [str(top) for top in ([tops] if isinstance(tops, Path) else tops)], blow)
    _ptrace(_SEIZE, pid, 0, _OPTIONS)
    os.close(writer)
    done = tracer.loop()
    done.output = output.read_text(errors="replace")
    return done


def _child(run: Callable[[], None], reader: int, writer: int, output: Path) -> None:
    status = 70
    try:
        os.close(writer)
        os.read(reader, 1)  # until we are traced
        os.close(reader)
        os.setsid()
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, nothing), (1, descriptor), (2, descriptor)):
            os.dup2(source, number)
        # pytest has put others in their place.
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        stop_at_calls()
        run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


class _Tracer:
    def __init__(self, pid: int, tops: Sequence[str], blow: Blow | None) -> None:
        self._pid = pid
        self._tops = tops
        self._blow = blow
        self._done = Traced()
        self._groups: dict[int, int] = {}
        self._alive = {pid}
        self._gone: set[int] = set()
        self._is_over = False
        self._synced = 0

    def loop(self) -> Traced:
        while self._alive:
            pid, status = os.waitpid(-1, _ALL)
            if os.WIFSTOPPED(status):
                self._stopped(pid, status)
            else:
                self._ended(pid, status)
        return self._done

    def _ended(self, pid: int, status: int) -> None:
        self._groups.pop(pid, None)
        self._alive.discard(pid)
        self._gone.add(pid)
        if pid == self._pid:
            self._is_over = True
            self._done.status = os.waitstatus_to_exitcode(status)

    def _stopped(self, pid: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        if event in _EVENTS_OF_NEW:
            self._alive |= {_new_process(pid)} - self._gone  # it may have been faster
        if event == _EVENT_SECCOMP:
            self._at_call(pid)
        elif event == _EVENT_STOP and number in (signal.SIGSTOP, signal.SIGTSTP):
            _resume(_LISTEN, pid, 0)
        else:
            _resume(_CONT, pid, 0 if event else number)

    def _at_call(self, pid: int) -> None:
        place = self._place(pid)
        if place is not None:
            self._note(pid, place)
        with suppress(ProcessLookupError):
            _ptrace(_CONT, pid, 0, 0)

    def _note(self, pid: int, place: Place) -> None:
        is_child = self._group(pid) != self._pid
        if self._is_over:
            self._done.strays.append(place)
            return
        if isinstance(self._blow, NoSync):
            self._leave_out(pid, place, self._blow)
        if is_child:
            self._done.children.append(place)
            number = len(self._done.children)
        else:
            self._done.places.append(place)
            number = len(self._done.places)
        blow = self._blow
        if blow is None or isinstance(blow, NoSync) or is_child != blow.in_child:
            return
        if number == blow.number:
            self._done.struck = place
            if blow.is_alone:
                os.kill(self._group(pid), signal.SIGKILL)
            elif not blow.errno:
                self._kill()
            else:
                self._fail(pid, blow.errno)
        elif blow.lasting and self._done.struck and place.call in blow.lasting:
            self._fail(pid, blow.errno)

    def _leave_out(self, pid: int, place: Place, blow: NoSync) -> None:
        if place.call not in SYNCING or not place.where.endswith(blow.where or ""):
            return
        self._synced += 1
        if blow.number in (0, self._synced):
            self._done.struck = place
            # For libostree, a filesystem that cannot be frozen is one that need not be.
            self._fail(pid, errno.EOPNOTSUPP if place.call == FREEZE else 0)

    def _kill(self) -> None:
        """Kills the process, all of it before anything else goes on."""
        os.kill(self._pid, signal.SIGKILL)
        while not self._is_over:
            pid, status = os.waitpid(-1, _ALL)
            if not os.WIFSTOPPED(status):
                self._ended(pid, status)
            elif self._group(pid) != self._pid:  # its own threads are dying
                self._stopped(pid, status)

    def _fail(self, pid: int, number: int) -> None:
        """The call is not made, and answers with the error of that number, or 0: as if it was."""
        registers = bytearray(_registers(pid))
        struct.pack_into("Q", registers, 8 * _ORIG_RAX, 2**64 - 1)
        struct.pack_into("q", registers, 8 * _RAX, -number)
        buffer = (ctypes.c_char * len(registers)).from_buffer(registers)
        _ptrace(_SETREGS, pid, 0, ctypes.addressof(buffer))

    def _group(self, pid: int) -> int:
        """The process of a thread."""
        if pid not in self._groups:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found = next(line for line in lines if line.startswith("Tgid:"))
            self._groups[pid] = int(found.split()[1])
        return self._groups[pid]

    def _place(self, pid: int) -> Place | None:
        """Where a stopped thread is about to make a change; None where that is not below `top`."""
        try:
            number, arguments = read_arguments(_registers(pid))
            call = BY_NUMBER[number]
            where = _path(pid, call, arguments)
            name = (
                FREEZE if number == _IOCTL and arguments[1] & 0xFFFFFFFF == FREEZING else call.name
            )
        except (OSError, ValueError, KeyError):
            return None  # it was killed meanwhile
        if where is None:
            return None
        for top in self._tops:
            if where == top or where.startswith(f"{top}/"):
                short = where[1:] if len(self._tops) > 1 else where[len(top) + 1 :]
                return Place(name, _normal(short))
        return None


def _path(pid: int, call: Call, arguments: tuple[int, ...]) -> str | None:
    if call.file is not None:
        return _link(pid, f"fd/{arguments[call.file] & 0xFFFFFFFF}")
    assert call.path is not None
    name = _string(pid, arguments[call.path])
    if name.startswith("/"):
        return os.path.normpath(name)
    folder = _AT_FDCWD if call.folder is None else arguments[call.folder] & 0xFFFFFFFF
    link = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
    return os.path.normpath(f"{_link(pid, link)}/{name}")


def _link(pid: int, name: str) -> str:
    return str(Path(f"/proc/{pid}/{name}").readlink())


def _normal(where: str) -> str:
    for pattern, word in _RANDOM:
        where = pattern.sub(word, where)
    found = _MADE.fullmatch(where)
    return f"{found[1]}/**" if found else where


def _string(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        # Not beyond the page: the next may not be there.
        found = memory.read(4096 - address % 4096)
        if b"\0" not in found:
            found += memory.read(4096)
    return os.fsdecode(found.partition(b"\0")[0])


def _registers(pid: int) -> bytes:
    buffer = ctypes.create_string_buffer(27 * 8)
    _ptrace(_GETREGS, pid, 0, ctypes.addressof(buffer))
    return buffer.raw


def _new_process(pid: int) -> int:
    """The process or thread that a stopped one has just made."""
    found = ctypes.c_ulong()
    with suppress(ProcessLookupError):
        _ptrace(_GETEVENTMSG, pid, 0, ctypes.addressof(found))
    return found.value or pid


def _resume(request: int, pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        _ptrace(request, pid, 0, number)


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, address: int, value: int) -> None:
    if _LIBC.ptrace(request, pid, address, value) == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
