"""How long-running work tells what it is doing; the default says nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


class Reporter:
    """Receives progress; every method does nothing here, so that progress costs callers nothing."""

    def step(self, text: str) -> None:
        """A new phase of the work begins, in words for a person."""

    def part(self, text: str, phase: str) -> None:  # noqa: ARG002
        """One of the parts of a phase begins, of which nobody knows how many there are."""
        self.step(text)

    def working(self) -> AbstractContextManager[None]:
        """What is inside makes a change, step by step, from the first download to what boots."""
        return nullcontext()

    def downloading(self) -> AbstractContextManager[None]:
        """What is inside transfers files, each of which tells its `progress`."""
        return nullcontext()

    def progress(self, name: str, done: int, total: int, unit: str = "bytes") -> None:
        """`done` of `total` units of `name` are through; 0 is a total that nobody knows."""

    def goes_on(self) -> bool:
        """Whether the work is still wanted; transfers are given up where it is not."""
        return True

    def note(self, text: str) -> None:
        """Something a person should know, that is no error."""

    def deployed(self, checksum: str) -> None:
        """This commit boots next, from now on."""


SILENT = Reporter()
