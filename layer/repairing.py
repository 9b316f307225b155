"""Damage on a machine: found and named, and healed where what it came from is at hand.

Objects come again from where they came the first time: a base from its remote, packages from
their repositories, and a derived commit is made anew, as it is a function of base and lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from layer import locking
from layer.errors import LayerError, StoreError
from layer.frozen import dataclass
from layer.host import Host, require_root
from layer.lock import base_of
from layer.lock_file import LockFile
from layer.model import Deployment
from layer.store.commit_copies import restore
from layer.store.damage import Damaged, drop, find_damaged
from layer.store.mending import differences, mend
from layer.store.remote import pull
from layer.transaction import build
from layer.words import count, shown

_BASE = "layer/base/"
_KINDS = {"commit": "commit", "directory": "directory", "attributes": "attributes of", "file": ""}
# What is made anew when it is needed next, where its ref is gone.
_REMADE = ("layer/pkg/", "layer/trigger/", "layer/copies/", "layer/headers/")
_MOST_NAMES = 3
_BESIDES = ("etc", "var", ".ostree.cfs")  # at a deployment's top, the machine's


@dataclass(frozen=True, slots=True)
class Examined:
    """What is wrong, a line for each thing; and of what was healed or could not be, why."""

    damage: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def examine(host: Host) -> Examined:
    """Reads every object that a deployment needs, and looks at each file of the deployments."""
    objects = find_damaged(host.store, _commits(host))
    found = [_of_object(one) for one in objects]
    return Examined((*found, *_of_deployments(host, _damaged_roots(objects))))


def repair(host: Host) -> Examined:
    """Heals what `examine` finds; the lines are what is left. With the sysroot's lock held."""
    require_root()
    failures: list[str] = []
    objects = find_damaged(host.store, _commits(host))
    if restore(host.store, objects):
        objects = find_damaged(host.store, _commits(host))
    lock = _lock(host, failures) if objects else None
    if objects:
        _let_go(host, objects)
        failures += _pull_bases(host, objects)
    _mend(host)
    if objects and lock is not None and find_damaged(host.store, _derived(host)):
        failures += _make_again(host, lock)
        _mend(host)
    left = examine(host)
    return Examined(left.damage, tuple(failures) if left.damage else ())


def described(before: Examined, after: Examined, *, is_repair: bool) -> list[str]:
    """Lines for people: what was wrong, and what became of it."""
    if not before.damage:
        return ["No damage."]
    healed = {*before.damage} - {*after.damage}
    lines = [f"{line}{': healed' if line in healed else ''}" for line in before.damage]
    lines += [*(new for new in after.damage if new not in before.damage), *after.failures]
    return lines if is_repair else [*lines, "`layer fsck --repair` heals what can be healed."]


def as_json(before: Examined, after: Examined) -> dict[str, Any]:
    """The same for programs."""
    return {
        "healed": [line for line in before.damage if line not in after.damage],
        "damage": list(after.damage),
        "failures": list(after.failures),
    }


def _commits(host: Host) -> Mapping[str, str]:
    """All commits that something needs, by what people call them."""
    named = {f"deployment {d.index}": d.checksum for d in host.sysroot.deployments()}
    return {**host.store.refs("layer"), **named}


def _derived(host: Host) -> Mapping[str, str]:
    return {name: commit for name, commit in _commits(host).items() if name.startswith("deploy")}


def _of_object(one: Damaged) -> str:
    fact = "is missing" if one.is_missing else "is damaged"
    names = [_name(name) for name in one.names]
    listed = ", ".join(dict.fromkeys(names[:_MOST_NAMES])) + (", ..." * (len(names) > _MOST_NAMES))
    what = f"{_KINDS[one.kind]} {shown(one.path)}".strip()
    return f"{what} {fact} in the repository (object {one.checksum[:12]}, of {listed})"


def _name(name: str) -> str:
    parts = name.split("/")
    if name.startswith("layer/") and len(parts) > 2:
        middle = f" {parts[2]}" if len(parts) > 3 else ""
        return f"{parts[1]}{middle} {parts[-1][:12]}"
    return name


def _damaged_roots(objects: Sequence[Damaged]) -> Collection[str]:
    """The deployments whose directories cannot be told."""
    broken = [one for one in objects if one.kind != "file"]
    return {name for one in broken for name in one.names if name.startswith("deployment ")}


def _of_deployments(host: Host, untold: Collection[str]) -> Iterator[str]:
    for deployment in _looked_at(host):
        if f"deployment {deployment.index}" in untold:
            continue
        root = host.store.read_commit(deployment.checksum).root
        with suppress(StoreError):  # of an object that is told already
            for path in differences(host.store, deployment.path, root, _BESIDES):
                yield f"/{shown(path)} of deployment {deployment.index} is not what its commit says"


def _looked_at(host: Host) -> Iterator[Deployment]:
    """Those whose /usr nobody has made writable."""
    return (d for d in host.sysroot.deployments() if d.unlocked == "none")


def _lock(host: Host, failures: list[str]) -> LockFile | None:
    """What the pending deployment is made of, as long as the store can tell; None for a base."""
    try:
        pending = host.require_pending()
        if base_of(host.store.read_commit(pending.checksum)) is None:
            return None
        return locking.export(host)
    except LayerError as error:
        failures.append(f"{error.message}; what is layered cannot be made anew")
        return None


def _let_go(host: Host, objects: Sequence[Damaged]) -> None:
    """Removes what is damaged, and the refs of all that is made anew where it is needed."""
    names = {name for one in objects for name in one.names}
    with host.store.transaction():
        for name in sorted(names):
            if name.startswith(_REMADE):
                host.store.set_ref(name, None)
    drop(host.store, objects, ())


def _pull_bases(host: Host, objects: Sequence[Damaged]) -> Iterator[str]:
    """Fetches what bases lack; says of which that could not be."""
    names = {name for one in objects for name in one.names}
    wanted = {name.removeprefix(_BASE) for name in names if name.startswith(_BASE)}
    for checksum in sorted(wanted):
        source = next(
            (
                host.origin(d).base
                for d in host.sysroot.deployments()
                if checksum in (d.checksum, _base_of(host, d))
            ),
            None,
        )
        if source is None or not source.remote:
            yield f"base {checksum[:12]} came from no remote"
            continue
        drop(host.store, (), [checksum])
        try:
            pull(host.store, source.remote, source.ref, host.reporter, commit=checksum)
        except LayerError as error:
            yield f"base {checksum[:12]}: {error.message}"


def _base_of(host: Host, deployment: Deployment) -> str:
    with suppress(StoreError):
        return base_of(host.store.read_commit(deployment.checksum)) or ""
    return ""


def _mend(host: Host) -> None:
    """Puts the store's files in the place of what deployments have."""
    for deployment in _looked_at(host):
        with suppress(StoreError):  # what is lacking is told at the end
            root = host.store.read_commit(deployment.checksum).root
            paths = mend(host.store, deployment.path, root, _BESIDES)
            if paths:
                host.reporter.note(
                    f"{count(len(paths), 'path')} of deployment {deployment.index} mended"
                )


def _make_again(host: Host, lock: LockFile) -> Iterator[str]:
    """Makes the pending commit anew, with all its objects; says why where that cannot be."""
    try:
        build(host, locking.again(host, lock))
    except LayerError as error:
        yield f"what is layered could not be made anew: {error.message}"
