"""`layer why`: what asked for a package, and by which chain of dependencies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json, document

if TYPE_CHECKING:
    from layer.host import Host


@click.command(short_help="Say why a package is there.")
@click.argument("package", metavar="PKG")
@click.option("--all", "is_whole", is_flag=True, help="By every request that leads to it.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@click.option("--dot", "is_dot", is_flag=True, help="Print the graph for Graphviz.")
@click.option(
    "--svg",
    "drawing",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the graph, with Graphviz.",
)
@sysroot_options
def command(
    host: Host,
    package: str,
    is_whole: bool,
    is_json: bool,
    is_dot: bool,
    drawing: Path | None,
) -> None:
    """Say why a package is in the tree that boots next.

    Shows the shortest chain from a request to it, with the dependency behind each
    link. Needs no root and no network.
    """
    from layer import answer_text
    from layer.reasoning import draw, explain_presence
    from layer.reasons import as_dot, as_json

    if is_json and is_dot:
        raise click.UsageError("--dot and --json exclude each other")
    found = explain_presence(host, package, is_whole=is_whole)
    if drawing is not None:
        draw(as_dot(found), drawing)
    if is_json:
        answer_json([as_json(one) for one in found])
    elif is_dot:
        document(as_dot(found))
    elif drawing is None:
        answer(answer_text.reasons(found, is_whole=is_whole))
