"""`layer finalize-deployment`: what was staged and locked is to boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.errors import InvalidInput

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Reboot into what was locked.", hidden=True)
@click.argument("checksum", required=False)
@click.option("--allow-missing-checksum", is_flag=True, help="Whatever is staged.")
@click.option("--allow-unlocked", is_flag=True, help="Even if nothing is locked.")
@sysroot_options
def command(
    host: Host, checksum: str | None, allow_missing_checksum: bool, allow_unlocked: bool
) -> None:
    """Reboot into what was staged with --lock-finalization.

    CHECKSUM is the commit that must be the staged one.
    """
    from layer import booting
    from layer.sandbox.machine import reboot

    if checksum is None and not allow_missing_checksum:
        raise InvalidInput(
            "which commit is to boot?", "name its checksum, or use --allow-missing-checksum"
        )
    with host.locked():
        booting.finalize(host, checksum, allow_unlocked=allow_unlocked)
        reboot()
