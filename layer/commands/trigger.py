"""`layer trigger`: the triggers that replace scriptlets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options

if TYPE_CHECKING:
    from layer.host import Host


@click.group(short_help="Show and check triggers.")
def command() -> None:
    """Show and check the triggers that replace scriptlets.

    They are those for the deployment that boots next. Needs no root.
    """


@command.command("list")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def list_(host: Host, is_json: bool) -> None:
    """List all trigger files: where they are from and what they are for."""
    from layer.querying import trigger_set

    rows = [
        {
            "name": listed.file.name,
            "source": listed.file.source,
            "place": listed.file.place.value,
            "state": listed.state.value,
            "phase": listed.trigger.phase if listed.trigger else None,
            "description": listed.trigger.description if listed.trigger else None,
        }
        for listed in trigger_set(host).files
    ]
    if is_json:
        click.echo(json.dumps(rows, indent=2, sort_keys=True))
        return
    for row in rows:
        words = [row["name"], row["place"], row["phase"] or row["state"], row["description"] or ""]
        click.echo("{:18} {:9} {:10} {}".format(*words).rstrip())


@command.command("show")
@click.argument("name")
@sysroot_options
def show(host: Host, name: str) -> None:
    """Print the file of trigger NAME, and where it is."""
    from layer.querying import trigger_file

    file = trigger_file(host, name)
    click.echo(f"# {file.source}")
    click.echo("# masked" if file.text is None else file.text, nl=file.text is None)


@command.command("check")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@sysroot_options
def check(host: Host, files: tuple[Path, ...]) -> None:
    """Say all that is wrong with trigger files, alone and among the others."""
    from layer.querying import check_triggers

    for trigger in check_triggers(host, files):
        click.echo(f"{trigger.source}: nothing is wrong")
