"""What a running machine is told after a live change, and what a person may want to restart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from layer import live_record, live_view
from layer.errors import NotFound
from layer.frozen import dataclass
from layer.host import Host
from layer.live.plan import Process
from layer.living import Applied
from layer.processes import Seen, old_files, scan
from layer.sandbox.process import run
from layer.status import LiveNow
from layer.triggers.match import fires

_TIMEOUT = 90.0  # seconds
_UNIT = re.compile(r"usr/(?:lib|etc)/systemd/system/([^/]+\.(?:service|socket))(?:\.d/.+)?")
# By the action of a trigger; dbus-broker has the bus's name as another one of its own.
_COMMANDS = {
    "daemon-reload": ("systemctl", "daemon-reload"),
    "udev-reload": ("udevadm", "control", "--reload"),
    "dbus-reload": ("systemctl", "reload", "dbus.service"),
}


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What was told to the machine, what of it failed; units that are new, changed, or gone."""

    told: tuple[str, ...]
    failed: tuple[str, ...]
    new_units: tuple[str, ...]
    to_restart: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldFiles:
    """A process that still runs files which are others now, or no longer there."""

    process: Process
    paths: tuple[str, ...]


def follow_up(host: Host, applied: Applied) -> Afterwards:
    """Does the live actions of the triggers that fire; restarts nothing."""
    diff = applied.found.diff
    triggers = host.triggers(applied.wanted.root)
    actions = {t.live_action for t in triggers if t.live_action != "none" and fires(t, diff)}
    told, failed = tell(actions)
    # What layer itself has there is for boots.
    added, changed, removed = (
        {
            path: found[1]
            for path in paths
            if (found := _UNIT.fullmatch(path)) and not applied.found.owner(path).is_ours
        }
        for paths in (diff.added, diff.changed, diff.removed)
    )
    new, gone = (
        {name for path, name in units.items() if ".d/" not in path and path.startswith("usr/lib")}
        for units in (added, removed)
    )
    old = {one.process.unit for one in with_old_files(scan()) if one.process.unit}
    restart = {*added.values(), *changed.values(), *removed.values(), *old} - new - gone
    return Afterwards(told, failed, *(tuple(sorted(names)) for names in (new, restart, gone)))


def tell(actions: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Runs the commands of live actions, in the table's order; what was done, what failed."""
    told, failed = [], []
    for action, command in _COMMANDS.items():
        if action not in actions:
            continue
        words = " ".join(command)
        try:
            done = run(command, timeout=_TIMEOUT)
        except NotFound as error:
            failed.append(f"{words}: {error.message}")
            continue
        if done.status:
            failed.append(f"{words}: {' '.join(done.output.split())}")
        else:
            told.append(words)
    return tuple(told), tuple(failed)


def with_old_files(processes: Sequence[Seen]) -> tuple[OldFiles, ...]:
    """The processes that have something mapped which is another file in their own view."""
    found = ((one.process, old_files(one)) for one in processes)
    return tuple(OldFiles(process, paths) for process, paths in found if paths)


def live_now(host: Host) -> LiveNow | None:
    """What is live, and who still runs old files; None where nothing was live in this boot."""
    journal = live_record.read(host.sysroot.var(host.stateroot))
    if journal is None or journal.boot != live_record.boot() or not host.sysroot.is_booted:
        return None
    # Of several that lay over each other an interrupted reset may show one that no record names.
    commit = live_view.seen_checkout(host.sysroot.path).rpartition("-")[0]
    old = tuple((one.process, one.paths) for one in with_old_files(scan()))
    target = journal.wanted.commit if journal.wanted else journal.booted
    return LiveNow(commit, "" if journal.is_settled else target, old)
