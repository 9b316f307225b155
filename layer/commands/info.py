"""`layer info`: all about packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import cache_only_option, repository_options, sysroot_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Describe packages.")
@click.argument("packages", metavar="PKG...", nargs=-1, required=True)
@click.option("--files", "with_files", is_flag=True, help="With all of their files.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@cache_only_option
@repository_options
@sysroot_options
def command(host: Host, packages: tuple[str, ...], with_files: bool, is_json: bool) -> None:
    """Describe packages, and say what they are to this machine.

    PKG is a name, NAME.ARCH, name-version, a NEVRA, or such with * and ?. Of each
    is shown what is in the tree, and the newest on offer. Needs no root.
    """
    from layer import answer_text
    from layer.answering import describe_packages
    from layer.answers import info_as_json

    found = describe_packages(host, packages, with_files=with_files)
    if is_json:
        answer_json(info_as_json(found))
    else:
        answer(answer_text.descriptions(found))
