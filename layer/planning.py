"""Building what a change makes without deploying it, and deploying exactly that later."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from layer import planned, plans, render
from layer.accounts import read_accounts
from layer.change import Change, Told
from layer.effects import Disk, Effects, NewAccount
from layer.errors import InvalidInput, NotFound
from layer.feasibility import check_room_to_boot, tracked_files
from layer.footprint import gained, read_usage
from layer.host import Host
from layer.lock import canonical, read_lock, read_record
from layer.model import Commit, Deployment
from layer.outputs import named, read_input, require_place, write_output
from layer.plan_file import PlanFile, format_plan, parse_plan
from layer.transaction import build


def write_plan(host: Host, change: Change, path: Path) -> PlanFile:
    """Builds the change's commit, which no clean-up takes yet, and writes the plan that names it.

    With the lock held since the change was prepared; what boots stays as it is.
    """
    require_place(path)
    pending = host.require_pending()
    repository = host.sysroot.store.path
    before = read_usage(repository)
    with host.sysroot.store.counting() as objects:
        checksum = build(host, change)
        with host.store.transaction():
            plans.remember(host, pending.checksum, checksum)
        taken = objects() + gained(repository, before)
    built = replace(change, effects=_as_built(host, change, checksum, taken))
    found = PlanFile(
        commit=checksum,
        base=change.base.checksum,
        stateroot=host.stateroot,
        pending=pending.checksum,
        before=_state(pending),
        origin=change.after,
        kernel_arguments=change.kernel_arguments,
        command=host.options.command,
        told=Told(
            render.change(built),
            {**planned.as_json(built), "triggers": _ran(host.store.read_commit(checksum))},
        ),
    )
    write_output(path, format_plan(found).encode())
    return found


def read_plan(host: Host, path: Path) -> Change:
    """The change of a plan, to deploy its very commit; LayerError where that cannot be."""
    name = named(path)
    found = parse_plan(read_input(path), name)
    pending = host.require_pending()
    if found.stateroot != host.stateroot:
        raise InvalidInput(
            f"{name} is for the stateroot {found.stateroot}, and this is {host.stateroot}",
            f"--stateroot {found.stateroot} works on that one",
        )
    if pending.checksum == found.commit:
        raise InvalidInput(f"commit {found.commit[:12]} of {name} is what boots next already")
    if plans.find(host, found.commit) is None:
        raise NotFound(
            f"commit {found.commit[:12]} of {name} is not here: cleaned up, or of another machine",
            "make the plan again: layer plan; to another machine goes a lock: layer lock export",
        )
    if (pending.checksum, _state(pending)) != (found.pending, found.before):
        raise InvalidInput(
            f"{name} was made when {found.pending[:12]} was to boot next; "
            "what boots next has changed since",
            "make the plan again: layer plan",
        )
    return _change(host, pending, found)


def _change(host: Host, pending: Deployment, found: PlanFile) -> Change:
    commit = host.store.read_commit(found.commit)
    base = host.store.read_commit(found.base)
    overlay = tracked_files(host, found.origin)
    check_room_to_boot(host, commit.root, overlay)
    return Change(
        stateroot=host.stateroot,
        pending=pending,
        before=host.origin(pending),
        after=found.origin,
        previous_base=host.find_base(pending),
        base=base,
        previous=host.lock_of(pending),
        lock=read_lock(commit) if commit != base else replace(host.lock_of(pending), packages=()),
        overlay=overlay,
        kernel_arguments=found.kernel_arguments,
        again=found.commit,
        told=found.told,
    )


def _as_built(host: Host, change: Change, checksum: str, taken: int) -> Effects:
    """The effects with what only the commit tells: numbers of accounts, and the disk."""
    store, pending = host.store, host.require_pending()
    root = store.read_commit(checksum).root
    old, new = (
        read_accounts(store, store.read_commit(pending.checksum).root),
        read_accounts(store, root),
    )
    accounts = [NewAccount("user", n, i) for n, i in new.users.items() if n not in old.users]
    accounts += [NewAccount("group", n, i) for n, i in new.groups.items() if n not in old.groups]
    disk = change.effects.disk
    return replace(
        change.effects,
        accounts=tuple(sorted(accounts, key=lambda one: (one.kind, one.name))),
        unread=(),
        disk=Disk(taken, disk.checkout, disk.boot, is_measured=True),
    )


def _ran(commit: Commit) -> list[str]:
    """The triggers that ran, each once, in their order."""
    if "layer.schema" not in commit.metadata:
        return []
    return list(dict.fromkeys(run.name for run in read_record(commit).runs))


def _state(pending: Deployment) -> str:
    """A name for all that a deployment is and that a plan builds upon."""
    state = [pending.checksum, pending.serial, pending.origin, list(pending.kernel_arguments)]
    return hashlib.sha256(canonical(state).encode()).hexdigest()
