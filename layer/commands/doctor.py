"""`layer doctor`: what would keep layer from its work, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Examine this machine.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@click.option("--fetch", "is_fetching", is_flag=True, help="Ask who has packages and bases, too.")
@repository_options
@sysroot_options
def command(host: Host, is_json: bool, is_fetching: bool) -> int:
    """Examine this machine, and say what to do.

    Nothing is changed and, without --fetch, nothing fetched. The exit status is 1
    where there is a fault.
    """
    from layer.examining import examine
    from layer.findings import as_json, described, has_faults

    found = examine(host, is_fetching=is_fetching)
    if is_json:
        answer_json(as_json(found))
    else:
        answer(described(found))
    return 1 if has_faults(found) else 0
