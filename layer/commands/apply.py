"""`layer apply`: deploy what a plan names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import carry_out, change_options, sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Deploy what a plan names.")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@change_options
@sysroot_options
def command(host: Host, file: Path, dry_run: bool, assumeyes: bool, unchanged_exit_77: bool) -> int:
    """Deploy exactly the commit that `layer plan` built, or refuse.

    It is refused where what boots next has changed since.
    """
    from layer import planning

    return carry_out(
        host,
        lambda: planning.read_plan(host, file),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
