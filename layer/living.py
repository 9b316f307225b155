"""Makes what is pending be seen in the running /usr, and takes it back: journal, swap, undoing.

The order is that of `apply`: a record of what is going to be done is durable before it is begun;
files come before /usr changes, and go after it did; an interrupted change is finished where /usr
has changed already, else undone, by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layer import live_etc, live_facts, live_putting, live_record, live_tmpfiles, live_view, mounts
from layer.base_triggers import lines_not_run
from layer.errors import LayerError
from layer.frozen import dataclass
from layer.host import Host, is_root, require_root
from layer.live.plan import Differences, LivePlan, classify, packages_to_watch
from layer.live.record import Journal, LiveState, Stage
from layer.live.text import ways_on, why_not
from layer.live_etc import EtcPlan
from layer.lock import read_record
from layer.model import Commit, Deployment, PackageHeader
from layer.processes import scan
from layer.reasoning import needs_of
from layer.reasons import Needs
from layer.takeover import read_any_lock, read_headers


@dataclass(frozen=True, slots=True)
class Decision:
    """What a live change would do; `known` is what is live now."""

    booted: Deployment
    seen: Commit
    wanted: Commit
    plan: LivePlan
    found: Differences
    needs: Needs | None
    etc: EtcPlan
    known: LiveState | None
    usr: Path


@dataclass(frozen=True, slots=True)
class Applied:
    """How long /usr took to change, in seconds, and what the triggers and services want now."""

    seconds: float
    found: Differences
    wanted: Commit


def decide(host: Host) -> Decision:
    """What it would take to see the pending deployment's /usr now; changes nothing.

    LayerError where this machine does not run the sysroot, or /usr is not plainly its own.
    """
    booted = require_running(host)
    if is_root():
        live_view.require_plain_usr(host.sysroot.path, booted.path)
    var = host.sysroot.var(host.stateroot)
    backups = var / live_record.BACKUPS
    journal = live_record.read(var)
    name = live_view.seen_checkout(host.sysroot.path)
    known = _known(journal, name)
    wanted_by = host.require_pending()
    store = host.store
    wanted = store.read_commit(wanted_by.checksum)
    seen = store.read_commit(known.commit if known and name else booted.checksum)
    usr = host.sysroot.path / live_view.FOLDER / name / "usr" if name else booted.path / "usr"
    base = store.read_commit(booted.checksum)
    ours = {path for path, _ in _written(wanted)}
    etc = live_etc.plan_etc(store, base.root, wanted.root, booted.path, ours, known, backups)
    refusals = [*etc.refusals, *_unknown_lines(host, seen, wanted)]
    found = live_facts.read_differences(store, seen, wanted, refusals)
    needs = needs_of(host, seen) if packages_to_watch(found) else None
    items = classify(found, live_facts.read_usage(store, seen, found, needs, usr, scan()))
    notes = etc.notes if is_root() else (*etc.notes, "what other users run is seen by root alone")
    if journal and journal.boot == live_record.boot() and not journal.is_settled:
        notes = (*notes, "a live change was interrupted: it is finished or undone first")
    plan = LivePlan(wanted.checksum, seen.checksum, items if wanted != seen else (), notes)
    return Decision(booted, seen, wanted, plan, found, needs, etc, known, usr)


def apply(host: Host, decision: Decision, *, allow_replacement: bool) -> Applied:
    """Makes the pending /usr be seen; with the lock held since `decide`.

    LayerError where something stands in the way, also where it came meanwhile: then all is as
    it was.
    """
    require_root()
    obstacles = decision.plan.obstacles(allow_replacement=allow_replacement)
    if obstacles:
        raise LayerError(
            f"this cannot be seen before a reboot:\n{why_not(obstacles)}",
            "; ".join(ways_on(decision.plan)) or None,
        )
    mounts.require_calls()
    mounts.leave_namespace_of(live_view.MACHINE)
    var, sysroot = host.sysroot.var(host.stateroot), host.sysroot.path
    host.reporter.step("Checking out")
    before, wanted = decision.known, decision.wanted
    name = live_view.check_out(host.store, sysroot, wanted.checksum)
    host.reporter.step("Bringing /etc and /var along")
    journal = _begin(host, decision, name)
    checkout, backups = sysroot / live_view.FOLDER / name, var / live_record.BACKUPS
    assert journal.wanted is not None
    try:
        with host.store.transaction():  # while the record says that something is under way
            host.store.set_ref(f"{live_record.REF}/{wanted.checksum}", wanted.checksum)
        if before is not None:
            live_putting.take_back(before, journal.wanted, backups)
        tmpfiles = live_tmpfiles.files_of(decision.found.diff)
        done = live_putting.put(journal.wanted, decision.etc, checkout, tmpfiles, before)
        journal = replace(journal, wanted=done, stage=Stage.SWAPPING)
        live_record.write(var, journal)
        host.reporter.step("Changing /usr")
        seconds = live_view.show(sysroot, name)
        _look_again(host, decision, allow_replacement=allow_replacement)
    except BaseException:
        _undo(host, journal, was_seen=name in live_view.hidden_checkouts())
        raise
    journal = replace(journal, stage=Stage.FINISHING)
    live_record.write(var, journal)
    _finish(host, journal)
    return Applied(seconds, decision.found, wanted)


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset took, in seconds, and the paths that were edited and stay.

    `recovered`: what had been interrupted before, and what was done about it; `seconds` is None
    where that was all.
    """

    recovered: str
    seconds: float | None = None
    stays: tuple[str, ...] = ()


def reset(host: Host) -> Reset:
    """Brings back what this boot began with."""
    require_root()
    live_view.require_plain_usr(host.sysroot.path, require_running(host).path)
    recovered = recover(host)
    var = host.sysroot.var(host.stateroot)
    journal = live_record.read(var)
    if journal is None or journal.wanted is None:
        if recovered:
            return Reset(recovered)
        raise LayerError(
            "nothing is live: /usr is the booted deployment's",
            "`layer apply-live` makes what is pending live",
        )
    mounts.leave_namespace_of(live_view.MACHINE)
    journal = replace(journal, stage=Stage.SWAPPING, wanted=None, before=journal.wanted)
    live_record.write(var, journal)
    seconds = live_view.uncover()
    return Reset(recovered, seconds, _finish(host, journal))


def recover(host: Host) -> str:
    """Finishes or undoes what was interrupted; says what it did, "" for nothing.

    With the lock held. What an earlier boot left is cleared away.
    """
    var = host.sysroot.var(host.stateroot)
    journal = live_record.read(var)
    sysroot = host.sysroot
    if journal is None:  # what was begun had no record yet, or all was taken back
        live_record.drop_backups(var)
        if sysroot.is_booted and live_record.has_stale_checkouts(sysroot.path):
            live_view.remove_checkouts(sysroot.path)
    if journal is None or (journal.is_settled and journal.boot == live_record.boot()):
        return ""
    if journal.boot != live_record.boot():
        _settle_after_boot(host, journal)
        return ""
    if not host.sysroot.is_booted:
        return ""
    mounts.leave_namespace_of(live_view.MACHINE)
    if journal.wanted is None:
        live_view.uncover()
        _finish(host, journal)
        return "the interrupted reset of what was live is finished"
    wanted = journal.wanted.checkout
    if journal.stage is not Stage.PREPARING and wanted in live_view.hidden_checkouts():
        live_view.uncover(wanted)
        _finish(host, journal)
        return "the interrupted live change is finished"
    _undo(host, journal, was_seen=journal.stage is not Stage.PREPARING)
    return "the interrupted live change is undone"


def tidy(host: Host) -> None:
    """Takes out of /etc what a live change put there and the next deployment has not.

    Else the merge of /etc would take it for the admin's own. After each change of what boots next.
    """
    var = host.sysroot.var(host.stateroot)
    journal = live_record.read(var)
    pending = host.pending()
    state = journal.wanted if journal else None
    if journal is None or state is None or pending is None or not host.sysroot.is_booted:
        return
    if not journal.is_settled or pending.checksum == state.commit:
        return
    booted = require_running(host)
    commits = (host.store.read_commit(c) for c in (booted.checksum, pending.checksum))
    base, wanted = (commit.root for commit in commits)
    ours = {path for path, _ in _written(host.store.read_commit(pending.checksum))}
    # As if nothing of it were there, to see what the next deployment would have put there.
    backups = var / live_record.BACKUPS
    plan = live_etc.plan_etc(host.store, base, wanted, booted.path, ours, state, backups)
    staying, stays = live_putting.fit(state, plan, pending.path, backups)
    for path in stays:
        host.reporter.note(f"{path} was edited, and stays")
    live_record.write(var, replace(journal, wanted=staying))


def require_nothing_live(host: Host) -> None:
    """LayerError where something is, and would be covered."""
    if host.sysroot.is_booted and live_view.seen_checkout(host.sysroot.path):
        raise LayerError(
            "another /usr than what was booted is live, and would be covered",
            "layer apply-live --reset",
        )


def require_running(host: Host) -> Deployment:
    """The deployment that runs; LayerError where none of the sysroot's does."""
    booted = next((d for d in host.sysroot.deployments() if d.is_booted), None)
    if booted is None:
        raise LayerError(
            f"{host.sysroot.path} is not what this machine runs, so that nothing can be live",
            "`layer run` tries what is layered on any sysroot",
        )
    if booted.unlocked != "none":
        raise LayerError(
            f"/usr is writable ({booted.unlocked}): what is live would cover it",
            "reboot, and apply what is pending thereby",
        )
    return booted


def _known(journal: Journal | None, name: str) -> LiveState | None:
    """What is live, by the record; of what was interrupted that whose checkout is seen."""
    if journal is None or journal.boot != live_record.boot():
        return None
    if journal.is_settled:
        return journal.wanted
    states = (journal.wanted, journal.before)
    return next((state for state in states if state and state.checkout == name), None)


def _begin(host: Host, decision: Decision, name: str) -> Journal:
    """Writes what is going to be done."""
    var, etc = host.sysroot.var(host.stateroot), decision.etc
    files = live_tmpfiles.files_of(decision.found.diff)
    foreseen = live_tmpfiles.foresee(host.store, decision.wanted.root, files, Path("/"))
    before = decision.known
    made = {one.path: one for one in (*foreseen, *(before.made if before else ()))}
    if before is None:
        live_record.drop_backups(var)  # of a change that ended before it had a record
    state = LiveState(
        commit=decision.wanted.checksum,
        checkout=name,
        additions=etc.additions,
        replacements=live_putting.backups_of(etc, before, var / live_record.BACKUPS),
        accounts=live_etc.accounts_of(etc),
        made=tuple(sorted(made.values())),
    )
    booted = decision.booted.checksum
    journal = Journal(live_record.boot(), booted, Stage.PREPARING, state, before)
    live_record.write(var, journal)
    return journal


def _look_again(host: Host, decision: Decision, *, allow_replacement: bool) -> None:
    """LayerError where somebody has begun to use what is another now."""
    usage = live_facts.read_usage(
        host.store, decision.seen, decision.found, decision.needs, decision.usr, scan()
    )
    plan = replace(decision.plan, items=classify(decision.found, usage))
    obstacles = plan.obstacles(allow_replacement=allow_replacement)
    if obstacles:
        raise LayerError(
            f"somebody began to use what was to change; all is as it was:\n{why_not(obstacles)}",
            "; ".join(ways_on(plan)) or None,
        )


def _undo(host: Host, journal: Journal, *, was_seen: bool) -> None:
    """Brings back what was seen before, and what lay in /etc then.

    The new checkout goes at once where nobody can run from it, as it never was what is seen.
    """
    var, sysroot = host.sysroot.var(host.stateroot), host.sysroot.path
    before, wanted = journal.before, live_putting.begun(journal)
    backups = var / live_record.BACKUPS
    if live_view.hidden_checkouts():
        name = before.checkout if before else ""
        if name and name not in live_view.hidden_checkouts():
            live_view.show(sysroot, name)
        else:
            live_view.uncover(name)
    _drop(host, before)  # while the record says that something is under way
    if not was_seen:
        live_view.remove_checkouts(sysroot, wanted.checkout)
    if before is None:
        live_putting.take_back(wanted, None, backups)
        live_record.forget(var)
    else:
        checkout = sysroot / live_view.FOLDER / before.checkout
        live_putting.restore(before, wanted, checkout, backups)
        live_record.write(var, replace(journal, stage=Stage.DONE, wanted=before, before=None))


def _finish(host: Host, journal: Journal) -> tuple[str, ...]:
    """Takes away what the state before has left, and settles the record; returns what stays."""
    var = host.sysroot.var(host.stateroot)
    _drop(host, journal.wanted)  # while the record says that something is under way
    stays: tuple[str, ...] = ()
    if journal.wanted is None:
        if journal.before is not None:
            stays = live_putting.take_back(journal.before, None, var / live_record.BACKUPS)
        live_record.forget(var)
    else:
        live_record.write(var, replace(journal, stage=Stage.DONE, before=None))
    return stays


def _drop(host: Host, live: LiveState | None) -> None:
    """Lets the refs go that only what was live before needs; its checkout stays until a boot.

    Somebody may still run from it.
    """
    kept = f"{live_record.REF}/{live.commit}" if live else ""
    with host.store.transaction():
        for ref in host.store.refs(live_record.REF):
            if ref != kept:
                host.store.set_ref(ref, None)


def _settle_after_boot(host: Host, journal: Journal) -> None:
    """Clears away what a live change of an earlier boot has left."""
    var, sysroot = host.sysroot.var(host.stateroot), host.sysroot.path
    booted = next((d for d in host.sysroot.deployments() if d.is_booted), None)
    if booted is None:
        return
    backups = var / live_record.BACKUPS
    wanted = live_putting.begun(journal) if journal.wanted else None
    for state in (wanted, journal.before):
        if state is None:
            continue
        if booted.checksum == journal.booted:
            live_putting.take_back(state, None, backups)  # what was pending did not come to be
        else:
            shipped = booted.path / "usr"
            foreign = [one for one in state.additions if not _exists(shipped / one.path)]
            live_etc.take_away(Path("/"), foreign)
    live_record.forget(var)
    live_view.remove_checkouts(sysroot)
    _drop(host, None)


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _written(commit: Commit) -> Sequence[tuple[str, str]]:
    return read_record(commit).written if "layer.schema" in commit.metadata else ()


def _unknown_lines(host: Host, seen: Commit, wanted: Commit) -> list[tuple[str, str]]:
    """The packages that come and have lines of scriptlets that nothing stands in for."""
    store = host.store
    headers: list[tuple[PackageHeader, ...]] = []
    for commit in (seen, wanted):
        lock = read_any_lock(store, commit)
        headers.append(read_headers(store, commit, lock) if lock.packages else ())
    old = {header.nevra for header in headers[0]}
    new = [header for header in headers[1] if header.nevra not in old]
    return [
        (str(header.nevra), "it has lines of scriptlets that nothing stands in for")
        for header in new
        if lines_not_run(store, wanted.root, [header], lambda: host.triggers(wanted.root))
    ]
