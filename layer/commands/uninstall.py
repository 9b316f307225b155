"""`layer uninstall`: take layered packages away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from layer.commands._options import (
    cache_only_option,
    carry_out,
    change_options,
    live_option,
    repository_options,
    sysroot_options,
)
from layer.errors import LayerError

if TYPE_CHECKING:
    from layer.host import Host


def _requested(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What was asked for in the pending deployment, for shell completion."""
    from layer.host import open_host

    try:
        host = open_host(context.params["sysroot"])
        pending = host.pending()
        requests = host.origin(pending).requests if pending else ()
    except LayerError:
        return []
    return [CompletionItem(r.text) for r in requests if r.text.startswith(incomplete)]


@click.command(short_help="Take packages away.")
@click.argument("packages", metavar="PKG...", nargs=-1, shell_complete=_requested)
@click.option("--all", "everything", is_flag=True, help="Take all layered packages away.")
@click.option("--idempotent", is_flag=True, help="Packages never asked for are no error.")
@click.option(
    "--allow-inactive", is_flag=True, expose_value=False, help="Accepted as by rpm-ostree."
)
@click.option("--purge", is_flag=True, help="Remove what they leave, where nobody edited it.")
@live_option
@change_options
@cache_only_option
@repository_options
@sysroot_options
def command(
    host: Host,
    packages: tuple[str, ...],
    everything: bool,
    idempotent: bool,
    purge: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Take away packages that were asked for.

    That needs no network. PKG is what was said to `layer install`; others' dependencies stay.
    """
    from layer import verbs

    if bool(packages) == everything:
        raise click.UsageError("name packages, or say --all")
    return carry_out(
        host,
        lambda: verbs.uninstall(host, None if everything else packages, idempotent=idempotent),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
        purge=purge,
    )
