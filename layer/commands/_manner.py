"""-q, -v and the like, which every verb takes behind its name as the program does before it."""

from __future__ import annotations

from collections.abc import Callable

import click

from layer.commands._speech import manner


def add_manners(command: click.Command) -> None:
    """Lets a verb, or each verb of a group, take those of the options that it has not itself.

    Hidden there: layer(1) has them once for all. One that hands its words on is left alone.
    """
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_manners(each)
        return
    if command.context_settings.get("ignore_unknown_options"):
        return
    taken = {word for each in command.params for word in each.opts}
    for option in _options():
        if not taken & {*option.opts}:
            command.params.append(option)


def set_manner(
    *, is_quiet: bool = False, is_verbose: bool = False, is_unpaged: bool = False
) -> None:
    """This run speaks so; UsageError where that cannot be both."""
    ours = manner()
    ours.is_quiet |= is_quiet
    ours.is_verbose |= is_verbose
    ours.is_paged &= not is_unpaged
    if ours.is_quiet and ours.is_verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")


def _options() -> tuple[click.Option, ...]:
    return (
        _option(("-q", "--quiet"), lambda: set_manner(is_quiet=True)),
        _option(("-v", "--verbose"), lambda: set_manner(is_verbose=True)),
        _option(("--no-pager",), lambda: set_manner(is_unpaged=True)),
        _option(("--json-progress",), lambda: None),  # seen before click reads the rest
    )


def _option(names: tuple[str, ...], act: Callable[[], None]) -> click.Option:
    def callback(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            act()

    # In a name that no verb's function has, as its own options have theirs.
    parameter = f"manner{names[-1].replace('-', '_')}"
    return click.Option(
        [*names, parameter], is_flag=True, expose_value=False, hidden=True, callback=callback
    )
