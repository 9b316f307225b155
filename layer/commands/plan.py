"""`layer plan`: what another verb would deploy, built and not deployed."""

from __future__ import annotations

from pathlib import Path

import click

from layer.commands._options import PLAN

# The verbs that make a commit; the others change what boots alone, and have nothing to build.
_VERBS = (
    "deploy",
    "initramfs",
    "install",
    "lock",
    "override",
    "rebase",
    "reset",
    "uninstall",
    "upgrade",
)


@click.command(
    short_help="Build a change; deploy it later.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the plan here.",
)
@click.argument("verb", metavar="VERB", type=click.Choice(_VERBS))
@click.argument("words", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, output: Path, verb: str, words: tuple[str, ...]) -> object:
    """Build what VERB with ARGS would deploy, and write a plan that names it.

    Nothing is deployed; `layer apply FILE` deploys exactly that, or refuses.
    """
    context.meta[PLAN] = output
    assert context.parent is not None
    group = context.parent.command
    assert isinstance(group, click.Group)
    found = group.get_command(context.parent, verb)
    assert found is not None
    with found.make_context(verb, list(words), parent=context.parent) as inner:
        return found.invoke(inner)
