"""`layer upgrade`: the newest base, with the layers carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    consent_options,
    network_options,
    repository_options,
    skip_option,
    sysroot_options,
)
from layer.words import NO_UPGRADE

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Deploy the newest base.")
@click.option("--allow-downgrade", is_flag=True, help="Accept a base that is older.")
@click.option("--check", is_flag=True, help="As --dry-run, and exit 77 if nothing is new.")
@click.option("--preview", is_flag=True, help="As --check, with every package of the base.")
@skip_option
@change_options
@network_options
@consent_options
@repository_options
@sysroot_options
def command(
    host: Host,
    allow_downgrade: bool,
    check: bool,
    preview: bool,
    skip_broken: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Deploy the newest base and newest layers.

    The base is that of the deployment's ref; requests are carried along.
    """
    from layer import verbs

    return carry_out(
        host,
        lambda: verbs.upgrade(host, allow_downgrade=allow_downgrade, skip_broken=skip_broken),
        dry_run=dry_run or check or preview,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77 or check or preview,
        is_whole=preview,
        unchanged=NO_UPGRADE,
    )
