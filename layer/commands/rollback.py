"""`layer rollback`: boot the deployment before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    confirm,
    reboot_option,
    rebooting,
    show_plan,
    sysroot_options,
)
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Boot the previous deployment.")
@click.option("-y", "--assumeyes", is_flag=True, help="Do it without asking.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan and stop; needs no root.")
@click.option("--json", "is_json", is_flag=True, help="With --dry-run, as JSON.")
@click.option("--keep-etc", is_flag=True, help="Carry along what was changed in /etc.")
@reboot_option
@sysroot_options
def command(host: Host, dry_run: bool, assumeyes: bool, is_json: bool, keep_etc: bool) -> None:
    """Boot the previous deployment again.

    The present one stays beside it.
    """
    from layer import booting, planned, render, verbs
    from layer.recording import record_order

    if is_json and not dry_run:
        raise click.UsageError("--json shows a plan: it goes with --dry-run")
    if dry_run:
        plan, edits = verbs.rollback(host, keep_etc=keep_etc)
        if is_json:
            answer_json(planned.order_as_json(plan, edits, keep_etc=keep_etc))
        else:
            answer(render.rollback(plan, edits, keep_etc=keep_etc))
        return
    with host.locked(), rebooting(host):
        plan, edits = verbs.rollback(host, keep_etc=keep_etc)
        show_plan(render.rollback(plan, edits, keep_etc=keep_etc), assumeyes=assumeyes)
        confirm(assumeyes=assumeyes)
        deployed = booting.write(host, plan)[0]
        record_order(host, deployed)
        host.reporter.deployed(deployed.checksum)
