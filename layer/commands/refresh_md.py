"""`layer refresh-md`: fetch the repositories' metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import answer_json, tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Fetch repository metadata.")
@click.option("-f", "--force", is_flag=True, help="Fetch anew what is cached.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@repository_options
@sysroot_options
def command(host: Host, force: bool, is_json: bool) -> None:
    """Fetch the metadata of all enabled repositories."""
    from layer import verbs

    found = verbs.refresh(host, force=force)
    if is_json:
        answer_json([{"id": one.id, "urls": one.shown_urls} for one in found])
    else:
        for one in found:
            tell(f"{one.id}: {one.shown_urls}")
