"""The typelibs, how their errors become ours, and how Ctrl-C reaches a call that blocks."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gi

from layer.errors import StoreError

gi.require_version("OSTree", "1.0")

from gi.repository import Gio, GLib, OSTree  # noqa: E402  # after require_version

__all__ = [
    "GLib",
    "Gio",
    "OSTree",
    "interruptible",
    "library_version",
    "translated",
    "uninterrupted",
]

_AGAIN = 0.05  # seconds
_INTERRUPTING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def library_version() -> str:
    """libostree's own version."""
    return str(OSTree.VERSION_S)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """A GLib error inside it is raised as a StoreError: `what`, then the library's own words."""
    try:
        yield
    except GLib.Error as error:
        raise StoreError(f"{what}: {error.message}") from error


@contextmanager
def interruptible(also: Callable[[], object] = lambda: None) -> Iterator[Any]:
    """Gives a `Gio.Cancellable` that an interrupting signal cancels; raises KeyboardInterrupt then.

    Python runs no signal handler while libostree's C code works, so a thread
    listens for it. It calls `also`, too, again and again until the block ends.
    """
    cancellable, interrupted = Gio.Cancellable(), threading.Event()

    def cancel() -> None:
        interrupted.set()
        cancellable.cancel()
        also()

    try:
        with _handled(cancel), _listening(cancel):
            yield cancellable
    finally:
        if interrupted.is_set():  # others may cancel for other reasons
            raise KeyboardInterrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is inside is not interrupted: the signal's KeyboardInterrupt is raised at the end."""
    came = threading.Event()
    try:
        with _handled(came.set):
            yield
    finally:
        if came.is_set():
            raise KeyboardInterrupt


@contextmanager
def _handled(act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` where Python would raise KeyboardInterrupt.

    PyGObject prints and drops what is raised inside a callback from C.
    """
    ours = [n for n in sorted(_INTERRUPTING) if signal.getsignal(n) is signal.default_int_handler]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # signals are the main thread's alone
    for number in ours:
        signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def _listening(act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` from a thread as soon as a handled signal comes in."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while numbers := os.read(reader, 64):
            if not _INTERRUPTING.isdisjoint(numbers):
                act()
                while not select.select([reader], [], [], _AGAIN)[0]:
                    act()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(writer)  # which ends the thread, too
        thread.join()
        os.close(reader)
