"""What a user must agree to before it is left undone; decides, asks nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from layer.audit.verdict import Audit
from layer.errors import InvalidInput, PackageRefused
from layer.model import Nevra
from layer.words import count, printable

_MOST_NAMES = 5  # of packages that a trigger of the base runs for
_MOST_LINES = 40  # of one package in an error; `layer audit` shows the rest


def agree(
    audits: Sequence[tuple[Nevra, Audit]],
    accepted: Collection[tuple[str, str]],
    new: Collection[str],
    policy: str,
    way: str = "--accept-unscripted {}",
) -> tuple[tuple[str, str], ...]:
    """What is agreed to from now on: names of packages with the digests of their scriptlets.

    `accepted` was agreed to before, `new` names packages whose lines are agreed to now.
    Under the policy `stop` PackageRefused names every line that nobody agreed to;
    InvalidInput where `new` names what is not there. `way` is how consent is given, with
    a place for the names.
    """
    missing = sorted(set(new) - {nevra.name for nevra, _ in audits})
    if missing:
        raise InvalidInput(
            f"not among the packages to layer: {', '.join(missing)}",
            f"{way.format('NAME')} takes the name of a package that is to be layered",
        )
    open_ones = [(nevra, audit) for nevra, audit in audits if audit.unknown]
    agreed = {
        (nevra.name, audit.digest)
        for nevra, audit in open_ones
        if nevra.name in new or (nevra.name, audit.digest) in accepted
    }
    asked = [pair for pair in open_ones if (pair[0].name, pair[1].digest) not in agreed]
    if asked and policy == "stop":
        raise _refusal(asked, {name for name, _ in accepted}, way)
    return tuple(sorted(agreed))


def lines(audit: Audit) -> tuple[str, ...]:
    """The lines of a package that nothing stands in for, each with its place and the reason."""
    shown = [
        f"%{item.slot} {item.line}: {printable(item.text)}  ({printable(item.reason)})"
        for item in audit.unknown
    ]
    if len(shown) > _MOST_LINES:
        more = f"and {count(len(shown) - _MOST_LINES, 'more line')}: layer audit shows all"
        shown[_MOST_LINES:] = [more]
    return tuple(shown)


def heading(audit: Audit) -> str:
    """The package; for triggers of one in the base, the packages that they run for, too."""
    if not audit.runs_for:
        return audit.nevra
    named = ", ".join(audit.runs_for[:_MOST_NAMES])
    more = len(audit.runs_for) - _MOST_NAMES
    return f"{audit.nevra} in the base, for {named}{f' and {more} more' if more > 0 else ''}"


def _refusal(
    asked: Sequence[tuple[Nevra, Audit]], known: Collection[str], way: str
) -> PackageRefused:
    text = []
    for nevra, audit in asked:
        changed = ", changed since they were agreed to" if nevra.name in known else ""
        text.append(f"  {heading(audit)}{changed}:")
        text += [f"    {line}" for line in lines(audit)]
    names = sorted({nevra.name for nevra, _ in asked})
    accept = " ".join(way.format(name) for name in names)
    return PackageRefused(
        "scriptlets are not run, and nothing does what these lines would:\n" + "\n".join(text),
        f"leave the package out, or agree that they are not run: {accept}, "
        "or cover them with a trigger in /etc/layer/triggers.d: layer-trigger(5)",
    )
