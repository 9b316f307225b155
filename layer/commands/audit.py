"""`layer audit`: what becomes of scriptlets, without installing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from layer.commands._options import opening_options, repository_options
from layer.commands._speech import answer, answer_json

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Show what becomes of scriptlets.")
@click.argument("words", metavar="[PKG|FILE.rpm]...", nargs=-1)
@click.option("--lint", is_flag=True, help="Rank packages by what makes them hard to layer.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@repository_options
@opening_options
def command(opened: Callable[[], Host], words: tuple[str, ...], lint: bool, is_json: bool) -> None:
    """Show what becomes of each line of packages' scriptlets.

    No scriptlet is ever run. Of a PKG all is shown that `layer install` would
    bring; without any word, what is layered. Needs no root.
    """
    from layer import auditing
    from layer.audit import report

    if lint and is_json:
        raise click.UsageError("--lint and --json exclude each other")
    files, names = auditing.split_words(words)
    if files:
        found = auditing.audit_files(opened, files)
    elif names:
        found = auditing.audit_offered(opened(), names)
    else:
        found = auditing.audit_layered(opened())
    if is_json:
        told = report.as_json(found.packages, found.of_base)
        answer_json(told)
    elif lint:
        answer(report.ranking(found.packages))
    else:
        answer(report.as_text(found.packages, found.of_base))
