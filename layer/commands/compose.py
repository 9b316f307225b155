"""`layer compose`: make base commits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from layer.commands import _switches
from layer.commands._options import choice_options
from layer.commands._speech import answer_json, tell
from layer.commands._voice import voice


@click.group(short_help="Make base commits.")
def command() -> None:
    """Make base commits from package repositories."""


@command.command("tree")
@click.argument("treefile", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--repo",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The archive repository to publish in; made where there is none.",
)
@click.option(
    "--repo-dir",
    "repo_dirs",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read .repo files from here.",
)
@click.option(
    "--cachedir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep imported packages and the bare repository here (default: REPO.cache).",
)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@choice_options
@_switches.repository_switches("--repoid")
def tree(
    treefile: Path,
    repo: Path,
    repo_dirs: tuple[Path, ...],
    cachedir: Path | None,
    excludes: tuple[str, ...],
    is_best: bool,
    is_json: bool,
    **switches: Any,
) -> None:
    """Make the next commit of TREEFILE's ref.

    It is published in REPO, which any web server can serve.
    """
    from layer.compose import compose_and_publish
    from layer.ingredients import Selecting
    from layer.model import Preference

    reporter = voice()
    selecting = Selecting(_switches.said(switches), Preference(excludes, is_best))
    cache = cachedir or repo.with_name(f"{repo.name}.cache")
    with reporter.working():
        composed = compose_and_publish(
            treefile, repo, repo_dirs, cache, reporter, selecting=selecting
        )
    for note in composed.notes:
        reporter.note(note)
    if is_json:
        answer_json(asdict(composed))
        return
    tell(
        f"{composed.ref} {composed.version}: {composed.packages} packages, "
        f"commit {composed.checksum}"
    )
