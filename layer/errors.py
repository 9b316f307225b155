"""What can go wrong in a way that the user can do something about.

A `LayerError` is shown as one line and a hint; anything else that escapes is a
bug and shows a traceback. `layer.__main__` alone prints and exits.
"""

from __future__ import annotations

import shlex
from typing import ClassVar

from layer.frozen import dataclass

ALL_RIGHTS = "this needs root with all its rights; in a container that is CAP_SYS_ADMIN, too"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A command line in place of one that failed, which was tried, and what is different in it."""

    command: tuple[str, ...]
    effect: str

    def __str__(self) -> str:
        return f"{shlex.join(self.command)}  # {self.effect}"


class LayerError(Exception):
    """A failure that names the thing and the fact (`message`) and the next step (`hint`).

    `suggestions` are next steps that were tried. `usual_hint` is the next step where an error
    of the class has no better one.
    """

    usual_hint: ClassVar[str] = ""

    def __init__(
        self, message: str, hint: str | None = None, *, suggestions: tuple[Suggestion, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.suggestions = suggestions


class InvalidInput(LayerError):
    """Something that the user or a file said cannot be understood."""

    usual_hint = "correct what is named, and say it again; each verb has a page: man layer-VERB"


class NotFound(LayerError):
    """A thing that was named does not exist."""

    usual_hint = "check the name; `layer status`, `search` and `repo list` show what there is"


class PackageRefused(LayerError):
    """A package is broken, hostile, or wants a place that it may not have."""

    usual_hint = "leave the package out, or take another build of it"


class Conflict(LayerError):
    """Two owners want the same path with different content."""

    usual_hint = "leave one of the two out"


class Unsolvable(LayerError):
    """No set of packages satisfies the requests on this base.

    `facts` are the steps that lead to the message's reasons, each a sentence.
    """

    usual_hint = "leave one of them out, or ask for another version"

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

    usual_hint = "`layer repo info` shows where it is; --disablerepo leaves a repository out"


class CacheRefused(RepositoryError):
    """What is fetched cannot be kept, of whichever repository."""


class Unreachable(RepositoryError):
    """A repository cannot be had now: its servers are silent, or send what cannot be used."""

    usual_hint = "--cache-only uses what was fetched before; --disablerepo leaves one out"


class TriggerFailed(LayerError):
    """A trigger is wrong in itself, or its command failed."""

    usual_hint = "`layer trigger show NAME` shows it, `layer trigger check FILE` all that is wrong"


class StoreError(LayerError):
    """The OSTree repository or sysroot refused an operation."""

    usual_hint = "`layer fsck` tells whether the sysroot's repository is sound"


class Busy(LayerError):
    """Another program holds the sysroot's lock."""

    usual_hint = "try again when it has ended; without --no-wait it is waited for"
