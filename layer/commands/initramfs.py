"""`layer initramfs`: have the initramfs made anew."""

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
from layer.commands._speech import answer, answer_json, tell

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Have the initramfs made anew.")
@click.option("--enable", is_flag=True, help="Make it anew in each tree, with dracut.")
@click.option("--disable", is_flag=True, help="Take the base's own.")
@click.option("--arg", "arguments", metavar="ARG", multiple=True, help="An argument for dracut.")
@change_options
@repository_options
@sysroot_options
def command(
    host: Host,
    enable: bool,
    disable: bool,
    arguments: tuple[str, ...],
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Have the initramfs made anew from each tree that is deployed.

    Without --enable or --disable, shows the state of what boots next.
    """
    from layer import early_boot, initramfs

    if enable and disable:
        raise click.UsageError("--enable and --disable do not go together")
    if arguments and not enable:
        raise click.UsageError("--arg goes with --enable")
    if not (enable or disable):
        options = host.origin(host.require_pending()).options
        if wants_json():
            answer_json(initramfs.as_json(options))
        else:
            answer("\n".join(initramfs.described(options)))
        return 0
    status = carry_out(
        host,
        lambda: early_boot.set_initramfs(host, is_enabled=enable, arguments=arguments),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
    if not dry_run:
        tell(f"Initramfs regeneration is now: {'enabled' if enable else 'disabled'}")
    return status
