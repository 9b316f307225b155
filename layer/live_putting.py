"""Carries out what a live change does beside the swap of /usr, and takes it back."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layer import live_etc, live_tmpfiles
from layer.errors import LayerError, NotFound
from layer.live.record import EDITED, Addition, Journal, LiveState, Placed, Replacement, Stage
from layer.live_etc import CACHE, EtcPlan
from layer.sandbox.process import find_program, run

_ROOT = Path("/")
_TIMEOUT = 300.0  # seconds that a program of systemd's may take


def put(
    state: LiveState,
    plan: EtcPlan,
    checkout: Path,
    tmpfiles: Sequence[str],
    before: LiveState | None = None,
    root: Path = _ROOT,
) -> LiveState:
    """Puts into /etc, /var and /run what a state is to have; returns it with what came of that.

    `before` was live until now.
    """
    live_etc.bring(root, checkout, state.additions)
    replacements = []
    for item in state.replacements:
        is_tree = item.path in plan.replacements
        replacements.append(live_etc.put_new(root, checkout, item) if is_tree else item)
    _add_accounts(plan, checkout)
    if CACHE in plan.edited:
        _in_new_usr(checkout, ["ldconfig", "-X"])
    done = live_etc.changed_by(root, replacements)
    if tmpfiles:
        _in_new_usr(checkout, ["systemd-tmpfiles", "--create", *tmpfiles])
    return replace(
        state,
        additions=tuple(one for one in state.additions if _is_put(root, one)),
        replacements=done,
        made=live_tmpfiles.settle(root, state.made, before.made if before else ()),
    )


def begun(journal: Journal, root: Path = _ROOT) -> LiveState:
    """What was going to be seen, with all that was put somewhere for it, noted already or not."""
    assert journal.wanted is not None
    if journal.stage is not Stage.PREPARING:
        return journal.wanted
    before = journal.before.made if journal.before else ()
    return replace(journal.wanted, made=live_tmpfiles.settle(root, journal.wanted.made, before))


def take_back(
    leaving: LiveState, staying: LiveState | None, backups: Path, root: Path = _ROOT
) -> tuple[str, ...]:
    """Takes away what one state has put somewhere and another has not; returns what stays."""
    kept_paths = {one.path: one for one in staying.additions} if staying else {}
    going = [one for one in leaving.additions if kept_paths.get(one.path) != one]
    stays = list(live_etc.take_away(root, going))
    names = {one.path for one in staying.replacements} if staying else set()
    for item in leaving.replacements:
        if item.path not in names:
            left = live_etc.put_back(root, item, backups, leaving.accounts)
            stays += [left] if left else []
    made = {one.path for one in staying.made} if staying else set()
    stays += live_etc.take_away(root, [one for one in leaving.made if one.path not in made])
    return tuple(sorted(stays))


def fit(
    state: LiveState, plan: EtcPlan, pending: Path, backups: Path, root: Path = _ROOT
) -> tuple[LiveState, tuple[str, ...]]:
    """Has /etc hold of a state only what `plan` has, too, that of the deployment to boot next.

    /usr stays, and what lies outside /etc. Returns what is left of the state, and what stays
    although it should not.
    """
    names = (*plan.replacements, *plan.edited)
    kept = tuple(item for item in state.replacements if item.path in names)
    staying = replace(
        state,
        additions=tuple(one for one in state.additions if one in plan.additions),
        replacements=kept,
    )
    stays = take_back(state, staying, backups, root)
    gone = set(state.accounts) - set(live_etc.accounts_of(plan))
    fitted = []
    for item in kept:
        if item.path in plan.replacements:
            fitted.append(live_etc.put_new(root, pending, item))
            continue
        if item.path in live_etc.ACCOUNT_FILES:
            live_etc.drop_accounts(root / item.path, gone)
        fitted.append(replace(item, says=EDITED))
    return replace(staying, replacements=tuple(fitted)), stays


def restore(
    before: LiveState, leaving: LiveState, checkout: Path, backups: Path, root: Path = _ROOT
) -> None:
    """Brings back what a state had, after another was to take its place."""
    take_back(leaving, before, backups, root)
    live_etc.bring(root, checkout, before.additions)
    for item in before.replacements:
        source = checkout / "usr" / item.path
        if source.is_file() and live_etc.digest(source) == item.says:
            live_etc.put_new(root, checkout, item)


def backups_of(
    plan: EtcPlan, before: LiveState | None, backups: Path, root: Path = _ROOT
) -> tuple[Replacement, ...]:
    """Keeps copies of all files that will be others, as they were before anything was live."""
    paths = [*plan.replacements]
    if plan.accounts and any(path in plan.edited for path in live_etc.ACCOUNT_FILES):
        paths += [p for p in live_etc.ACCOUNT_FILES if (root / p).is_file()]
    paths += [CACHE] if CACHE in plan.edited else []
    known = {item.path for item in before.replacements} if before else set()
    found = {
        path: live_etc.keep_copy(root, path, backups, is_known=path in known) for path in paths
    }
    for item in before.replacements if before else ():
        if item.path in found and live_etc.digest(root / item.path) != item.says:
            found[item.path] = replace(item, says=EDITED)
    return tuple(found[path] for path in sorted(found))


def _add_accounts(plan: EtcPlan, checkout: Path) -> None:
    """By systemd, where the admin has files of their own; else the tree's had them already."""
    if plan.accounts and any(path in plan.edited for path in live_etc.ACCOUNT_FILES):
        _in_new_usr(checkout, ["systemd-sysusers", "--inline", *plan.accounts])


def _is_put(root: Path, one: Addition) -> bool:
    place = root / one.path
    return place.is_dir() if one.placed is Placed.DIRECTORY else live_etc.is_as_placed(place, one)


def _in_new_usr(checkout: Path, command: Sequence[str]) -> None:
    """Runs a command that sees the new /usr before anybody else does, and ends with us."""
    name = command[0]
    folders = ("usr/bin", "usr/sbin")
    if not any((checkout / folder / name).exists() for folder in folders):
        raise NotFound(f"the new /usr has no {name}", "what it does is done by a reboot")
    mount = find_program("mount") or "mount"
    # We may have ended before the kernel was told to kill it then.
    script = f'[ "$PPID" = "$1" ]; {mount} --bind "$2" /usr; shift 2; exec "$@"'
    done = run(
        [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("unshare", "--mount", "--propagation", "private", "--", "sh", "-euc", script, "sh"),
            *(str(os.getpid()), str(checkout / "usr"), *command),
        ],
        timeout=_TIMEOUT,
    )
    if done.status:
        raise LayerError(
            f"{shlex.join(command[:2])} failed ({done.status}): {' '.join(done.output.split())}",
            "`systemctl reboot` brings what is pending all the same",
        )
