"""The typelibs, and how their errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gi

from layer.errors import StoreError

gi.require_version("OSTree", "1.0")

from gi.repository import Gio, GLib, OSTree  # noqa: E402  # after require_version

__all__ = ["GLib", "Gio", "OSTree", "translated"]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """A GLib error inside it is raised as a StoreError: `what`, then the library's own words."""
    try:
        yield
    except GLib.Error as error:
        raise StoreError(f"{what}: {error.message}") from error
