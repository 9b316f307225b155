"""Boolean dependencies, `(a if (b or c))`: refusing those that would take a solver for ever.

libsolv turns them into lists of clauses, which can be exponentially many, and calls itself
for every parenthesis, as librpm does. Syntax: rpm's manual, "Boolean Dependencies".
"""

from __future__ import annotations

import re
from dataclasses import field
from math import prod

from layer.errors import InvalidInput
from layer.frozen import dataclass

_DEEPEST = 32
_MOST_CLAUSES = 1024  # where real packages need some ten
_LONGEST = 8192  # characters
_OPERATORS = {"and", "or", "if", "unless", "else", "with", "without"}
_CONDITIONAL = {"if", "unless", "without"}
_COMPARISON = re.compile(r"\s[<>=]+\s*[^\s()]+")
# Parentheses inside of a name, as in pkgconfig(x), belong to it.
_WORD = re.compile(r"[()]|[^\s()]+(?:\([^\s()]*\)[^\s()]*)*")


@dataclass(slots=True)
class _Group:
    """What stands between two parentheses.

    Of each operand: how many clauses it takes, and how many its negation takes.
    """

    operators: set[str] = field(default_factory=set)
    parts: list[tuple[int, int]] = field(default_factory=list)

    def size(self) -> tuple[int, int]:
        """The same two numbers for the whole."""
        clauses, negated = [c for c, _ in self.parts], [n for _, n in self.parts]
        if self.operators <= {"with", "without"}:
            return (1, 1)  # one set of packages
        if self.operators == {"and"}:
            return (sum(clauses), prod(negated))
        if self.operators == {"or"}:
            return (prod(clauses), sum(negated))
        if self.operators == {"if"} and len(self.parts) == 2:  # a or not b
            return (clauses[0] * negated[1], negated[0] + clauses[1])
        worst = prod(max(part) + 1 for part in self.parts)  # else, unless: more than there are
        return (worst, worst)


def wanted_parts(text: str) -> tuple[str, ...]:
    """The plain dependencies of a boolean one that can bring something along.

    What follows `if`, `unless` or `without` is a condition, and brings nothing.
    """
    found: list[str] = []
    words: list[str] = []
    counts = [True]
    for word in [*_WORD.findall(text), ")"]:
        if word in ("(", ")", *_OPERATORS) and words:
            found += [" ".join(words)] if counts[-1] else []
            words = []
        if word == "(":
            counts.append(counts[-1])
        elif word == ")":
            counts = counts[:-1] or [True]
        elif word in _OPERATORS:
            counts[-1] = all(counts[:-1]) and word not in _CONDITIONAL
        else:
            words.append(word)
    return tuple(dict.fromkeys(found))


def check_condition(text: str) -> None:
    """InvalidInput where a dependency is too intricate for anyone to solve; others pass."""
    if not text.startswith("("):
        return
    if len(text) > _LONGEST:
        raise InvalidInput(f"a dependency of more than {_LONGEST} characters: {text[:60]}...")
    groups = [_Group()]
    for word in _WORD.findall(_COMPARISON.sub("", text)):
        if word == "(":
            groups.append(_Group())
        elif word == ")":
            group = groups.pop()
            groups = groups or [_Group()]
            groups[-1].parts.append(group.size())
        elif word in _OPERATORS:
            groups[-1].operators.add(word)
        else:
            groups[-1].parts.append((1, 1))
        largest = max(groups[-1].parts[-1:], default=(1, 1))
        if len(groups) > _DEEPEST or max(largest) > _MOST_CLAUSES:
            raise InvalidInput(f"a dependency that is too intricate: {text[:60]}...")
