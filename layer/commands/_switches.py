"""Options that are taken in the order in which they are said, whatever their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from layer.repository_choice import Choice

_ENABLE, _DISABLE, _ONLY = "enabled_repositories", "disabled_repositories", "only_repositories"
_SAID = "layer.repositories-said"


class Switch(click.Option):
    """An option of which the context remembers each use, in one row with those of its kind.

    click itself gives a verb the values of each option by themselves.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """As click's."""
        super().add_to_parser(parser, ctx)
        for name in self.opts:
            option = parser._long_opt[name]  # click has no other place for it
            process = option.process

            def noting(value: str, state: Any, process: Any = process) -> None:
                ctx.meta.setdefault(_SAID, []).append((self.name, value))
                process(value, state)

            option.process = noting


def repository_switches(*only: str) -> Callable[[Any], Any]:
    """--enablerepo, --disablerepo and, by the names that are given, which repositories alone."""

    def add(function: Any) -> Any:
        for names, key, cls in (
            (("--disablerepo",), _DISABLE, Switch),
            (("--enablerepo",), _ENABLE, Switch),
            (only, _ONLY, click.Option),
        ):
            options = {"multiple": True, "metavar": "ID", "hidden": True}
            function = click.option(*names, key, cls=cls, **options)(function)
        return function

    return add


def said(rest: dict[str, Any]) -> Choice:
    """What a command line says about repositories; takes these options out of `rest`."""
    from layer.repository_choice import Choice, split_ids

    only = split_ids(rest.pop(_ONLY, ()))
    for key in (_ENABLE, _DISABLE):
        rest.pop(key, None)
    uses = click.get_current_context().meta.get(_SAID, [])
    return Choice(
        only,
        tuple((id_, key == _ENABLE) for key, text in uses for id_ in split_ids([text])),
    )
