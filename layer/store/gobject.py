"""The typelibs, how their errors become ours, and how Ctrl-C reaches a call that blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gi

from layer.errors import ALL_RIGHTS, StoreError
from layer.interrupts import heard

gi.require_version("OSTree", "1.0")

from gi.repository import Gio, GLib, OSTree  # noqa: E402  # after require_version

__all__ = ["GLib", "Gio", "OSTree", "interruptible", "library_version", "translated"]


def library_version() -> str:
    """libostree's own version."""
    return str(OSTree.VERSION_S)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """A GLib error inside it is raised as a StoreError: `what`, then the library's own words."""
    try:
        yield
    except GLib.Error as error:
        is_denied = error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.PERMISSION_DENIED)
        hint = ALL_RIGHTS if is_denied else None
        raise StoreError(f"{what}: {error.message}", hint) from error


@contextmanager
def interruptible(also: Callable[[], object] = lambda: None) -> Iterator[Any]:
    """Gives a `Gio.Cancellable` that an interrupting signal cancels; raises Interrupted then.

    Until the block ends, `also` is called, too, again and again.
    """
    cancellable = Gio.Cancellable()

    def cancel() -> None:
        cancellable.cancel()
        also()

    with heard(cancel):
        yield cancellable
