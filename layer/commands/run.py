"""`layer run`: try what is layered before any reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(
    context_settings={"ignore_unknown_options": True}, short_help="Try what will boot next."
)
@click.argument("words", metavar="-- CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@sysroot_options
def command(host: Host, words: tuple[str, ...]) -> int:
    """Try a command on what will boot next.

    It runs in a mount namespace of its own with the pending deployment's /usr,
    the new files of /etc and the new ld.so.cache. What it writes to /etc is
    thrown away, and the running system is not touched.
    """
    from layer import trying

    return trying.run(host, words)
