"""`layer rollback`: boot the deployment before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import confirm, sysroot_options
from layer.words import REBOOT

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Boot the previous deployment.")
@click.option("-y", "--assumeyes", is_flag=True, help="Do it without asking.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan and stop; needs no root.")
@sysroot_options
def command(host: Host, dry_run: bool, assumeyes: bool) -> None:
    """Boot the previous deployment again.

    The present one stays beside it.
    """
    from layer import render, verbs

    if dry_run:
        click.echo(render.boot_plan(verbs.rollback(host)))
        return
    with host.locked():
        plan = verbs.rollback(host)
        click.echo(render.boot_plan(plan))
        confirm(assumeyes=assumeyes)
        host.sysroot.write(plan)
        click.echo(REBOOT)
