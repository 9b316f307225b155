"""What can go wrong in a way that the user can do something about.

A `LayerError` is shown as one line and a hint; anything else that escapes is a
bug and shows a traceback. `layer.__main__` alone prints and exits.
"""

from __future__ import annotations


class LayerError(Exception):
    """A failure that names the thing and the fact (`message`) and the next step (`hint`)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(LayerError):
    """Something that the user or a file said cannot be understood."""


class NotFound(LayerError):
    """A thing that was named does not exist."""


class PackageRefused(LayerError):
    """A package is broken, hostile, or wants a place that it may not have."""


class Conflict(LayerError):
    """Two owners want the same path with different content."""


class Unsolvable(LayerError):
    """No set of packages satisfies the requests on this base."""


class RepositoryError(LayerError):
    """A package repository or an OSTree remote is unreachable or corrupt."""


class Unreachable(RepositoryError):
    """A repository cannot be had now: its servers are silent, or send what cannot be used."""


class TriggerFailed(LayerError):
    """A trigger is wrong in itself, or its command failed."""


class StoreError(LayerError):
    """The OSTree repository or sysroot refused an operation."""


class Busy(LayerError):
    """Another program holds the sysroot's lock."""
