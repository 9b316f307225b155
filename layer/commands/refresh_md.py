"""`layer refresh-md`: fetch the repositories' metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Fetch repository metadata.")
@click.option("-f", "--force", is_flag=True, help="Fetch anew what is cached.")
@repository_options
@sysroot_options
def command(host: Host, force: bool) -> None:
    """Fetch the metadata of all enabled repositories."""
    from layer import verbs

    for repository in verbs.refresh(host, force=force):
        click.echo(f"{repository.id}: {repository.shown_urls}")
