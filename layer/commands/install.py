"""`layer install`: layer packages over the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands import _completion
from layer.commands._options import (
    carry_out,
    change_options,
    choice_options,
    consent_options,
    live_option,
    network_options,
    repository_options,
    sysroot_options,
)

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Layer packages over the base.")
@click.argument("packages", metavar="PKG...", nargs=-1, shell_complete=_completion.groups)
@click.option("--idempotent", is_flag=True, help="Packages asked for already are no error.")
@click.option("--allow-inactive", is_flag=True, help="Keep requests that the base fulfils.")
@click.option("--uninstall", multiple=True, hidden=True)  # on the page: the screen is full
@click.option(
    "--docs/--no-docs",
    "documentation",
    default=None,
    help="With or without documentation, from now on, of all layers.",
)
@click.option("--with-optional", is_flag=True, hidden=True)  # a section of the page
@live_option
@change_options
@network_options
@consent_options
@choice_options
@repository_options
@sysroot_options
def command(
    host: Host,
    packages: tuple[str, ...],
    idempotent: bool,
    allow_inactive: bool,
    documentation: bool | None,
    uninstall: tuple[str, ...],
    with_optional: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Layer packages over the base.

    They are there at the next boot. PKG is a name, name-version, NEVRA,
    something provided, an absolute path, or @GROUP.
    """
    from layer import advising
    from layer.groups import optional

    if not packages and documentation is None:
        raise click.UsageError("name packages, or say --docs or --no-docs")
    return carry_out(
        host,
        lambda: advising.install(
            host,
            optional(packages) if with_optional else packages,
            uninstall=uninstall,
            idempotent=idempotent,
            allow_inactive=allow_inactive,
            documentation=documentation,
        ),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
