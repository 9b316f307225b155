"""Carrying requests to another base: all that does not fit is named at once, or left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layer.blockers import Blocked, Blocker, fewest, find_blockers
from layer.change import Change
from layer.errors import Conflict, LayerError, NotFound, PackageRefused, Unsolvable
from layer.host import Host
from layer.model import Commit, Request
from layer.origin import Origin, with_left_out
from layer.preparation import prepare
from layer.sources import Sources

_Attempt = Callable[[Sequence[tuple[str, str]]], Change]
# What is wrong with packages, and not with the way to them.
_ABOUT_PACKAGES = (Conflict, NotFound, PackageRefused, Unsolvable)


def carry(
    host: Host,
    origin: Origin,
    base: Commit,
    sources: Sources,
    *,
    new: Sequence[Request] = (),
    skip_broken: bool = False,
    kernel_arguments: Sequence[str] | None = None,
) -> Change:
    """What an origin means on another base, with every request tried anew.

    Blocked names everything that stands in the way; with `skip_broken` the fewest requests
    are left out in place of that, never one of `new`.
    """

    def attempt(left_out: Sequence[tuple[str, str]]) -> Change:
        after = with_left_out(origin, left_out)
        return prepare(host, after, base, sources, new=new, kernel_arguments=kernel_arguments)

    try:
        return attempt(())
    except _ABOUT_PACKAGES as error:
        found = _blockers(origin, sources, attempt)
        asked_now = set(fewest(found)).intersection(new)
        if not found or asked_now:
            raise  # the base itself, or what is asked for just now
        if not skip_broken:
            pending = host.pending()
            is_same = pending is not None and host.find_base(pending) == base
            raise Blocked(found, new, is_same_base=is_same) from error
    return attempt(_reasons(found))


def _blockers(origin: Origin, sources: Sources, attempt: _Attempt) -> tuple[Blocker, ...]:
    """First what the solver finds in one go, then what packages' headers show."""

    def why_not(requests: tuple[Request, ...]) -> LayerError | None:
        try:
            attempt([(r.text, "") for r in origin.asked if r not in requests])
        except _ABOUT_PACKAGES as error:
            return error
        return None

    if why_not(()) is not None:
        return ()
    return find_blockers(origin.asked, why_not, sources.blockers(origin))


def _reasons(blockers: Sequence[Blocker]) -> list[tuple[str, str]]:
    """The requests to leave out, each with all that is in its way, on one line."""
    return [
        (
            request.text,
            "; ".join(
                " ".join(blocker.reason.split())
                for blocker in blockers
                if request in blocker.requests
            ),
        )
        for request in fewest(blockers)
    ]
