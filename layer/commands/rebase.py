"""`layer rebase`: another base, with the layers carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    choice_options,
    consent_options,
    network_options,
    repository_options,
    skip_option,
    sysroot_options,
)

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Deploy another base.")
@click.argument("refspec", metavar="REMOTE:REF")
@click.option(
    "--karg",
    "arguments",
    multiple=True,
    metavar="ARG",
    help="A kernel argument, in place of all that there are; may be repeated.",
)
@click.option("--install", metavar="PKG", multiple=True, help="Layer this package, too.")
@click.option("--uninstall", metavar="PKG", multiple=True, help="Take this layer away.")
@skip_option
@change_options
@network_options
@consent_options
@choice_options
@repository_options
@sysroot_options
def command(
    host: Host,
    refspec: str,
    arguments: tuple[str, ...],
    install: tuple[str, ...],
    uninstall: tuple[str, ...],
    skip_broken: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Deploy another base, or the first one.

    Everything that was asked for is layered over it.
    """
    from layer import advising

    return carry_out(
        host,
        lambda: advising.rebase(
            host,
            refspec,
            kernel_arguments=arguments or None,
            install=install,
            uninstall=uninstall,
            skip_broken=skip_broken,
        ),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
