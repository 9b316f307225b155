"""`layer upgrade`: the newest base, with the layers carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    carry_out,
    change_options,
    choice_options,
    consent_options,
    download_only,
    network_options,
    repository_options,
    skip_option,
    sysroot_options,
)
from layer.commands._speech import tell
from layer.words import NO_UPGRADE

if TYPE_CHECKING:
    from layer.change import Change
    from layer.host import Host


@click.command(short_help="Deploy the newest base.")
@click.option("--allow-downgrade", is_flag=True, help="Accept a base that is older.")
@click.option("--install", multiple=True, hidden=True)  # on the page: the screen is full
@click.option("--check", is_flag=True, help="As --dry-run, and exit 77 if nothing is new.")
@click.option("--preview", is_flag=True, help="As --check, with every package of the base.")
@click.option(
    "--trigger-automatic-update-policy",
    "by_policy",
    is_flag=True,
    hidden=True,  # of the timer's service: layer-upgrade(1) has a section about it
)
@click.option("--uninstall", multiple=True, hidden=True)  # as --install
@skip_option
@change_options
@network_options
@consent_options
@choice_options
@repository_options
@sysroot_options
def command(
    host: Host,
    allow_downgrade: bool,
    install: tuple[str, ...],
    uninstall: tuple[str, ...],
    check: bool,
    preview: bool,
    by_policy: bool,
    skip_broken: bool,
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Deploy the newest base and newest layers.

    The base is that of the deployment's ref; requests are carried along.
    """
    from layer import advising, updates
    from layer.host import is_root

    is_asked = check or preview
    policy = host.settings().automatic_updates if by_policy else ""
    if policy == "none":
        tell("Automatic updates are off.")
        return 0
    if policy == "download":
        download_only()

    def decide() -> Change:
        plan = advising.upgrade(
            host,
            allow_downgrade=allow_downgrade,
            install=install,
            uninstall=uninstall,
            skip_broken=skip_broken,
        )
        if (is_asked or policy) and is_root():
            updates.remember(host, plan)
        return plan

    return carry_out(
        host,
        decide,
        dry_run=dry_run or is_asked or policy == "check",
        assumeyes=assumeyes or bool(policy),
        unchanged_exit_77=unchanged_exit_77 or is_asked,
        is_whole=preview,
        unchanged=NO_UPGRADE,
    )
