"""`layer cancel`: end what works on the sysroot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="End what layer is doing.")
@sysroot_options
def command(host: Host) -> None:
    """End the layer that works on the sysroot, as Ctrl-C does.

    What boots next stays what it was, unless it is changed already.
    """
    from layer import cancelling

    ended = cancelling.cancel(host)
    if not ended:
        tell("No active transaction.")
    for words in ended:
        tell(f"Cancelled: {words}")
