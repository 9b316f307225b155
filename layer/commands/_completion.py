"""What shells complete words with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.errors import LayerError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def groups(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Groups and environments, of what was fetched before: a shell waits for no network."""
    if not incomplete.startswith("@"):
        return []
    from click.shell_completion import CompletionItem

    from layer.answering import list_groups
    from layer.host import Options, open_host

    given = context.params
    options = Options(
        stateroot=given.get("stateroot"),
        repository_directories=given.get("repository_directories") or (),
        cache=given.get("cache_directory"),
        cache_only=True,
    )
    try:
        found = list_groups(open_host(given["sysroot"], options))
    except LayerError:
        return []
    words = [(f"@{g.id}", g.name) for g in found.groups if not g.is_hidden]
    words += [(f"@^{e.id}", e.name) for e in found.environments]
    return [CompletionItem(word, help=name) for word, name in words if word.startswith(incomplete)]
