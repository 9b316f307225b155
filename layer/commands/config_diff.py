"""`layer config-diff`: what was changed in /etc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json
from layer.errors import LayerError

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Show what was changed in /etc.")
@click.argument("number", metavar="[NUMBER]", type=int, required=False)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def command(host: Host, number: int | None, is_json: bool) -> None:
    """Show what was changed in a deployment's /etc.

    NUMBER is the place in the boot menu; without it, it is what runs, or what
    boots next. A is added, M modified, D deleted.
    """
    from layer import bootplan, machine_etc
    from layer.words import printable

    present = host.sysroot.deployments()
    if number is not None:
        chosen = bootplan.at(present, number)
    else:
        host.require_pending()
        merge = bootplan.merge_source(present, host.stateroot)
        assert merge is not None
        chosen = merge
    if chosen.is_staged:
        raise LayerError(
            f"deployment {chosen.index} is staged: its /etc is merged at shutdown",
            "`layer config-diff` without a number shows what it takes over",
        )
    found = machine_etc.edits(chosen.path)
    if is_json:
        answer_json([{"kind": edit.kind, "path": edit.path} for edit in found])
    else:
        answer("\n".join(printable(str(edit)) for edit in found))
