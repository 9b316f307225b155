"""What the plan says of the machine beyond packages: files, accounts and units that are new."""

from __future__ import annotations

from collections.abc import Sequence

from layer.effects import Effects, NewUnit, PlacedPath, Privileged
from layer.words import count, printable, shown

_MOST_PATHS = 12  # of one place; --json names all
_PRESETS = {
    "enable": "enabled by preset",
    "disable": "disabled by preset",
    "ignore": "left alone by preset",
    "": "no preset is applied",
    None: "by a preset that comes along",
}


def plan(effects: Effects, *, is_whole: bool = False) -> list[list[str]]:
    """The parts of the plan about them, each a heading with lines; `is_whole` names all paths."""
    return [
        _privileged(effects.privileged),
        _accounts(effects),
        _units(effects.units),
        *(
            _paths(place, found, is_whole=is_whole)
            for place, found in (
                ("/etc", effects.etc),
                ("/opt", effects.opt),
                ("/var", effects.var),
            )
        ),
    ]


def _privileged(files: Sequence[Privileged]) -> list[str]:
    lines = []
    for file in files:
        what = [f"setuid {printable(file.setuid)}"] if file.setuid else []
        what += [f"setgid {printable(file.setgid)}"] if file.setgid else []
        what += [printable(file.capabilities)] if file.capabilities else []
        lines.append(f"  {printable(file.path)}: {', '.join(what)} ({file.package})")
    return ["Privileged files:", *lines] if lines else []


def _accounts(effects: Effects) -> list[str]:
    lines = [
        f"  {account.kind} {printable(account.name)}"
        f"{'' if account.number is None else f' {account.number}'}"
        for account in effects.accounts
    ]
    if effects.unread:
        which = "and others that the" if lines else "those that the"
        names = ", ".join(effects.unread)
        lines.append(f"  {which} sysusers.d files of {names} declare: read once it is downloaded")
    return ["New users and groups:", *lines] if lines else []


def _units(units: Sequence[NewUnit]) -> list[str]:
    lines = []
    for unit in units:
        scope = ", of user sessions" if unit.scope == "user" else ""
        lines.append(f"  {printable(unit.name)}: {_PRESETS[unit.preset]}{scope} ({unit.package})")
    return ["New units:", *lines] if lines else []


def _paths(place: str, paths: Sequence[PlacedPath], *, is_whole: bool) -> list[str]:
    lines = [f"  {shown(path.path)} ({path.package})" for path in paths]
    if len(lines) > _MOST_PATHS and not is_whole:
        lines[_MOST_PATHS - 1 :] = [f"  and {count(len(lines) - _MOST_PATHS + 1, 'more path')}"]
    return [f"In {place}:", *lines] if lines else []
