"""`layer fsck`: find damage, and heal it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Find damage, and heal it.")
@click.option("--repair", "is_repair", is_flag=True, help="Heal what can be.")
@repository_options
@sysroot_options
def command(host: Host, is_repair: bool) -> int:
    """Read all that is deployed, and say what is damaged or missing.

    Ends with 1 where anything is (left).
    """
    from layer import repairing

    host.reporter.step("Reading all objects and deployments")
    with host.locked():
        before = repairing.examine(host)
        found = repairing.repair(host) if is_repair and before.damage else before
    for line in before.damage:
        click.echo(f"{line}{': healed' if is_repair and line not in found.damage else ''}")
    for line in (*(new for new in found.damage if new not in before.damage), *found.failures):
        click.echo(line)
    if not before.damage:
        click.echo("No damage.")
    elif not is_repair:
        click.echo("`layer fsck --repair` heals what can be healed.")
    return 1 if found.damage else 0
