"""`layer rollback`: boot the deployment before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import confirm, reboot_option, rebooting, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Boot the previous deployment.")
@click.option("-y", "--assumeyes", is_flag=True, help="Do it without asking.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan and stop; needs no root.")
@click.option("--keep-etc", is_flag=True, help="Carry along what was changed in /etc.")
@reboot_option
@sysroot_options
def command(host: Host, dry_run: bool, assumeyes: bool, keep_etc: bool) -> None:
    """Boot the previous deployment again.

    The present one stays beside it.
    """
    from layer import booting, render, verbs
    from layer.recording import record_order

    if dry_run:
        click.echo(render.rollback(*verbs.rollback(host, keep_etc=keep_etc), keep_etc=keep_etc))
        return
    with host.locked(), rebooting(host):
        plan, edits = verbs.rollback(host, keep_etc=keep_etc)
        click.echo(render.rollback(plan, edits, keep_etc=keep_etc))
        confirm(assumeyes=assumeyes)
        record_order(host, booting.write(host, plan)[0])
