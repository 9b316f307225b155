"""Signals that end the program: as an exception, and to calls that would not notice them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_AGAIN = 0.05  # seconds
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_SHELLS = 128  # what shells add to the number of the signal that ended a command


class Interrupted(KeyboardInterrupt):
    """A signal came, of that `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def arm() -> None:
    """From now on a signal that ends the program raises Interrupted."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _interrupt)


def disarm() -> None:
    """The program ends anyway: from now on no signal spoils its last words."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def exit_status(error: BaseException) -> int | None:
    """What to exit with, as a shell has it, where a signal lies behind an error; None for none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return _OF_SHELLS + (seen.number if isinstance(seen, Interrupted) else signal.SIGINT)
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def heard(act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` again and again, from a thread, once a signal came; at the end Interrupted.

    Python runs no signal handler while C code works, and what is raised inside a callback from
    C may be dropped. `act` may send signals itself, for C code that heeds no other way.
    """
    came: list[int] = []
    try:
        with _handled(came.append), _listening(came, act):
            yield
    finally:
        if came:
            raise Interrupted(came[0])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is inside is not interrupted: Interrupted is raised at the end."""
    came: list[int] = []
    try:
        with _handled(came.append):
            yield
    finally:
        if came:
            raise Interrupted(came[0])


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


@contextmanager
def _handled(note: Callable[[int], object]) -> Iterator[None]:
    """Calls `note` where Python would raise an exception.

    It must send no signal: in the main thread that would be handled at once, and without end.
    """
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    ours = {n: h for n, h in handlers.items() if h in (_interrupt, signal.default_int_handler)}
    if threading.current_thread() is not threading.main_thread():
        ours = {}  # signals are the main thread's alone
    for number in ours:
        signal.signal(number, lambda number, _: note(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


@contextmanager
def _listening(came: list[int], act: Callable[[], object]) -> Iterator[None]:
    """Notes the first handled signal as soon as it is there, and calls `act` until the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    is_over = threading.Event()

    def listen() -> None:
        while numbers := os.read(reader, 64):
            ending = [number for number in numbers if number in _ENDING]
            if ending:  # and no more is read: `act` may be what sends the next
                came.append(ending[0])
                act()
                while not is_over.wait(_AGAIN):
                    act()
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        is_over.set()
        os.close(writer)  # which ends the thread, too
        thread.join()  # before signals are handled as ever: it may send another
        os.close(reader)
