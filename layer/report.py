"""How long-running work tells what it is doing; the default says nothing."""

from __future__ import annotations


class Reporter:
    """Receives progress; every method does nothing here, so that progress costs callers nothing."""

    def step(self, text: str) -> None:
        """A new phase of the work begins, in words for a person."""

    def progress(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes or items of `name` are through."""

    def note(self, text: str) -> None:
        """Something a person should know, that is no error."""


SILENT = Reporter()
