"""`layer db`: which packages are in a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from layer.commands._options import sysroot_options
from layer.commands._speech import answer, answer_json, say

if TYPE_CHECKING:
    from layer.host import Host

_AS_JSON = click.option("--json", "is_json", is_flag=True, help="As JSON.")


@click.group(short_help="List packages, diff commits.")
def command() -> None:
    """Show the packages of deployments and commits.

    COMMIT is the number or id of a deployment, a ref, or a commit's checksum; without
    it, it is what boots next. Needs no checkout, no root and no network.
    """


@command.command("list")
@click.argument("words", metavar="[COMMIT] [PATTERN]...", nargs=-1)
@_AS_JSON
@sysroot_options
def list_(host: Host, words: tuple[str, ...], is_json: bool) -> None:
    """List the packages of a commit.

    PATTERN is a name, a NEVRA, or such with * and ?.
    """
    from layer import querying, render
    from layer.packages import list_as_json

    subject, found = querying.packages(host, words)
    if is_json:
        answer_json(list_as_json(subject.commit.checksum, found))
    else:
        answer(render.package_list(str(subject), found))


@command.command("diff")
@click.argument("old", metavar="[[FROM]", required=False)
@click.argument("new", metavar="TO]", required=False)
@_AS_JSON
@click.option(
    "-F", "--format", "form", type=click.Choice(["block", "json"]), help="As rpm-ostree has it."
)
@sysroot_options
def diff(host: Host, old: str | None, new: str | None, is_json: bool, form: str | None) -> None:
    """Show which packages differ between two commits.

    FROM is what runs if not said; without TO, what runs is compared with what boots next.
    """
    from layer import querying, render
    from layer.packages import diff_as_json

    words = [word for word in (old, new) if word is not None]
    before, after, found = querying.package_diff(host, words)
    if is_json or form == "json":
        answer_json(diff_as_json(before.commit.checksum, after.commit.checksum, found))
    else:
        answer(render.package_diff(str(before), str(after), found))


@command.command("owner")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--commit", "word", metavar="COMMIT", help="In this commit.")
@_AS_JSON
@sysroot_options
def owner(host: Host, paths: tuple[str, ...], word: str | None, is_json: bool) -> None:
    """Say which package or trigger each PATH is of.

    A file has one owner; a directory is of every package that lists it.
    """
    from layer import querying, render
    from layer.owners import as_json

    found = querying.owners(host, word, paths)
    if is_json:
        answer_json(as_json(found))
    else:
        answer(render.owners(found))


@command.command("version")
@click.argument("words", metavar="[COMMIT]...", nargs=-1)
@_AS_JSON
@sysroot_options
def version(host: Host, words: tuple[str, ...], is_json: bool) -> None:
    """Print a digest over the names of all packages of each COMMIT."""
    from layer import querying
    from layer.packages import version_of

    subjects = [querying.require_subject(host, word) for word in words] or [querying.pending(host)]
    versions = [version_of(found) for found in querying.packages_of(host, subjects)]
    if is_json:
        rows = zip(subjects, versions, strict=True)
        answer_json([{"commit": one.commit.checksum, "version": digest} for one, digest in rows])
        return
    for subject, digest in zip(subjects, versions, strict=True):
        say(f"ostree commit: {subject}\n  rpmdbv is: {digest:>66}")
