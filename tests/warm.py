"""The program, started from a process that has loaded it: loading takes longer than most verbs.

What is started is a process of its own, forked before anything but loading was done. Where the
environment has a say in how Python or the loader of libraries begins, nothing is forked.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

import layer.__main__

_OF_THE_START = ("PYTHON", "LD_", "LC_", "LANG", "G_", "GI_")
_LARGEST = 1 << 20  # bytes of one request


def run(arguments: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As subprocess.run of `python -m layer` with its output captured as text."""
    command = [sys.executable, "-m", "layer", *arguments]
    if _of_the_start(env) != _of_the_start(os.environ):
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _fork(arguments, env, (out.fileno(), err.fileno()))
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(command, status, *texts)


def _of_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_OF_THE_START)}


def _fork(arguments: Sequence[str], env: Mapping[str, str], output: tuple[int, int]) -> int:
    """The exit status, as subprocess has it."""
    request = json.dumps([str(Path.cwd()), dict(env), list(arguments)]).encode()
    ours, theirs = os.pipe()
    with open(ours, "rb") as told:
        fds = array.array("i", [*output, theirs])
        try:
            _loaded(os.getpid(), str(Path("/proc/self/ns/mnt").readlink())).sendmsg(
                [request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds.tobytes())]
            )
        finally:
            os.close(theirs)
        (status,) = struct.unpack("i", told.read())
    return os.waitstatus_to_exitcode(status)


@cache
def _loaded(_of: int, _sees: str) -> socket.socket:
    """The way to a process that has loaded the program and sees our mounts; it ends with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    return ours


def _serve(control: socket.socket) -> None:
    """Forks the program for every request, and tells how each ended."""
    for module in pkgutil.walk_packages(layer.__path__, "layer."):
        importlib.import_module(module.name)
    gc.freeze()
    assert len([*Path("/proc/self/task").iterdir()]) == 1  # else what is forked could be stuck
    running: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 64)
            _tell_ended(running)
        if control in ready:
            request, fds, _, _ = socket.recv_fds(control, _LARGEST, 3)
            if not request:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(json.loads(request), fds)
            for fd in fds[:2]:
                os.close(fd)
            running[pid] = fds[2]


def _tell_ended(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = running.pop(pid)
        os.write(told, struct.pack("i", status))
        os.close(told)


def _become(request: list, fds: list[int]) -> NoReturn:  # type: ignore[type-arg]
    """What `python -m layer` is, in the folder, with the environment and the words asked for."""
    folder, environment, arguments = request
    try:
        for number, fd in enumerate(fds[:2], 1):
            os.dup2(fd, number)
        os.closerange(3, max(fds) + 1)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [str(layer.__main__.__file__), *arguments]
        layer.__main__.command()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
