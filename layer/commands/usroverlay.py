"""`layer usroverlay`: a writable /usr, for trying things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Make /usr writable for now.")
@click.option("--hotfix", is_flag=True, help="Keep the changes across reboots.")
@sysroot_options
def command(host: Host, hotfix: bool) -> None:
    """Lay a writable overlay over the booted deployment's /usr.

    What is changed there is gone after a reboot.
    """
    from layer import living

    with host.locked():
        living.require_nothing_live(host)
        host.sysroot.unlock_booted(is_hotfix=hotfix)
    if hotfix:
        tell(
            "/usr is writable; the changes stay with this deployment, and a copy of it as it was "
            "is the rollback."
        )
    else:
        tell("/usr is writable; the changes are gone after a reboot.")
