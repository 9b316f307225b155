"""`layer apply-live`: the pending /usr without a reboot, for what is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._live import carry_out_live, tell_recovered
from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json, tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Use what is pending now.")
@click.option("--allow-replacement", is_flag=True, help="Files that nobody uses may change, too.")
@click.option("--reset", is_flag=True, help="Bring back what was booted.")
@click.option("--pin", metavar="PID|UNIT", help="Keep it on the /usr that it sees.")
@click.option("--pin-always", metavar="UNIT", help="Write a drop-in that does so at each start.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--json", "is_json", is_flag=True, help="With --dry-run, as JSON.")
@sysroot_options
def command(
    host: Host,
    allow_replacement: bool,
    reset: bool,
    dry_run: bool,
    is_json: bool,
    pin: str | None,
    pin_always: str | None,
) -> None:
    """Make the pending /usr be seen now.

    Only what is safe is done: new files, and with --allow-replacement others that
    nobody uses. What runs goes on; after a reboot, what is pending boots.
    """
    if is_json and not dry_run:
        raise click.UsageError("--json shows a plan: it goes with --dry-run")
    if (pin, pin_always) != (None, None):
        if reset or dry_run or allow_replacement:
            raise click.UsageError("--pin and --pin-always go without other options")
        _pin(pin, pin_always)
    elif reset and (dry_run or allow_replacement):
        raise click.UsageError("--reset goes alone")
    elif dry_run:
        _show(host, allow_replacement=allow_replacement, is_json=is_json)
    elif reset:
        _reset(host)
    else:
        with host.locked():
            carry_out_live(host, allow_replacement=allow_replacement)


def _pin(word: str | None, unit: str | None) -> None:
    from layer import pinning

    if unit is not None:
        tell(f"{pinning.pin_always(unit)} counts from the next start of {unit} on.")
    if word is not None:
        for process in pinning.pin(word):
            tell(f"{process} keeps the /usr that it sees.")


def _show(host: Host, *, allow_replacement: bool, is_json: bool) -> None:
    from layer import living
    from layer.live.text import as_json, as_text

    plan = living.decide(host).plan
    if is_json:
        answer_json(as_json(plan, allow_replacement=allow_replacement))
    elif plan.is_empty:
        answer("Nothing is pending that is not live.")
    else:
        answer(as_text(plan, allow_replacement=allow_replacement))


def _reset(host: Host) -> None:
    from layer import living
    from layer.words import shown

    with host.locked():
        done = living.reset(host)
        if done.recovered:
            tell_recovered(done.recovered)
        if done.seconds is not None:
            tell(f"/usr is the booted deployment's again ({1000 * done.seconds:.2f} ms).")
        for path in done.stays:
            tell(f"{shown(path)} was edited, and stays.")
