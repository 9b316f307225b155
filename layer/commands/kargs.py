"""`layer kargs`: the kernel arguments of what boots next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from layer.commands._options import carry_out, change_options, sysroot_options, wants_json
from layer.commands._speech import answer_json, say

if TYPE_CHECKING:
    from layer.host import Host

_EDITS = (
    ("--append", "KEY=VALUE", "Add this one."),
    ("--append-if-missing", "KEY=VALUE", "Add this one, unless it is there."),
    ("--replace", "KEY=[OLD=]NEW", "Give this one another value."),
    ("--delete", "KEY[=VALUE]", "Take this one away."),
    ("--delete-if-present", "KEY[=VALUE]", "Take this one away, if it is there."),
)


def _edit_options(function: Any) -> Any:
    for name, metavar, text in reversed(_EDITS):
        function = click.option(name, metavar=metavar, multiple=True, help=text)(function)
    return function


@click.command(short_help="Show or edit kernel arguments.")
@_edit_options
@change_options
@sysroot_options
def command(
    host: Host,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
    **words: tuple[str, ...],
) -> int:
    """Show or edit the kernel arguments of what boots next.

    Each option may be given again. An edit makes a deployment of the same
    tree; without any, the arguments are shown.
    """
    from layer import verbs
    from layer.kernel_arguments import Edits

    edits = Edits(**words)
    if edits == Edits():
        found = host.require_pending().kernel_arguments
        if wants_json():
            answer_json(list(found))
        else:
            say(" ".join(found))
        return 0
    return carry_out(
        host,
        lambda: verbs.edit_kernel_arguments(host, edits),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
