"""`layer run`: try what is layered before any reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.command(
    context_settings={"allow_interspersed_args": False}, short_help="Try what will boot next."
)
@click.argument("words", metavar="-- CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--home",
    type=click.Choice(["real", "copy", "empty"]),
    default="real",
    show_default=True,
    help="Homes as they are, a copy, or none.",
)
@click.option(
    "--net",
    type=click.Choice(["host", "none"]),
    default="host",
    show_default=True,
    help="The machine's network, or none.",
)
@sysroot_options
def command(host: Host, words: tuple[str, ...], home: str, net: str) -> int:
    """Try a command on what will boot next.

    It runs in a mount namespace of its own with the pending deployment's /usr,
    the new files of /etc and the new ld.so.cache. What it writes to /etc is
    thrown away, with --home=copy or empty also what it writes to homes, and the
    running system is not touched.
    """
    from layer import trying

    return trying.run(host, words, home=trying.Home(home), has_network=net == "host")
