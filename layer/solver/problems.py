"""Why no set of packages fulfils the requests, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import solv

from layer.errors import Unsolvable
from layer.frozen import dataclass
from layer.solver.excluding import all_included, excluders
from layer.solver.pool import PRETENDED, Offer
from layer.words import joined, printable

_BASE_HINT = (
    "packages of the base stay as they are: ask for another version, or wait for a newer base"
)
_HINT = "leave one of them out, or ask for another version"
_MOST_OWNERS = 3  # of what a package needs, in a sentence


@dataclass(frozen=True, slots=True)
class _Facts:
    """One problem as libsolv sees it: all rules that cannot hold together."""

    offer: Offer
    rules: tuple[solv.Ruleinfo, ...]


def explain(
    offer: Offer, solve_all: Callable[[], Iterable[tuple[solv.Solver, Sequence[solv.Problem]]]]
) -> Unsolvable:
    """The error that names every reason, sorted; `solve_all` finds the problems again.

    libsolv gives up on a request at its first problem. So what nothing provides
    is pretended to be there, and asked again, until nothing new turns up.
    """
    lines: set[str] = set()
    steps: dict[str, None] = {}
    pretended: set[int] = set()
    stand_ins = []
    while True:
        unmet: set[int] = set()
        for _solver, problems in solve_all():  # a Problem must not outlive its Solver
            for problem in problems:
                facts = _Facts(offer, _rules(problem))
                lines.update(map(printable, _reasons(facts)))
                steps.update(dict.fromkeys(map(printable, _steps(facts))))
                unmet.update(info.dep_id for info in facts.rules if info.type in _CAUSES)
        if unmet <= pretended:
            break
        stand_ins.append(offer.pretend(unmet - pretended))
        pretended |= unmet
    for stand_in in reversed(stand_ins):
        offer.forget(stand_in)
    is_about_base = any("the base" in line for line in lines)
    hint = _BASE_HINT if is_about_base else _HINT
    return Unsolvable("\n".join(sorted(lines)), hint, facts=tuple(steps))


def held(owners: Sequence[str]) -> str:
    """A clause that says who has what is needed; there are owners."""
    if len(owners) == 1:
        return f"which only {owners[0]} has"
    shown = [*owners[:_MOST_OWNERS]]
    if len(owners) > _MOST_OWNERS:
        shown.append(f"{len(owners) - _MOST_OWNERS} more")
    return f"which {joined(shown)} have"


def _rules(problem: solv.Problem) -> tuple[solv.Ruleinfo, ...]:
    return tuple(info for rule in problem.findallproblemrules() for info in rule.allinfos())


def _reasons(facts: _Facts) -> list[str]:
    for kinds in (_CAUSES, _CONFLICTS, _DEAD_ENDS):
        reasons = [kinds[info.type](facts, info) for info in facts.rules if info.type in kinds]
        if reasons:
            return reasons
    # A kind of rule that no sentence is known for: libsolv's own words.
    return [str(info.problemstr()) for info in facts.rules]


def _steps(facts: _Facts) -> list[str]:
    """The way from what is asked for to what cannot be, in the order of needs."""
    ends = sorted(
        {
            _ENDS[info.type](facts, info) if info.type in _ENDS else _CAUSES[info.type](facts, info)
            for info in facts.rules
            if info.type in _ENDS or info.type in _CAUSES
        }
    )
    if not ends:
        return _reasons(facts)
    needs = [
        (str(info.solvable), str(info.dep), owners)
        for info in facts.rules
        if info.type == solv.Solver.SOLVER_RULE_PKG_REQUIRES and (owners := _owners(facts, info))
    ]
    return [*_ordered(needs), *ends]


def _ordered(needs: Sequence[tuple[str, str, tuple[str, ...]]]) -> list[str]:
    """A sentence for each need, a package's before those of what it needs."""
    needed = {owner for _, _, owners in needs for owner in owners}
    waiting = sorted({package for package, _, _ in needs}, key=lambda p: (p in needed, p))
    seen: set[str] = set()
    found: list[str] = []
    while waiting:
        package = waiting.pop(0)
        if package in seen:
            continue
        seen.add(package)
        own = sorted({need[1:] for need in needs if need[0] == package})
        found += [f"{package} needs {text}, {held(owners)}" for text, owners in own]
        waiting = [*(owner for _, owners in own for owner in owners), *waiting]
    return found


def _owners(facts: _Facts, info: solv.Ruleinfo) -> tuple[str, ...]:
    providers = facts.offer.pool.whatprovides(info.dep_id)
    return tuple(sorted({str(each) for each in providers if each.name != PRETENDED}))


def _two_of_a_name(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _end(facts, info, "and {} exclude each other", "would replace {}", is_mutual=True)


def _obsoletes_it(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _end(facts, info, "obsoletes {}", "would obsolete {}")


def _conflicts_with(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _end(facts, info, "conflicts with {}", "would conflict with {}")


def _end(
    facts: _Facts, info: solv.Ruleinfo, beside: str, over: str, *, is_mutual: bool = False
) -> str:
    """What two packages do to each other, and which of them the base has."""
    one, other = info.solvable, info.othersolvable
    if not facts.offer.is_in_base(one) and not facts.offer.is_in_base(other):
        names = [str(one), str(other)]
        first, second = sorted(names) if is_mutual else names
        return f"{first} {beside.format(second)}"
    if facts.offer.is_in_base(other) or is_mutual:
        own, new = (one, other) if facts.offer.is_in_base(one) else (other, one)
        return f"{new} {over.format(own)}, which the base has and keeps"
    return f"{one} of the base, which stays, {beside.format(other)}"


def _nothing_provides(facts: _Facts, info: solv.Ruleinfo) -> str:
    text = str(info.dep)
    with all_included(facts.offer):
        unwanted = list(facts.offer.pool.whatprovides(info.dep_id))
    if unwanted:
        names = ", ".join(sorted({str(each) for each in unwanted}))
        return (
            f"{info.solvable} needs {text}, which only {names} has,"
            f" excluded by {excluders(facts.offer, unwanted)}"
        )
    sentence = f"{info.solvable} needs {text}, which no enabled repository provides"
    name = text.lstrip("(").split(" ", 1)[0]
    in_base = sorted(str(each) for each in facts.offer.named(name) if facts.offer.is_in_base(each))
    return f"{sentence}; the base has {', '.join(in_base)}" if in_base else sentence


def _nothing_may_come(_facts: _Facts, info: solv.Ruleinfo) -> str:
    return f"{info.solvable} needs {info.dep}, which nothing that may come provides"


def _same_name(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _excluding(facts, info.solvable, info.othersolvable, "replace")


def _obsoletes(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _excluding(facts, info.solvable, info.othersolvable, "obsolete")


def _conflicts(facts: _Facts, info: solv.Ruleinfo) -> str:
    return _excluding(facts, info.solvable, info.othersolvable, "conflict with")


def _excluding(facts: _Facts, one: solv.XSolvable, other: solv.XSolvable, verb: str) -> str:
    if facts.offer.is_in_base(one):
        one, other = other, one
    if not facts.offer.is_in_base(other):
        first, second = sorted((str(one), str(other)))
        return f"{first} and {second} exclude each other{_because(facts, one, other)}"
    return f"{one} would {verb} {other} of the base{_because(facts, one)}"


def _because(facts: _Facts, *wanted: solv.XSolvable) -> str:
    """Which packages of the problem require one of these and can have nothing else."""
    ids = {each.id for each in wanted}
    needs = sorted(
        {
            f"{info.solvable} needs {info.dep}"
            for info in facts.rules
            if info.type == solv.Solver.SOLVER_RULE_PKG_REQUIRES
            and any(each.id in ids for each in facts.offer.pool.whatprovides(info.dep))
        }
    )
    return f": {', '.join(needs)}" if needs else ""


_Sentence = Callable[[_Facts, solv.Ruleinfo], str]

_CAUSES: dict[int, _Sentence] = {
    solv.Solver.SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP: _nothing_provides,
}
_CONFLICTS: dict[int, _Sentence] = {
    solv.Solver.SOLVER_RULE_PKG_SAME_NAME: _same_name,
    solv.Solver.SOLVER_RULE_PKG_IMPLICIT_OBSOLETES: _obsoletes,
    solv.Solver.SOLVER_RULE_PKG_OBSOLETES: _obsoletes,
    solv.Solver.SOLVER_RULE_PKG_INSTALLED_OBSOLETES: _obsoletes,
    solv.Solver.SOLVER_RULE_PKG_CONFLICTS: _conflicts,
}
_ENDS: dict[int, _Sentence] = {
    solv.Solver.SOLVER_RULE_PKG_SAME_NAME: _two_of_a_name,
    solv.Solver.SOLVER_RULE_PKG_IMPLICIT_OBSOLETES: _obsoletes_it,
    solv.Solver.SOLVER_RULE_PKG_OBSOLETES: _obsoletes_it,
    solv.Solver.SOLVER_RULE_PKG_INSTALLED_OBSOLETES: _obsoletes_it,
    solv.Solver.SOLVER_RULE_PKG_CONFLICTS: _conflicts_with,
}
_DEAD_ENDS: dict[int, _Sentence] = {
    solv.Solver.SOLVER_RULE_PKG_REQUIRES: _nothing_may_come,
}
