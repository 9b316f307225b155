"""`layer boot-complete`: keep what was promised for this boot; for layer-settle.service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Keep promises to this boot.", hidden=True)
@sysroot_options
def command(host: Host) -> None:
    """Make the default again what `deploy --once` gave way for one boot.

    Called early in each boot by layer-settle.service.
    """
    from layer import booting

    with host.locked():
        back = booting.settle(host)
    if back is not None:
        tell(f"This boot was a try: {back.checksum} is the default again.")
