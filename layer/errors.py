"""What can go wrong in a way that the user can do something about.

A `LayerError` is shown as one line and a hint; anything else that escapes is a
bug and shows a traceback. `layer.__main__` alone prints and exits.
"""

from __future__ import annotations

import shlex

from layer.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A command line in place of one that failed, which was tried, and what is different in it."""

    command: tuple[str, ...]
    effect: str

    def __str__(self) -> str:
        return f"{shlex.join(self.command)}  # {self.effect}"


class LayerError(Exception):
    """A failure that names the thing and the fact (`message`) and the next step (`hint`).

    `suggestions` are next steps that were tried.
    """

    def __init__(
        self, message: str, hint: str | None = None, *, suggestions: tuple[Suggestion, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.suggestions = suggestions


class InvalidInput(LayerError):
    """Something that the user or a file said cannot be understood."""


class NotFound(LayerError):
    """A thing that was named does not exist."""


class PackageRefused(LayerError):
    """A package is broken, hostile, or wants a place that it may not have."""


class Conflict(LayerError):
    """Two owners want the same path with different content."""


class Unsolvable(LayerError):
    """No set of packages satisfies the requests on this base.

    `facts` are the steps that lead to the message's reasons, each a sentence.
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        facts: tuple[str, ...] = (),
        suggestions: tuple[Suggestion, ...] = (),
    ) -> None:
        super().__init__(message, hint, suggestions=suggestions)
        self.facts = facts


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
