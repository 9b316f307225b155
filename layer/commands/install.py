"""`layer install`: layer packages over the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import carry_out, change_options, repository_options, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Layer packages over the base.")
@click.argument("packages", metavar="PKG...", nargs=-1, required=True)
@click.option("--idempotent", is_flag=True, help="Packages asked for already are no error.")
@click.option("--allow-inactive", is_flag=True, help="Keep requests that the base fulfils.")
@change_options
@repository_options
@sysroot_options
def command(
    host: Host,
    packages: tuple[str, ...],
    idempotent: bool,
    allow_inactive: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Layer packages over the base.

    They are there at the next boot. PKG is a name, name-version, NEVRA,
    something provided, or an absolute path.
    """
    from layer import verbs

    return carry_out(
        host,
        lambda: verbs.install(host, packages, idempotent=idempotent, allow_inactive=allow_inactive),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
