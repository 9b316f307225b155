"""`layer override`: packages of the base, taken away or replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from layer.commands._options import (
    cache_only_option,
    carry_out,
    change_options,
    consent_options,
    repository_options,
    sysroot_options,
)

if TYPE_CHECKING:
    from layer.host import Host

_purge_option = click.option(
    "--purge", is_flag=True, help="Remove what is left behind, where nobody edited it."
)


@click.group(short_help="Replace or remove base packages.")
def command() -> None:
    """Take packages of the base away, or put others in their places.

    An override stays through upgrades, until it is reset.
    """


@command.command(short_help="Take packages of the base away.")
@click.argument("packages", metavar="PKG...", nargs=-1, required=True)
@click.option("--install", multiple=True, metavar="PKG", help="Layer this, too.")
@_purge_option
@change_options
@cache_only_option
@consent_options
@repository_options
@sysroot_options
def remove(host: Host, packages: tuple[str, ...], install: tuple[str, ...], **rest: Any) -> int:
    """Take packages of the base away.

    What others of the base need cannot go without these.
    """
    from layer import overriding

    return carry_out(
        host, lambda: overriding.override_remove(host, packages, install=install), **rest
    )


@command.command(short_help="Put packages in others' places.")
@click.argument("packages", metavar="FILE|URL|PKG...", nargs=-1, required=True)
@click.option("--from-repo", metavar="ID", help="Take each PKG from this repository.")
@click.option("--from", "source", metavar="repo=ID", help="The same, as rpm-ostree has it.")
@click.option("--experimental", is_flag=True, expose_value=False, hidden=True)
@click.option("--remove", multiple=True, metavar="PKG", help="Take this away, too.")
@click.option("--install", multiple=True, metavar="PKG", help="Layer this, too.")
@_purge_option
@change_options
@cache_only_option
@consent_options
@repository_options
@sysroot_options
def replace(
    host: Host,
    packages: tuple[str, ...],
    from_repo: str | None,
    source: str | None,
    remove: tuple[str, ...],
    install: tuple[str, ...],
    **rest: Any,
) -> int:
    """Put other versions in the places of the base's packages, older ones too.

    A file or a URL stays what it is until it is reset; a PKG of a repository moves with upgrades.
    """
    from layer import overriding

    if source is not None and (from_repo is not None or not source.startswith("repo=")):
        raise click.UsageError("say --from repo=ID, or --from-repo ID")
    repository = from_repo or (source or "").removeprefix("repo=")
    return carry_out(
        host,
        lambda: overriding.override_replace(
            host, packages, repository=repository, remove=remove, install=install
        ),
        **rest,
    )


@command.command(short_help="Have the base's packages again.")
@click.argument("packages", metavar="PKG...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Reset all overrides.")
@change_options
@cache_only_option
@consent_options
@repository_options
@sysroot_options
def reset(host: Host, packages: tuple[str, ...], everything: bool, **rest: Any) -> int:
    """Have packages as the base has them again; that needs no network."""
    from layer import overriding

    if bool(packages) == everything:
        raise click.UsageError("name packages, or say --all")
    return carry_out(
        host,
        lambda: overriding.override_reset(host, None if everything else packages),
        **rest,
    )
