"""What boots is changed here, and what is promised for later boots is kept."""

from __future__ import annotations

from layer import bootplan, live_record, spans, staged
from layer.errors import InvalidInput, LayerError
from layer.host import Host
from layer.model import BootPlan, Deployment, Recycling


@spans.phase("deploy")
def write(host: Host, plan: BootPlan) -> tuple[Deployment, ...]:
    """Makes a plan so, and remembers what was only staged; see `Sysroot.write`.

    What is deployed for one boot gives its place back in `settle`. What a live change put into
    /etc and the new default has not goes.
    """
    _settle_live(host)
    options, var = host.options, host.sysroot.var(host.stateroot)
    if options.once:
        require_booted(host, "--once")
        running = next(d for d in host.sysroot.deployments() if d.is_booted)
        staged.promise_return(var, running)
    try:
        written = host.sysroot.write(
            plan,
            lock_finalization=options.lock_finalization,
            recycling=recycling_of(host),
        )
    except BaseException:
        if options.once and not host.sysroot.has_written:
            staged.cancel_return(var)
        raise
    _settle_live(host)
    try:
        if not options.once:
            staged.cancel_return(var)
        forget_lost(host)
        if written[0].is_staged:
            staged.remember(var, written[0])
    except OSError as error:
        host.reporter.note(f"a failure at shutdown will not be reported: {error}")
    return written


def recycling_of(host: Host) -> Recycling:
    """What the admin lets be recycled: nothing, where what they have set cannot be read."""
    try:
        return Recycling(host.settings().recycle)
    except InvalidInput:
        return Recycling.NEVER  # what boots can be changed all the same


def _settle_live(host: Host) -> None:
    """Has what is live fit what boots next, where anything is live."""
    record = host.sysroot.var(host.stateroot) / live_record.RECORD
    if not (record.exists() or live_record.has_stale_checkouts(host.sysroot.path)):
        return
    from layer import living  # takes long to load

    living.recover(host)
    living.tidy(host)


def require_booted(host: Host, option: str) -> None:
    """LayerError where this machine does not run the sysroot, since only that is shut down."""
    if not host.sysroot.is_booted:
        raise LayerError(
            f"{option}: {host.sysroot.path} is not what this machine runs; nothing has changed",
            f"leave out {option}",
        )


def settle(host: Host) -> Deployment | None:
    """Makes the default again what another deployment was tried for one boot instead of.

    Returns it, None where nothing was tried. Called early in each boot, with the lock held.
    """
    _settle_live(host)
    var, present = host.sysroot.var(host.stateroot), host.sysroot.deployments()
    back = staged.due_return(var, present)
    if back is not None:
        host.sysroot.write(bootplan.first(present, back))
    if not staged.is_once(var):
        staged.cancel_return(var)
    return back


def finalize(host: Host, checksum: str | None, *, allow_unlocked: bool = False) -> Deployment:
    """Lets what is staged be finalized at shutdown, locked or not; returns it.

    LayerError where nothing is staged, it is not `checksum` (None for any), or nothing is
    locked, unless `allow_unlocked`.
    """
    found = next((d for d in host.sysroot.deployments() if d.is_staged), None)
    if found is None:
        raise LayerError("nothing is staged", "`layer status` lists the deployments")
    if checksum not in (None, found.checksum):
        hint = "name that one, or say --allow-missing-checksum"
        raise LayerError(f"what is staged is {found.checksum}, not {checksum}", hint)
    if not host.sysroot.is_finalization_locked and not allow_unlocked:
        raise LayerError(
            "finalization of what is staged is not locked", "--allow-unlocked reboots all the same"
        )
    host.sysroot.unlock_finalization()
    return found


def forget_lost(host: Host) -> None:
    """No longer reports what was staged and did not come to be."""
    for var in host.places():
        staged.forget(var)
