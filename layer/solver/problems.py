"""Why no set of packages fulfils the requests, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import solv

from layer.errors import Unsolvable
from layer.solver.excluding import all_included, excluders
from layer.solver.pool import Offer
from layer.words import printable

_BASE_HINT = (
    "packages of the base stay as they are: ask for another version, or wait for a newer base"
)
_HINT = "leave one of them out, or ask for another version"


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
    pretended: set[int] = set()
    stand_ins = []
    while True:
        unmet: set[int] = set()
        for _solver, problems in solve_all():  # a Problem must not outlive its Solver
            for problem in problems:
                facts = _Facts(offer, _rules(problem))
                lines.update(map(printable, _reasons(facts)))
                unmet.update(info.dep_id for info in facts.rules if info.type in _CAUSES)
        if unmet <= pretended:
            break
        stand_ins.append(offer.pretend(unmet - pretended))
        pretended |= unmet
    for stand_in in reversed(stand_ins):
        offer.forget(stand_in)
    is_about_base = any("the base" in line for line in lines)
    return Unsolvable("\n".join(sorted(lines)), _BASE_HINT if is_about_base else _HINT)


def _rules(problem: solv.Problem) -> tuple[solv.Ruleinfo, ...]:
    return tuple(info for rule in problem.findallproblemrules() for info in rule.allinfos())


def _reasons(facts: _Facts) -> list[str]:
    for kinds in (_CAUSES, _CONFLICTS, _DEAD_ENDS):
        reasons = [kinds[info.type](facts, info) for info in facts.rules if info.type in kinds]
        if reasons:
            return reasons
    # A kind of rule that no sentence is known for: libsolv's own words.
    return [str(info.problemstr()) for info in facts.rules]


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
_DEAD_ENDS: dict[int, _Sentence] = {
    solv.Solver.SOLVER_RULE_PKG_REQUIRES: _nothing_may_come,
}
