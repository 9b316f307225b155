"""Groups that are asked for: what they come to, by what repositories list and have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from layer.errors import InvalidInput, NotFound, Unsolvable
from layer.fetch.groups import read_groups
from layer.frozen import dataclass
from layer.grouped import NO_NEWS, GroupNews
from layer.groups import Catalogue, Expansion
from layer.model import Request, RequestKind
from layer.origin import Origin, with_left_out, with_local, with_requests, without_requests
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

    Packages that need not come and do not fit are left out. `is_anew`: the others are read again
    as well; one that is listed no longer, or of which nothing can be had any more, stays what it
    was, and none loses a package while a repository is left out, or because it does not fit any
    more. NotFound names each word that cannot be had.
    """
    present = {r.text: r for r in origin.requests if r.kind is RequestKind.GROUP}
    if not words and not (is_anew and present):
        return Grouped(origin)
    catalogue = read_groups(sources.metadata)
    wanted = [each for each in _found(catalogue, words) if each.text not in present]
    again, unlisted = _found_again(catalogue, present.values()) if is_anew else ([], ())
    expansions = {each.text: each for each in (*wanted, *again)}
    listed = [member for each in expansions.values() for member in each.members]
    names = [name for member in listed for name in (member.name, member.condition)]
    whole = sources.presence(names, origin)
    before = {each.text: present[each.text].members for each in again}
    choice = _Choice(sources, origin, _firm(expansions.values(), before))
    members, unfitting = _members(choice, tuple(expansions.values()), whole)
    for text, names_before in before.items():
        if not sources.is_whole:  # what is missed now is not gone: who needs it is told
            members[text] = tuple(sorted({*names_before, *members[text]}))
        members[text] = members[text] or names_before
    _refuse_empty([each for each in expansions.values() if not members[each.text]], unfitting)
    said = {each.text: each.word for each in wanted}
    requests = {
        t: Request(RequestKind.GROUP, t, names, said.get(t, "")) for t, names in members.items()
    }
    missing = sorted(
        (each.text, member.name)
        for each in expansions.values()
        for member in each.members
        if member.name not in whole.known and not member.condition
    )
    return Grouped(
        with_requests(origin, requests.values()),
        tuple(requests[each.text] for each in wanted),
        GroupNews(tuple(missing), unfitting, unlisted),
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """Where packages are chosen from, for what; those named in `firm` have to come."""

    sources: Sources
    origin: Origin
    firm: frozenset[str]


def _firm(expansions: Iterable[Expansion], before: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """What groups cannot do without, and what they came to before: that goes when asked alone."""
    names = {name for some in before.values() for name in some}
    return frozenset(
        names | {m.name for each in expansions for m in each.members if m.kind == "mandatory"}
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
    choice: _Choice, expansions: Sequence[Expansion], whole: Presence
) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str, str], ...]]:
    """The names of the packages that each comes to, with conditional ones where these are due.

    And those that do not fit, each with its group and the reason.
    """
    listed = {
        each.text: {m.name for m in each.members if not m.condition and m.name in whole.known}
        for each in expansions
    }
    waiting = {
        (each.text, member)
        for each in expansions
        for member in each.members
        if member.condition in whole.known and member.name in whole.known
    }
    reasons = _reasons(choice, listed)
    chosen = _without(listed, reasons)
    while waiting:
        there = whole.in_base
        if any(member.condition not in there for _, member in waiting):
            there |= _layered(choice, chosen)
        due = {(text, member) for text, member in waiting if member.condition in there}
        if not due:
            break
        waiting -= due
        for text, member in due:
            listed[text].add(member.name)
        reasons = _reasons(choice, listed)
        chosen = _without(listed, reasons)
    unfitting = sorted(
        (text, name, reasons[name])
        for text, names in listed.items()
        for name in names & reasons.keys()
    )
    return {text: tuple(sorted(names)) for text, names in chosen.items()}, tuple(unfitting)


def _reasons(choice: _Choice, listed: Mapping[str, Set[str]]) -> dict[str, str]:
    """The packages that do not fit beside what has to come, each with the reason."""
    sources = choice.sources
    spare = {name for names in listed.values() for name in names} - choice.firm
    firm = {text: names - spare for text, names in listed.items()}
    origin = choice.origin
    left = sources.unfitting(_asking(origin, firm), spare) if spare else ()
    if left is None:
        # What else is asked for cannot be had: that is told, and no package left out for it.
        origin = without_requests(with_local(origin, ()), origin.requests)
        left = sources.unfitting(_asking(origin, firm), spare)
    found = {}
    for name in left or ():
        kept = {text: names - (set(left or ()) - {name}) for text, names in listed.items()}
        try:
            sources.resolve(_asking(origin, kept), (), allow_inactive=True)
        except (InvalidInput, NotFound, Unsolvable) as error:
            found[name] = "; ".join(error.message.splitlines())
    return found


def _without(listed: Mapping[str, Set[str]], reasons: Mapping[str, str]) -> dict[str, set[str]]:
    return {text: {*names} - reasons.keys() for text, names in listed.items()}


def _asking(origin: Origin, listed: Mapping[str, Set[str]]) -> Origin:
    """The origin that asks for groups that come to these packages, with all of it tried."""
    groups = [Request(RequestKind.GROUP, text, tuple(sorted(n))) for text, n in listed.items()]
    return with_requests(with_left_out(origin, ()), [each for each in groups if each.members])


def _layered(choice: _Choice, chosen: Mapping[str, Set[str]]) -> frozenset[str]:
    """The names of what would be layered; where it cannot be, of what is asked for by name."""
    after = _asking(choice.origin, chosen)
    try:
        resolution = choice.sources.resolve(after, (), allow_inactive=True)
    except (InvalidInput, NotFound, Unsolvable):  # told when the change itself is solved
        asked = {name for request in after.requests for name in (request.text, *request.members)}
        return frozenset(asked)
    return frozenset(package.nevra.name for package in resolution.packages)


def _refuse_empty(
    expansions: Sequence[Expansion], unfitting: Sequence[tuple[str, str, str]]
) -> None:
    lines = []
    for each in expansions:
        reasons = {name: reason for text, name, reason in unfitting if text == each.text}
        names = dict.fromkeys(m.name for m in each.members if m.name not in reasons)
        facts = [f"no enabled repository has {', '.join(names)}"] if names else []
        facts += reasons.values() or ([] if names else ["it lists no package"])
        lines += [f"nothing of {each.text} can be layered: {fact}" for fact in facts]
    if lines:
        raise NotFound("\n".join(lines), "`layer group info NAME` shows what is in a group")
