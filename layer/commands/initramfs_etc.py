"""`layer initramfs-etc`: files of /etc for the initramfs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    repository_options,
    sysroot_options,
    wants_json,
)
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Load files of /etc early.")
@click.option("--track", metavar="FILE", multiple=True, help="Put this file of /etc into it.")
@click.option("--untrack", metavar="FILE", multiple=True, help="Leave this file out again.")
@click.option("--untrack-all", is_flag=True, help="Leave all files out.")
@click.option("--force-sync", is_flag=True, help="Deploy if only the files have changed, too.")
@change_options
@repository_options
@sysroot_options
def command(
    host: Host,
    track: tuple[str, ...],
    untrack: tuple[str, ...],
    untrack_all: bool,
    force_sync: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Load files of the machine's /etc with the initramfs.

    Without an option, lists what is tracked.
    """
    from layer import early_boot

    if not (track or untrack or untrack_all or force_sync):
        tracked = host.origin(host.require_pending()).initramfs_etc
        if wants_json():
            answer_json(list(tracked))
        else:
            lines = ["Tracked files:", *(f"  {path}" for path in tracked)]
            answer("\n".join(lines) if tracked else "No tracked files.")
        return 0
    return carry_out(
        host,
        lambda: early_boot.track_files(
            host,
            track=track,
            untrack=untrack,
            untrack_all=untrack_all,
            is_forced=force_sync,
        ),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
