"""`layer lock`: the exact packages of a deployment as a file, for another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import (
    cache_only_option,
    carry_out,
    change_options,
    repository_options,
    sysroot_options,
)
from layer.commands._speech import document

if TYPE_CHECKING:
    from layer.host import Host

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(short_help="Export or import exact packages.")
def command() -> None:
    """Take the exact packages of a deployment to another machine.

    There, over the same base, they make the same commit.
    """


@command.command("export")
@click.argument("file", metavar="[FILE]", required=False, type=_FILE)
@sysroot_options
def export(host: Host, file: Path | None) -> None:
    """Write the lock of what boots next to FILE, or print it."""
    from layer import locking
    from layer.lock_file import format_lock
    from layer.outputs import write_output

    text = format_lock(locking.export(host))
    if file is None:
        document(text)
    else:
        write_output(file, text.encode())


@command.command("import")
@click.argument("file", metavar="FILE", type=_FILE)
@click.argument("packages", metavar="[RPM]...", nargs=-1, type=_FILE)
@change_options
@cache_only_option
@repository_options
@sysroot_options
def import_(
    host: Host,
    file: Path,
    packages: tuple[Path, ...],
    dry_run: bool,
    assumeyes: bool,
    unchanged_exit_77: bool,
) -> int:
    """Deploy the commit of the lock in FILE, made here.

    Packages come from what is here, each RPM named, and repositories.
    """
    from layer import locking

    return carry_out(
        host,
        lambda: locking.import_lock(host, file, packages),
        dry_run=dry_run,
        assumeyes=assumeyes,
        unchanged_exit_77=unchanged_exit_77,
    )
