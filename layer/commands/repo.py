"""`layer repo`: the repositories that packages come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import answer, answer_json, columns

if TYPE_CHECKING:
    from layer.host import Host

_AS_JSON = click.option("--json", "is_json", is_flag=True, help="As JSON.")


@click.group(short_help="List repositories.")
def command() -> None:
    """Show the repositories that packages come from, and what was fetched of them.

    Needs neither root nor a network.
    """


@command.command("list")
@click.option("--enabled", "which", flag_value="enabled", default=True, help="Those in use.")
@click.option("--disabled", "which", flag_value="disabled", help="Those that are not.")
@click.option("--all", "which", flag_value="all", help="Both.")
@_AS_JSON
@repository_options
@sysroot_options
def list_(host: Host, which: str, is_json: bool) -> None:
    """List repositories; the enabled ones, unless told otherwise."""
    from layer.repository_asking import list_repositories
    from layer.repository_facts import as_json, repository_list

    found = list_repositories(
        host, with_enabled=which != "disabled", with_disabled=which != "enabled"
    )
    if is_json:
        answer_json({"repositories": [as_json(facts) for facts in found]})
    else:
        answer(repository_list(found, columns()) or "No repositories.")


@command.command("info")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_AS_JSON
@repository_options
@sysroot_options
def info(host: Host, ids: tuple[str, ...], is_json: bool) -> None:
    """Show all about repositories.

    ID is an id or a glob. Without one, all that are enabled are shown.
    """
    from layer.repository_asking import describe_repositories
    from layer.repository_facts import as_json, repository_descriptions

    found = describe_repositories(host, ids)
    if is_json:
        answer_json({"repositories": [as_json(facts) for facts in found]})
    else:
        answer(repository_descriptions(found) or "No repositories.")
