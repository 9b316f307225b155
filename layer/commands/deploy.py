"""`layer deploy`: a certain commit of the base's ref."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    consent_options,
    network_options,
    once_option,
    repository_options,
    skip_option,
    sysroot_options,
)

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Deploy a version of the base.")
@click.argument("version", metavar="VERSION|CHECKSUM")
@click.option("--install", metavar="PKG", multiple=True, help="Layer this package, too.")
@click.option("--uninstall", metavar="PKG", multiple=True, help="Take this layer away.")
@click.option("--disallow-downgrade", is_flag=True, hidden=True)  # as --lock-finalization
@skip_option
@change_options
@network_options
@once_option
@consent_options
@repository_options
@sysroot_options
def command(
    host: Host,
    version: str,
    install: tuple[str, ...],
    uninstall: tuple[str, ...],
    disallow_downgrade: bool,
    skip_broken: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Deploy a version of the base, be it older or newer.

    The base stays at it until `layer upgrade`; layers are carried along.
    """
    from layer import advising

    return carry_out(
        host,
        lambda: advising.deploy(
            host,
            version,
            install=install,
            uninstall=uninstall,
            skip_broken=skip_broken,
            allow_downgrade=not disallow_downgrade,
        ),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
