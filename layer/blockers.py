"""What keeps requests from being layered together, and the fewest that have to be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations

from layer.errors import LayerError, Unsolvable
from layer.frozen import dataclass
from layer.model import Request

# Up to so many requests that exclude each other, every choice among them is looked at.
_MOST_CHOICES = 20

Requests = tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Blocker:
    """Requests that cannot be layered together, and why; each of them is needed for that.

    `requests` are sorted; one alone can be layered in no company. `remedy` is what the
    reason's own error advises. `facts` are the steps that lead to it, each a sentence, where the
    solver knows them. `members` are the packages of requested groups that are in the way.
    """

    requests: Requests
    reason: str
    remedy: str = ""
    facts: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


class Blocked(Unsolvable):
    """Layers that a base cannot take along; `blockers` are all that were found.

    `new` are the requests that were made just now. With `is_same_base` it is what repositories
    have that is new, and not the base.
    """

    def __init__(
        self,
        blockers: Sequence[Blocker],
        new: Collection[Request] = (),
        *,
        is_same_base: bool = False,
    ) -> None:
        fact = "cannot be taken along" if is_same_base else "do not fit the new base"
        names = " ".join(request.label for request in fewest(blockers))
        super().__init__(
            f"these layers {fact}:\n" + "\n".join(_told(blockers, new)),
            f"--skip-broken goes on without them and asks for them again at each upgrade: {names}",
        )
        self.blockers = tuple(blockers)
        self.new = frozenset(new)


def find_blockers(
    requests: Sequence[Request],
    why_not: Callable[[Requests], LayerError | None],
    known: Sequence[Blocker] = (),
) -> tuple[Blocker, ...]:
    """All blockers among sorted requests, after those that are known.

    `why_not` says what is wrong with a set of requests, None for nothing, and says nothing of
    the empty set. Without `fewest` of the blockers nothing is wrong any more.
    """
    found = list(known)
    while True:
        left_out = set(fewest(found))
        rest = tuple(request for request in requests if request not in left_out)
        if why_not(rest) is None:
            return tuple(found)
        core = _core(rest, lambda some: why_not(some) is not None)
        error = why_not(core)
        if error is None:
            raise AssertionError("what did not fit fits")
        facts = error.facts if isinstance(error, Unsolvable) else ()
        found.append(Blocker(core, error.message, error.hint or "", facts))


def fewest(blockers: Iterable[Blocker]) -> Requests:
    """The smallest set of requests with one of every blocker, sorted; of several the first one."""
    sets = [frozenset(blocker.requests) for blocker in blockers]
    alone = frozenset().union(*(one for one in sets if len(one) == 1))
    open_ones = [one for one in sets if not one & alone]
    choices = sorted(frozenset().union(*open_ones), key=_by_text)
    if len(choices) > _MOST_CHOICES:
        chosen = frozenset(_greedily(open_ones))
    else:
        chosen = next(
            frozenset(some)
            for size in range(len(choices) + 1)
            for some in combinations(choices, size)
            if all(one.intersection(some) for one in open_ones)
        )
    return tuple(sorted(alone | chosen, key=_by_text))


def _core(requests: Requests, is_blocked: Callable[[Requests], bool]) -> Requests:
    """A part of blocked requests that is blocked, and no longer is without any one of them."""
    kept: Requests = ()
    rest = requests
    while not is_blocked(kept):
        # The shortest beginning of the rest that is blocked with what is kept, by halving.
        low, high = 0, len(rest)
        while high - low > 1:
            middle = (low + high) // 2
            if is_blocked((*kept, *rest[:middle])):
                high = middle
            else:
                low = middle
        kept, rest = (*kept, rest[high - 1]), rest[: high - 1]
    return tuple(sorted(kept, key=_by_text))


def _greedily(sets: Sequence[frozenset[Request]]) -> Iterable[Request]:
    rest = list(sets)
    while rest:
        counts = Counter(request for one in rest for request in one)
        chosen = min(counts, key=lambda request: (-counts[request], *_by_text(request)))
        yield chosen
        rest = [one for one in rest if chosen not in one]


def _by_text(request: Request) -> tuple[str, str]:
    return request.text, request.kind.value


def _told(blockers: Iterable[Blocker], new: Collection[Request]) -> Iterable[str]:
    """Each blocker: whose it is, why, and what would let the upgrade pass."""
    for blocker in sorted(blockers, key=lambda one: [r.text for r in one.requests]):
        names = [request.label for request in blocker.requests]
        yield f"  {', '.join(names)}:"
        yield from (f"    {line}" for line in blocker.reason.splitlines())
        ways = [f"layer uninstall {r.label}" for r in blocker.requests if r not in new]
        ways += [f"do without {r.label} now" for r in blocker.requests if r in new]
        yield f"    -> {' or '.join(ways)}"
        if blocker.remedy:
            yield f"       {blocker.remedy}"
