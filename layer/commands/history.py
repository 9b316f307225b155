"""`layer history`: what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Show what was done.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N changes."
)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def command(host: Host, limit: int | None, is_json: bool) -> None:
    """Show what was asked for, when, by whom, and what changed.

    The newest comes first. Needs no root.
    """
    from layer import history
    from layer.recording import read_history

    entries, unread = read_history(host)
    chosen = entries[::-1][:limit]
    if is_json:
        found = [history.as_object(entry) for entry in chosen]
        answer_json(found)
    else:
        answer(history.as_text(chosen))
    if unread:
        host.reporter.note(f"{unread} lines of the history cannot be read by this version")
