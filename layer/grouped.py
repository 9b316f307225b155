"""Requests for groups: the packages that they come to, and back again from these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product

from layer.blockers import Blocker
from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.keyfile import split_list
from layer.model import Request, RequestKind, Resolution

_MOST = 64  # blockers that one becomes, where its packages are of many groups


@dataclass(frozen=True, slots=True)
class GroupNews:
    """What came of reading groups: members that nobody has or do not fit, groups nobody lists.

    `missing` are groups and names of members that nobody has, `unfitting` such of members that
    cannot be had beside the rest, with the reason, `unlisted` groups that stay what they were
    before, with the reason.
    """

    missing: tuple[tuple[str, str], ...] = ()
    unfitting: tuple[tuple[str, str, str], ...] = ()
    unlisted: tuple[tuple[str, str], ...] = ()


NO_NEWS = GroupNews()


def spread(requests: Iterable[Request], without: Sequence[str] = ()) -> tuple[Request, ...]:
    """The requests with one for each package in place of a group, but for names in `without`."""
    found: dict[Request, None] = {}
    for request in requests:
        if request.kind is not RequestKind.GROUP:
            found[request] = None
        for name in request.members:
            if name not in without:
                found[Request(RequestKind.PACKAGE, name)] = None
    return tuple(found)


def gathered(
    resolution: Resolution, requests: Sequence[Request], without: Sequence[str] = ()
) -> Resolution:
    """What was solved for `spread` requests as the answer to the requests themselves.

    A group is inactive where all of its packages are.
    """
    owners = _owners(requests)
    inactive = set(resolution.inactive)
    return replace(
        resolution,
        selections=tuple(
            replace(s, requests=tuple(_sorted(o for r in s.requests for o in owners.get(r, (r,)))))
            for s in resolution.selections
        ),
        requests=tuple(requests),
        inactive=tuple(r for r in requests if inactive.issuperset(spread([r], without))),
    )


def gathered_blockers(
    blockers: Iterable[Blocker], requests: Sequence[Request]
) -> tuple[Blocker, ...]:
    """Blockers among `spread` requests as such among the requests themselves.

    A package that was asked for in several ways blocks by each of them.
    """
    owners = _owners(requests)
    found: dict[Blocker, None] = {}
    for blocker in blockers:
        members = tuple(
            r.text for r in blocker.requests if any(o.members for o in owners.get(r, ()))
        )
        ways = product(*(owners.get(request, (request,)) for request in blocker.requests))
        for way in islice(ways, _MOST):
            found[replace(blocker, requests=tuple(_sorted(way)), members=members)] = None
    return tuple(found)


def groups_among(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Those for groups."""
    return tuple(request for request in requests if request.kind is RequestKind.GROUP)


def without_groups(requests: Iterable[Request]) -> tuple[Request, ...]:
    """The others."""
    return tuple(request for request in requests if request.kind is not RequestKind.GROUP)


def parse_recorded(values: Mapping[tuple[str, str], str]) -> Iterator[Request]:
    """The groups in an origin's keyfile with their packages, none where these are not on record."""
    text = values.get(("layer", "group-members"), "{}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the origin file says group-members={text}: {error}") from error
    if not isinstance(found, dict) or not all(map(_is_names, found.values())):
        raise InvalidInput(f"the origin file says group-members={text}; it is an object of lists")
    for item in split_list(values.get(("layer", "groups"), "")):
        if not item.startswith("@"):
            raise InvalidInput(f"the origin file says groups={item}; it is @NAME")
        yield Request(RequestKind.GROUP, item, tuple(sorted(set(found.get(item, ())))))


def format_recorded(requests: Iterable[Request]) -> str:
    """The packages of the groups among requests for the keyfile, "" where there is no group."""
    found = {request.text: list(request.members) for request in groups_among(requests)}
    return json.dumps(found, sort_keys=True) if found else ""


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _owners(requests: Iterable[Request]) -> dict[Request, tuple[Request, ...]]:
    """Who asks for each package."""
    owners: dict[Request, tuple[Request, ...]] = {}
    for request in requests:
        for part in spread([request]):
            owners[part] = (*owners.get(part, ()), request)
    return owners


def _sorted(requests: Iterable[Request]) -> Iterator[Request]:
    yield from sorted(set(requests), key=lambda request: (request.text, request.kind.value))
