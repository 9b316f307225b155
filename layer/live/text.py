"""The plan of a live change as text for a person, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from layer.live.plan import LiveClass, LiveItem, LivePlan, users_of
from layer.words import count, shown

_FEW = 3  # paths of a package that are named
_TITLES = {
    LiveClass.REFUSED: "Needs a reboot",
    LiveClass.IN_USE: "In use",
    LiveClass.SAFE_IDLE: "Not in use",
    LiveClass.SAFE: "Safe",
    LiveClass.OURS: "Written by layer and triggers",
}


def as_text(plan: LivePlan, *, allow_replacement: bool = False) -> str:
    """All that differs by class and package, what stands in the way first, and what would help."""
    parts = [[f"Live: {plan.commit}", f"  now: {plan.seen}"]]
    for live_class, title in _TITLES.items():
        items = plan.of(live_class)
        if items:
            is_left = live_class is LiveClass.SAFE_IDLE and not allow_replacement
            more = "; --allow-replacement takes it along" if is_left else ""
            parts.append([f"{title}{more}:", *_grouped(items)])
    ways = list(ways_on(plan, allow_replacement=allow_replacement))
    if ways:
        parts.append(["What would help:", *(f"  {way}" for way in ways)])
    parts += [[f"Note: {note}" for note in plan.notes]] if plan.notes else []
    return "\n\n".join("\n".join(part) for part in parts)


def ways_on(plan: LivePlan, *, allow_replacement: bool = False) -> Iterator[str]:
    """What can be done about what stands in the way."""
    users = users_of(plan.of(LiveClass.IN_USE))
    if users:
        units = sorted({user.unit for user in users if user.unit.endswith(".service")})
        others = [str(user) for user in users if user.unit not in units]
        yield f"end what uses it: {', '.join([*units, *others])}"
        for unit in units:
            yield f"or keep it on what it sees now: layer apply-live --pin {unit}"
    if plan.of(LiveClass.REFUSED):
        yield "a reboot; `layer run` tries what is pending before"
    elif plan.of(LiveClass.SAFE_IDLE) and not users and not allow_replacement:
        yield "layer apply-live --allow-replacement"


def why_not(items: Sequence[LiveItem]) -> str:
    """What stands in the way, by package, as the lines of an error."""
    return "\n".join(_grouped(items))


def as_json(plan: LivePlan, *, allow_replacement: bool) -> dict[str, Any]:
    """The object that `layer apply-live --dry-run --json` prints; docs/live.md lists its keys."""
    return {
        "commit": plan.commit,
        "seen": plan.seen,
        "possible": not plan.obstacles(allow_replacement=allow_replacement),
        "changes": [
            {
                "path": f"/{item.path}",
                "change": item.difference.value,
                "package": item.package,
                "class": item.live_class.value,
                "reason": item.reason,
                "processes": [asdict(process) for process in item.processes],
            }
            for item in plan.items
        ],
        "ways": list(ways_on(plan, allow_replacement=allow_replacement)),
        "notes": list(plan.notes),
    }


def _grouped(items: Sequence[LiveItem]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[LiveItem]] = {}
    for item in items:
        groups.setdefault((item.package, item.reason), []).append(item)
    for (package, reason), several in sorted(groups.items()):
        paths = [f"/{shown(item.path)}" for item in several[:_FEW]]
        more = f" and {count(len(several) - _FEW, 'other path')}" if len(several) > _FEW else ""
        name = f"{package}: " if package else ""
        yield f"  {name}{', '.join(paths)}{more} ({reason})"
        users = users_of(several)
        if users:
            yield f"    used by {', '.join(map(str, users))}"
