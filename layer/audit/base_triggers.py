"""Triggers of packages in the base, which rpm would run for the packages that are layered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from layer.audit.file_triggers import is_for_files
from layer.audit.judge import Coverage, audit_scriptlet, digest_of
from layer.audit.ruling import Gathered
from layer.audit.verdict import Audit, Judged, Rewrites, Verdict
from layer.model import Nevra, PackageHeader, Scriptlet
from layer.scriptlets import is_installing

_TRIGGERS = ("trigger", "filetrigger", "transfiletrigger")


def runs_for(scriptlet: Scriptlet, header: PackageHeader) -> bool:
    """Whether rpm would run another package's trigger when this package is installed.

    A condition on its version is not looked at: the trigger counts as one that runs.
    """
    if not scriptlet.slot.startswith(_TRIGGERS) or not is_installing(scriptlet.slot):
        return False
    if is_for_files(scriptlet):
        return any(file.path.startswith(scriptlet.about) for file in header.files)
    return header.nevra.name in scriptlet.about


def audit_in_base(
    nevra: Nevra,
    scriptlets: Sequence[Scriptlet],
    covers: Sequence[Coverage],
    packages: Collection[str],
) -> Audit:
    """Judges triggers of a package in the base that run for `packages`.

    `covers` tell which triggers of layer's fire for these. Nothing is declared in place of a
    command, since what a package of the base needs is the base's to have; and consent is about the
    bodies alone that have unknown lines, as the others come and go with the packages.
    """
    judged: list[Judged] = []
    bodies = []
    for scriptlet in scriptlets:
        slot = f"{scriptlet.slot} of {nevra.name} in the base"
        lines = [
            replace(_undeclared(item), slot=slot)
            for item in audit_scriptlet(scriptlet, nevra.name, Gathered({}), covers)
        ]
        judged += lines
        if any(item.verdict is Verdict.UNKNOWN for item in lines):
            bodies.append((slot, digest_of(scriptlet)))
    return Audit(str(nevra), tuple(judged), Rewrites(), tuple(bodies), tuple(sorted(packages)))


def either(*covers: Sequence[Coverage]) -> tuple[Coverage, ...]:
    """What is covered where several packages come: a trigger fires where it does for one."""
    return tuple(
        replace(alike[0], fires=any(one.fires for one in alike))
        for alike in zip(*covers, strict=True)
    )


def _undeclared(item: Judged) -> Judged:
    if item.verdict is not Verdict.REWRITTEN:
        return item
    reason = "layer declares nothing for a trigger of the base"
    return replace(item, verdict=Verdict.UNKNOWN, reason=reason, by="")
