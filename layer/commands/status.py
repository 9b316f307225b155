"""`layer status`: what is deployed and layered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from layer.commands._options import UNCHANGED, sysroot_options
from layer.commands._speech import answer, answer_json, manner

if TYPE_CHECKING:
    from layer.host import Host
    from layer.status import LiveNow


@click.command(short_help="Show what is deployed.")
@click.option("--json", "is_json", is_flag=True, help="As JSON, with rpm-ostree's keys.")
@click.option("-b", "--booted", is_flag=True, help="Only the booted deployment.")
@click.option("-v", "--verbose", is_flag=True, help="Packages, kernel arguments, signatures too.")
@click.option("--pending-exit-77", is_flag=True, help="Exit 77 if another one boots next.")
@sysroot_options
def command(host: Host, is_json: bool, booted: bool, verbose: bool, pending_exit_77: bool) -> int:
    """Show the deployments and their layers.

    They are in the order of the boot menu. Needs no root. The exit status is 1
    if what was staged failed to become a deployment at shutdown.
    """
    from layer import cached_update
    from layer.overview import status
    from layer.status import as_json
    from layer.updates import read_update

    machine = replace(host.state(), live=_live(host))
    update = read_update(host)
    chosen = tuple(s for s in machine.deployments if s.deployment.is_booted or not booted)
    shown = replace(machine, deployments=chosen)
    if is_json:
        found = cached_update.as_json(update) if update else None
        answer_json(as_json(shown, found))
    else:
        answer(status(shown, update, is_verbose=verbose or manner().is_verbose))
    if machine.lost:
        return 1
    return UNCHANGED if pending_exit_77 and machine.has_pending else 0


def _live(host: Host) -> LiveNow | None:
    """What is seen in place of what was booted, where there was anything."""
    from layer import live_record

    if not (host.sysroot.var(host.stateroot) / live_record.RECORD).exists():
        return None
    from layer.live_services import live_now  # takes long to load

    return live_now(host)
