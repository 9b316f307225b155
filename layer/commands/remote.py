"""`layer remote`: where base commits come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json
from layer.errors import InvalidInput

if TYPE_CHECKING:
    from layer.host import Host


@click.group(short_help="Say where bases come from.")
def command() -> None:
    """Say where base commits come from."""


@command.command("add")
@click.argument("name")
@click.argument("url")
@click.option(
    "--gpg-import",
    "keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust commits signed by the keys in this file.",
)
@click.option("--no-gpg-verify", is_flag=True, help="Accept unsigned commits.")
@sysroot_options
def add(host: Host, name: str, url: str, keys: Path | None, no_gpg_verify: bool) -> None:
    """Add a remote, or keys to the one that is there."""
    from layer.store.remote import add_remote

    if keys is None and not no_gpg_verify:
        raise InvalidInput(
            f"how are commits of {name} to be verified?",
            "give its keys with --gpg-import FILE, or say --no-gpg-verify",
        )
    if keys is not None and no_gpg_verify:
        raise click.UsageError("--gpg-import and --no-gpg-verify exclude each other")
    with host.locked():
        add_remote(host.store, name, url, verify=not no_gpg_verify, keys=keys)


@command.command("delete")
@click.argument("name")
@sysroot_options
def delete(host: Host, name: str) -> None:
    """Delete a remote."""
    from layer.store.remote import delete_remote

    with host.locked():
        delete_remote(host.store, name)


@command.command("list")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def list_(host: Host, is_json: bool) -> None:
    """List the remotes with their URLs."""
    from layer.store.remote import remote_names, remote_url
    from layer.words import without_passwords

    found = [(name, remote_url(host.store, name)) for name in remote_names(host.store)]
    if is_json:
        answer_json([{"name": name, "url": without_passwords(url)} for name, url in found])
    else:
        lines = [f"{name} {without_passwords(url)}" for name, url in found]
        answer("\n".join(lines))
