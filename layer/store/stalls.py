"""Connections of a library that does not let go of a server which sends nothing any more.

libostree 2022.7 has no time limit for a pull: it took curl's away (ostreedev/ostree#1349), and
those that it has now came with 2023.7. It looks at its cancellable when an answer comes
(ostree-fetcher-curl.c), and from a server that stalls none does.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

PATIENCE = 60.0  # seconds; a slow mirror of a slow disk may take some to begin
_AGAIN = 0.05  # seconds between looks, or a tenth of the patience where that is more
_TCP_INFO_SIZE = 136
_BYTES_RECEIVED = 128  # tcpi_bytes_received of linux/tcp.h, since 4.1


class Connections:
    """The network connections that this process has opened since this was made."""

    def __init__(self) -> None:
        self._known = frozenset(_sockets().values())

    def hang_up(self) -> None:
        """Ends them."""
        for connection in self._open():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def state(self) -> tuple[tuple[int, int], ...]:
        """What has come on each so far, and how much of it nobody has read yet, in bytes."""
        return tuple((_received(one), _unread(one)) for one in self._open())

    def _open(self) -> Iterator[socket.socket]:
        for descriptor, name in _sockets().items():
            if name not in self._known:
                with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                    if connection.family in (socket.AF_INET, socket.AF_INET6):
                        yield connection


class Watch:
    """Gives up, while inside, once nothing has come and no work was done for `patience` seconds.

    `work` says something else whenever work was done; `give_up` is called then, and the
    connections are hung up until the block ends.
    """

    def __init__(
        self,
        connections: Connections,
        work: Callable[[], object],
        give_up: Callable[[], object],
        patience: float | None = None,
    ) -> None:
        self.patience = PATIENCE if patience is None else patience
        self.has_stalled = False
        self._connections = connections
        self._work = work
        self._give_up = give_up
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        pause = max(_AGAIN, self.patience / 10)
        before: object = None
        waited = 0.0
        while not self._is_over.wait(_AGAIN if self.has_stalled else pause):
            if self.has_stalled:
                self._connections.hang_up()
                continue
            state = self._connections.state()
            now = (state, self._work())
            # What lies unread is no fault of the server's.
            is_waiting = now == before and not any(unread for _, unread in state)
            waited = waited + pause if is_waiting else 0.0
            before = now
            if waited >= self.patience:
                self.has_stalled = True
                self._give_up()


def _received(connection: socket.socket) -> int:
    try:
        found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (count,) = struct.unpack_from("Q", found, _BYTES_RECEIVED)
    except (OSError, struct.error):  # not of TCP, or closed meanwhile
        return 0
    return int(count)


def _unread(connection: socket.socket) -> int:
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))
    except OSError:
        return 0
    return int(count)


def _sockets() -> dict[int, str]:
    """Our open sockets: descriptors and the kernel's names of them."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            name = str(entry.readlink())
            if name.startswith("socket:"):
                found[int(entry.name)] = name
    return found
