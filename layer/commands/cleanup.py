"""`layer cleanup`: remove what nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Remove what nothing needs.")
@click.option("-b", "--base", is_flag=True, help="Checkouts, boot files and objects without a use.")
@click.option(
    "-m", "--repomd", is_flag=True, help="Cached repository metadata; what was downloaded."
)
@click.option("-p", "--pending", is_flag=True, help="The pending deployment.")
@click.option("-r", "--rollback", is_flag=True, help="The rollback deployment.")
@repository_options
@sysroot_options
def command(host: Host, base: bool, repomd: bool, pending: bool, rollback: bool) -> None:
    """Remove what no deployment needs.

    At least one of -b, -m, -p, -r is wanted.
    """
    from layer import booting, bootplan, cleaning

    if not (base or repomd or pending or rollback):
        raise click.UsageError("say what: -b, -m, -p or -r")
    with host.locked():
        if pending or rollback:
            if pending:
                booting.forget_lost(host)
            present = host.sysroot.deployments()
            plan = bootplan.without(present, host.stateroot, pending=pending, rollback=rollback)
            if plan.deployments == present:
                tell("Deployments unchanged.")
            else:
                booting.write(host, plan)
        if base:
            cleaning.trim(host)
        if repomd:
            cleaning.forget_metadata(host)
            cleaning.forget_downloads(host)
        if base or pending or rollback:
            cleaning.clean_up(host, may_check_out=base)
