"""`layer init`: make a sysroot, and a stateroot in it."""

from __future__ import annotations

from pathlib import Path

import click

from layer.commands._speech import tell


@click.command(short_help="Make a sysroot.")
@click.option(
    "--sysroot",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OSTREE_SYSROOT",
    default=Path("/"),
    help="The physical root (default: /).",
)
@click.option("--stateroot", "--os", required=True, metavar="NAME", help="Its name.")
@click.option("--share-home", metavar="OTHER", help="With the /home of another stateroot.")
def command(sysroot: Path, stateroot: str, share_home: str | None) -> None:
    """Make an OSTree sysroot and a stateroot."""
    from layer import homes
    from layer.host import require_root
    from layer.store.sysroot import initialize

    require_root()
    if share_home is not None:
        homes.require_owner(sysroot, share_home)
    initialize(sysroot, stateroot)
    if share_home is not None:
        homes.share_home(sysroot, stateroot, share_home)
    tell(f"Stateroot {stateroot} is ready in {sysroot}; next: layer remote add NAME URL")
