"""`layer upgrade`: the newest base, with the layers carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    consent_options,
    repository_options,
    sysroot_options,
)
from layer.words import NO_UPGRADE

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Deploy the newest base.")
@click.option("--allow-downgrade", is_flag=True, help="Accept a base that is older.")
@change_options
@consent_options
@repository_options
@sysroot_options
def command(
    host: Host, allow_downgrade: bool, dry_run: bool, assumeyes: bool, unchanged_exit_77: bool
) -> int:
    """Deploy the newest base and newest layers.

    The base is that of the deployment's ref; requests are carried along.
    """
    from layer import verbs

    return carry_out(
        host,
        lambda: verbs.upgrade(host, allow_downgrade=allow_downgrade),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
        unchanged=NO_UPGRADE,
    )
