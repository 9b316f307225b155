"""The end of each verb that makes what is pending be seen at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layer.commands._speech import tell

if TYPE_CHECKING:
    from layer.host import Host


def require_live(host: Host) -> None:
    """LayerError where nothing could be live, before anything is made."""
    from layer import live_view, living

    booted = living.require_running(host)
    live_view.require_plain_usr(host.sysroot.path, booted.path)


def tell_recovered(what: str) -> None:
    """Says what was done about an interrupted change."""
    tell(f"{what[0].upper()}{what[1:]}.")


def carry_out_live(host: Host, *, allow_replacement: bool = False) -> None:
    """Shows the plan, makes it so, and says what is left to do; with the lock held."""
    from layer import live_services, living
    from layer.live.text import as_text

    recovered = living.recover(host)
    if recovered:
        tell_recovered(recovered)
    decision = living.decide(host)
    if decision.plan.is_empty:
        tell("Nothing is pending that is not live.")
        return
    tell(as_text(decision.plan, allow_replacement=allow_replacement))
    applied = living.apply(host, decision, allow_replacement=allow_replacement)
    after = live_services.follow_up(host, applied)
    for failure in after.failed:
        host.reporter.note(failure)
    tell(f"\nLive now; /usr changed in {1000 * applied.seconds:.2f} ms.")
    if after.new_units:
        tell(f"New units, not started: systemctl start {' '.join(after.new_units)}")
    if after.to_restart:
        tell(f"These may run what was: systemctl try-restart {' '.join(after.to_restart)}")
    if after.gone:
        tell(f"These are no longer there: systemctl stop {' '.join(after.gone)}")
