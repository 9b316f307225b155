"""What an examination of a machine has found, to text for a person and to JSON; pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from layer.frozen import dataclass
from layer.words import count

SCHEMA = 1


class Level(StrEnum):
    """How bad it is: nothing works until it is done, something will not, or as it should be."""

    FAULT = "fault"
    WARNING = "warning"
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about a part of the machine; `advice` is what to do, "" where nothing is."""

    part: str
    level: Level
    fact: str
    advice: str = ""


def has_faults(findings: Sequence[Finding]) -> bool:
    """Whether anything of it keeps layer from its work."""
    return any(finding.level == Level.FAULT for finding in findings)


def described(findings: Sequence[Finding]) -> str:
    """A line each in the order of the examination, what to do below; and a sum."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:8} {finding.part}: {finding.fact}")
        if finding.advice:
            lines.append(f"{'':8} -> {finding.advice}")
    faults, warnings = (
        sum(finding.level == level for finding in findings)
        for level in (Level.FAULT, Level.WARNING)
    )
    if not faults and not warnings:
        return "\n".join([*lines, "", "All is well."])
    return "\n".join([*lines, "", f"{count(faults, 'fault')}, {count(warnings, 'warning')}."])


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": SCHEMA,
        "findings": [
            {
                "part": finding.part,
                "level": finding.level.value,
                "fact": finding.fact,
                "advice": finding.advice or None,
            }
            for finding in findings
        ],
    }
