"""`layer provides`: which packages have a file or a capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import cache_only_option, repository_options, sysroot_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Find who has a file or name.")
@click.argument("words", metavar="PATH|CAP...", nargs=-1, required=True)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@cache_only_option
@repository_options
@sysroot_options
def command(host: Host, words: tuple[str, ...], is_json: bool) -> None:
    """Find the packages that have a file or a capability.

    PATH is absolute or a pattern, such as '/usr/bin/*grep'; CAP is a capability, such
    as 'libz.so.1()(64bit)', or else the name of a file. Needs no root.
    """
    from layer import answer_text
    from layer.answering import find_providers
    from layer.answers import provides_as_json

    found = find_providers(host, words)
    if is_json:
        answer_json(provides_as_json(found))
    else:
        answer(answer_text.providers(found))
