"""`layer reset`: back to the pristine base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import carry_out, change_options, repository_options, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Take all layers away.")
@click.option("--purge", is_flag=True, help="Remove what layers leave, where nobody edited it.")
@change_options
@repository_options
@sysroot_options
def command(
    host: Host, purge: bool, dry_run: bool, assumeyes: bool, unchanged_exit_77: bool
) -> int:
    """Take all layers away.

    The base is deployed as the server made it; that needs no network.
    """
    from layer import verbs

    return carry_out(
        host,
        lambda: verbs.reset(host),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
        purge=purge,
    )
