"""`layer status`: what is deployed and layered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Show what is deployed.")
@click.option("--json", "is_json", is_flag=True, help="As JSON, with rpm-ostree's keys.")
@click.option("-b", "--booted", is_flag=True, help="Only the booted deployment.")
@sysroot_options
def command(host: Host, is_json: bool, booted: bool) -> None:
    """Show the deployments and their layers.

    They are in the order of the boot menu. Needs no root.
    """
    from layer import overview
    from layer.status import as_json

    states = [s for s in host.states() if s.deployment.is_booted or not booted]
    if is_json:
        click.echo(json.dumps(as_json(states), indent=2, sort_keys=True))
    else:
        click.echo(overview.status(states))
