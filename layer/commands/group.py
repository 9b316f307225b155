"""`layer group`: groups of packages that repositories list."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from layer.commands._options import cache_only_option, repository_options, sysroot_options
from layer.commands._speech import answer, answer_json, columns

if TYPE_CHECKING:
    from layer.host import Host

_AS_JSON = click.option("--json", "is_json", is_flag=True, help="As JSON.")


@click.group(short_help="List groups of packages.")
def command() -> None:
    """Show the groups of packages that repositories list, and environments of groups.

    Needs no root.
    """


@command.command("list")
@click.option("--hidden", "with_hidden", is_flag=True, help="Groups for environments, too.")
@_AS_JSON
@cache_only_option
@repository_options
@sysroot_options
def list_(host: Host, with_hidden: bool, is_json: bool) -> None:
    """List groups and environments."""
    from layer import answer_text
    from layer.answering import list_groups
    from layer.groups import list_as_json

    found = list_groups(host)
    if is_json:
        answer_json(list_as_json(found, with_hidden=with_hidden))
    else:
        answer(answer_text.group_list(found, with_hidden=with_hidden, width=columns()))


@command.command("info")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_AS_JSON
@cache_only_option
@repository_options
@sysroot_options
def info(host: Host, names: tuple[str, ...], is_json: bool) -> None:
    """Show what is in groups.

    NAME is the id or the name of a group or, after ^, of an environment.
    """
    from layer import answer_text
    from layer.answering import describe_groups

    found = describe_groups(host, names)
    if is_json:
        answer_json(
            [{**asdict(one), "has": [asdict(group) for group in several]} for one, several in found]
        )
    else:
        answer(answer_text.group_descriptions(found))
