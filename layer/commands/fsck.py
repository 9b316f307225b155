"""`layer fsck`: find damage, and heal it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Find damage, and heal it.")
@click.option("--repair", "is_repair", is_flag=True, help="Heal what can be.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@repository_options
@sysroot_options
def command(host: Host, is_repair: bool, is_json: bool) -> int:
    """Read all that is deployed, and say what is damaged or missing.

    Ends with 1 where anything is (left).
    """
    from layer import repairing

    host.reporter.step("Reading all objects and deployments")
    with host.locked():
        before = repairing.examine(host)
        found = repairing.repair(host) if is_repair and before.damage else before
    if is_json:
        answer_json(repairing.as_json(before, found))
    else:
        answer("\n".join(repairing.described(before, found, is_repair=is_repair)))
    return 1 if found.damage else 0
