"""Groups that are asked for: what they come to, by what repositories list and have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layer.errors import InvalidInput, NotFound, Unsolvable
from layer.fetch.groups import read_groups
from layer.frozen import dataclass
from layer.grouped import NO_NEWS, GroupNews
from layer.groups import Catalogue, Expansion
from layer.model import Request, RequestKind
from layer.origin import Origin, with_left_out, with_requests
from layer.solver.presence import Presence
from layer.sources import Sources


@dataclass(frozen=True, slots=True)
class Grouped:
    """An origin with its groups, `new` of which were not asked for before."""

    origin: Origin
    new: tuple[Request, ...] = ()
    news: GroupNews = NO_NEWS


def with_groups(
    sources: Sources, origin: Origin, words: Sequence[str], *, is_anew: bool
) -> Grouped:
    """The origin that asks for the groups which words name, too.

    `is_anew`: the others are read again as well; one that is listed no longer, or of which
    nothing can be had any more, stays what it was, and none loses a package while a repository
    is left out. NotFound names each word that cannot be had.
    """
    present = {r.text: r for r in origin.requests if r.kind is RequestKind.GROUP}
    if not words and not (is_anew and present):
        return Grouped(origin)
    catalogue = read_groups(sources.metadata)
    wanted = [each for each in _found(catalogue, words) if each.text not in present]
    again, unlisted = _found_again(catalogue, present.values()) if is_anew else ([], ())
    whole = sources.presence(
        [
            name
            for each in (*wanted, *again)
            for member in each.members
            for name in (member.name, member.condition)
        ],
        origin,
    )
    expansions = {each.text: each for each in (*wanted, *again)}
    members = _members(sources, origin, tuple(expansions.values()), whole)
    for each in again:
        before = present[each.text].members
        if not sources.is_whole:  # what is missed now is not gone: who needs it is told
            members[each.text] = tuple(sorted({*before, *members[each.text]}))
        members[each.text] = members[each.text] or before
    _refuse_empty([each for each in expansions.values() if not members[each.text]])
    requests = {t: Request(RequestKind.GROUP, t, names) for t, names in members.items()}
    missing = sorted(
        (each.text, member.name)
        for each in expansions.values()
        for member in each.members
        if member.name not in whole.known and not member.condition
    )
    return Grouped(
        with_requests(origin, requests.values()),
        tuple(requests[each.text] for each in wanted),
        GroupNews(tuple(missing), unlisted),
    )


def _found(catalogue: Catalogue, words: Iterable[str]) -> tuple[Expansion, ...]:
    found, errors = [], []
    for word in words:
        try:
            found.append(catalogue.expansion(word))
        except NotFound as error:
            errors.append(error)
    if errors:
        lines = dict.fromkeys(error.message for error in errors)
        raise NotFound("\n".join(lines), errors[0].hint)
    return tuple({each.text: each for each in found}.values())


def _found_again(
    catalogue: Catalogue, requests: Iterable[Request]
) -> tuple[list[Expansion], tuple[tuple[str, str], ...]]:
    """Groups that were asked for, and those that no longer can be read, each with the reason."""
    found, unlisted = [], []
    for request in requests:
        try:
            found.append(catalogue.expansion(request.text))
        except NotFound as error:
            if not request.members:
                raise
            unlisted.append((request.text, error.message))
    return found, tuple(sorted(unlisted))


def _members(
    sources: Sources, origin: Origin, expansions: Sequence[Expansion], whole: Presence
) -> dict[str, tuple[str, ...]]:
    """The names of the packages that each comes to, with conditional ones where these are due."""
    chosen = {
        each.text: {m.name for m in each.members if not m.condition and m.name in whole.known}
        for each in expansions
    }
    waiting = {
        (each.text, member)
        for each in expansions
        for member in each.members
        if member.condition in whole.known and member.name in whole.known
    }
    while waiting:
        there = whole.in_base
        if any(member.condition not in there for _, member in waiting):
            there |= _layered(sources, origin, chosen)
        due = {(text, member) for text, member in waiting if member.condition in there}
        if not due:
            break
        waiting -= due
        for text, member in due:
            chosen[text].add(member.name)
    return {text: tuple(sorted(names)) for text, names in chosen.items()}


def _layered(sources: Sources, origin: Origin, chosen: dict[str, set[str]]) -> frozenset[str]:
    """The names of what would be layered; where it cannot be, of what is asked for by name."""
    groups = [Request(RequestKind.GROUP, text, tuple(sorted(n))) for text, n in chosen.items()]
    after = with_requests(with_left_out(origin, ()), [each for each in groups if each.members])
    try:
        resolution = sources.resolve(after, (), allow_inactive=True)
    except (InvalidInput, NotFound, Unsolvable):  # told when the change itself is solved
        asked = {name for request in after.requests for name in (request.text, *request.members)}
        return frozenset(asked)
    return frozenset(package.nevra.name for package in resolution.packages)


def _refuse_empty(expansions: Sequence[Expansion]) -> None:
    lines = []
    for each in expansions:
        names = ", ".join(dict.fromkeys(member.name for member in each.members))
        why = f"no enabled repository has {names}" if names else "it lists no package"
        lines.append(f"nothing of {each.text} can be layered: {why}")
    if lines:
        raise NotFound("\n".join(lines), "`layer group info NAME` shows what is in a group")
