"""`layer search`: find packages by name and summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import cache_only_option, repository_options, sysroot_options
from layer.commands._speech import answer, answer_json, columns

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Find packages by words.")
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@cache_only_option
@repository_options
@sysroot_options
def command(host: Host, words: tuple[str, ...], is_json: bool) -> None:
    """Find packages by name and summary.

    All WORDs must be there; the best matches come first. It is said whether a
    package is layered, in the base, or which repository has it. Needs no root.
    """
    from layer import answer_text
    from layer.answering import search_packages
    from layer.answers import search_as_json

    found = search_packages(host, words)
    if is_json:
        answer_json(search_as_json(found))
    else:
        answer(answer_text.matches(found, columns()))
