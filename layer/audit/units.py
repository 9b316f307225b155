"""What Debian's helper for units decides: which of a package's units start with the machine.

A preset enables every new unit of a package. Where Debian's maintainer leaves one disabled,
the script never enables it and has its links noted alone: that is declared as a preset.
"""

from __future__ import annotations

import re

from layer.audit.ruling import Call, Gathered, Ruling, parse_options, rewritten
from layer.audit.verdict import Verdict

_FLAGS = frozenset(["--quiet", "--user", "--system"])
_UNIT = re.compile(r"[A-Za-z0-9_.:@\\-]+\.(service|socket|timer|path|target|mount|automount|slice)")
# What its questions are answered in a tree that has never had the package, by
# deb-systemd-helper(1p): there is no state of the unit.
_ANSWERS = {"was-enabled": True, "debian-installed": False}


def rewrite_unit(call: Call, gathered: Gathered) -> Ruling | None:
    """The ruling on a deb-systemd-helper; None where others have to judge it."""
    if call.name != "deb-systemd-helper" or not call.is_known:
        return None
    options = parse_options(call.texts, _FLAGS, frozenset())
    if options is None or len(options.words) != 2:
        return None
    verb, unit = options.words
    scope = "user" if options.has("--user") else "system"
    if verb in _ANSWERS and _UNIT.fullmatch(unit):
        reason = "it only reads; a new tree has no state of the unit"
        return Ruling(Verdict.HARMLESS, reason, status=_ANSWERS[verb])
    if verb == "enable":
        gathered.enabled.add((scope, unit))
    elif verb == "update-state" and not call.guards and _is_own(unit, scope, gathered):
        gathered.disabled.append((scope, unit))
        return rewritten("a preset leaves the unit disabled, as the script does")
    return None


def _is_own(unit: str, scope: str, gathered: Gathered) -> bool:
    path = f"/usr/lib/systemd/{scope}/{unit}"
    return _UNIT.fullmatch(unit) is not None and gathered.file(path) is not None
