"""Audits as text and as JSON, and the ranking of packages by what they leave to do."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from layer.audit.verdict import Audit, Verdict
from layer.consent import heading
from layer.frozen import dataclass
from layer.model import PackageHeader
from layer.scriptlets import is_installing
from layer.words import count, printable


@dataclass(frozen=True, slots=True)
class Audited:
    """A package and what becomes of its scriptlets."""

    header: PackageHeader
    audit: Audit

    @property
    def needs_consent(self) -> bool:
        """Whether `layer install` would stop at it."""
        return bool(self.audit.unknown)


def as_text(found: Sequence[Audited], of_base: Sequence[Audit] = ()) -> str:
    """Every line of every package with its verdict and the reason, and what is declared instead.

    `of_base` are triggers of packages in the base that run for these.
    """
    parts = [_package(str(one.header.nevra), one.audit) for one in found if one.audit.judged]
    without = len(found) - len(parts)
    needing = sum(one.needs_consent for one in found)
    parts += [_package(heading(audit), audit) for audit in of_base]
    parts.append(
        [
            f"{count(len(found), 'package')}, {without} without scriptlets; "
            f"{needing or 'none'} would need consent.",
            *_of_base(of_base),
        ]
    )
    return "\n\n".join("\n".join(part) for part in parts)


def as_json(found: Sequence[Audited], of_base: Sequence[Audit] = ()) -> dict[str, Any]:
    """The object that `layer audit --json` prints."""
    return {
        "packages": [
            {**_object(one.audit), "rewrites": asdict(one.audit.rewrites)} for one in found
        ],
        "base-triggers": [{**_object(one), "for": list(one.runs_for)} for one in of_base],
    }


def _object(audit: Audit) -> dict[str, Any]:
    return {
        "nevra": audit.nevra,
        "needs-consent": bool(audit.unknown),
        "lines": [
            {
                "slot": line.slot,
                "line": line.line,
                "text": printable(line.text),
                "verdict": line.verdict.value,
                "reason": line.reason,
                "by": line.by,
            }
            for line in audit.judged
        ],
    }


def ranking(found: Sequence[Audited]) -> str:
    """The packages that ship /etc, /var or scriptlets: those first that are hardest to layer."""
    rows = sorted(
        (-row[0], -row[1], -row[2], -row[3], str(one.header.nevra))
        for one in found
        if any(row := _weights(one))
    )
    if not rows:
        return "None of the packages ships /etc, /var or scriptlets."
    heads = ("UNKNOWN", "LINES", "/VAR", "/ETC", "PACKAGE")
    cells = [heads, *((*(str(-number) for number in row[:4]), row[4]) for row in rows)]
    widths = [max(len(str(row[i])) for row in cells) for i in range(4)]
    return "\n".join(
        "  ".join([*(str(c).rjust(w) for c, w in zip(row, widths, strict=False)), str(row[4])])
        for row in cells
    )


def _weights(one: Audited) -> tuple[int, int, int, int]:
    """Unknown lines, lines that apply, files in /var, files in /etc."""
    lines = [j for j in one.audit.judged if j.verdict is not Verdict.NOT_APPLICABLE]
    files = [f.path for f in one.header.files if not stat.S_ISDIR(f.mode) and not f.is_ghost]
    return (
        len(one.audit.unknown),
        len(lines),
        sum(path.startswith("/var/") for path in files),
        sum(path.startswith("/etc/") for path in files),
    )


def _of_base(audits: Sequence[Audit]) -> list[str]:
    """One line where triggers of the base run."""
    needing = sum(bool(audit.unknown) for audit in audits)
    number = count(len(audits), "package")
    line = f"Triggers of {number} in the base; {needing or 'none'} would need consent."
    return [line] if audits else []


def _package(name: str, audit: Audit) -> list[str]:
    rows: list[tuple[str, str, str, str]] = []
    for line in audit.judged:
        text, place = printable(line.text), f"%{line.slot} {line.line}"
        if not is_installing(line.slot):  # said in one row of each slot
            text, place = "all of it", f"%{line.slot}"
        row = (place, line.verdict.value, text, line.reason)
        if row not in rows[-1:]:
            rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [name]
    for place, verdict, text, reason in rows:
        lines.append(f"  {place:{widths[0]}}  {verdict:{widths[1]}}  {text}  ({printable(reason)})")
    return [*lines, *(f"  declared: {line}" for line in _declared(audit))]


def _declared(audit: Audit) -> list[str]:
    made = audit.rewrites
    lines = [f"sysusers.d: {line}" for line in made.sysusers]
    lines += [f"tmpfiles.d: {line.rstrip()}" for line in made.tmpfiles]
    lines += [f"capabilities of {path}: {text}" for path, text in made.capabilities]
    lines += [f"link {path} -> {target}" for path, target in made.links]
    lines += [
        f"alternative {one.name} -> {one.path}, priority {one.priority}"
        for one in made.alternatives
    ]
    lines += [f"shell: {path}" for path in made.shells]
    lines += [f"settings {one.path} from {one.template}" for one in made.settings if one.template]
    lines += [f"preset of {scope} units: disable {unit}" for scope, unit in made.disabled]
    for one in made.modes:
        what = [f"{one.mode:04o}" if one.mode is not None else "", one.user, one.group]
        lines.append(f"{one.path}: {' '.join(word for word in what if word)}")
    return [printable(line) for line in lines]
