"""`layer pin`: keep deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Keep deployments for good.")
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True, type=int)
@sysroot_options
def command(host: Host, numbers: tuple[int, ...]) -> None:
    """Keep deployments until `layer unpin`.

    NUMBER is the place in the boot menu, the first is 0.
    """
    from layer import verbs

    with host.locked():
        verbs.pin(host, numbers, is_pinned=True)
