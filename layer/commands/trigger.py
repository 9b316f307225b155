"""`layer trigger`: the triggers that replace scriptlets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from layer.commands._options import repository_options, sysroot_options
from layer.commands._speech import answer, answer_json, document, say
from layer.errors import LayerError

if TYPE_CHECKING:
    from layer.firings import Fired
    from layer.host import Host
    from layer.verifying import Verified

_SHOWN = 20  # paths on one line


def complete_names(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """The triggers' names, for the shell; none where there is no machine to ask."""
    from layer.host import open_host
    from layer.querying import trigger_set

    try:
        host = open_host(context.params["sysroot"])
        names = {listed.file.name for listed in trigger_set(host).files}
    except LayerError:
        return []
    return sorted(name for name in names if name.startswith(typed))


@click.group(short_help="Show, check and verify triggers.")
def command() -> None:
    """Show, check and verify the triggers that replace scriptlets.

    They are those for the deployment that boots next.
    """


@command.command("list")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def list_(host: Host, is_json: bool) -> None:
    """List all trigger files: where they are from and what they are for."""
    from layer.querying import trigger_set

    rows = [
        {
            "name": listed.file.name,
            "source": listed.file.source,
            "place": listed.file.place.value,
            "state": listed.state.value,
            "phase": listed.trigger.phase if listed.trigger else None,
            "description": listed.trigger.description if listed.trigger else None,
        }
        for listed in trigger_set(host).files
    ]
    if is_json:
        answer_json(rows)
        return
    lines = []
    for row in rows:
        words = [row["name"], row["place"], row["phase"] or row["state"], row["description"] or ""]
        lines.append("{:18} {:9} {:10} {}".format(*words).rstrip())
    answer("\n".join(lines))


@command.command("show")
@click.argument("name", shell_complete=complete_names)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def show(host: Host, name: str, is_json: bool) -> None:
    """Print the file of trigger NAME, and where it is."""
    from layer.querying import trigger_file

    file = trigger_file(host, name)
    if is_json:
        answer_json({"name": file.name, "source": file.source, "text": file.text})
    else:
        document(f"# {file.source}\n{'# masked' if file.text is None else file.text}")


@command.command("check", short_help="Say all that is wrong with files.")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def check(host: Host, files: tuple[Path, ...], is_json: bool) -> None:
    """Say all that is wrong with trigger files, alone and among the others."""
    from layer.querying import check_triggers

    found = check_triggers(host, files)
    if is_json:
        answer_json([{"name": trigger.name, "source": trigger.source} for trigger in found])
    else:
        answer("\n".join(f"{trigger.source}: nothing is wrong" for trigger in found))


@command.command("run", short_help="Show which triggers fire (with --dry-run).")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_names)
@click.option("-n", "--dry-run", is_flag=True, help="Only show; nothing else is possible.")
@click.option("--with", "packages", multiple=True, metavar="PKG", help="Were PKG layered, too.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@repository_options
@sysroot_options
def run(
    host: Host, names: tuple[str, ...], dry_run: bool, packages: tuple[str, ...], is_json: bool
) -> None:
    """Show which triggers fire for what is layered, in their order, and for which paths.

    Needs no root. To run them is what `layer install` and its kin do.
    """
    from layer import firings

    if not dry_run:
        raise click.UsageError("triggers run when a tree is made; say --dry-run to see which")
    found = firings.would_fire(host, names, packages) if packages else firings.fired(host, names)
    if is_json:
        answer_json([asdict(one) for one in found])
        return
    lines = []
    for one in found:
        name = " ".join((one.name, *(one.values if len(one.values) == 1 else ())))
        lines += [f"{name:24} {_state(one)}", *(f"    {line}" for line in _listed(one.inputs))]
    answer("\n".join(lines))


def _state(one: Fired) -> str:
    if one.phase != "build":
        return f"at {one.phase}"
    if one.status not in ("", "done"):
        return one.status
    return {True: "output is kept", False: "must run", None: "kept or not, by content"}[one.is_kept]


def _listed(paths: Sequence[str]) -> Iterator[str]:
    yield from paths[:_SHOWN]
    if len(paths) > _SHOWN:
        yield f"and {len(paths) - _SHOWN} more"


@command.command("verify", short_help="Say which do not always do the same.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_names)
@click.option("--commit", metavar="COMMIT", help="Over this commit's tree.")
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
@sysroot_options
def verify(host: Host, names: tuple[str, ...], commit: str | None, is_json: bool) -> int:
    """Run triggers in several ways, and say which do not always do the same.

    Exits with 1 if one does not, or reads what it does not declare. Changes nothing; needs root.
    """
    from layer.verifying import verify as verify_triggers

    found = []
    for verified in verify_triggers(host, names, commit):
        found.append(verified)
        if not is_json:
            say("\n".join(_lines(verified)))
    if is_json:
        answer_json([_row(verified) for verified in found])
    return 0 if all(verified.is_good for verified in found) else 1


def _lines(verified: Verified) -> Iterator[str]:
    yield f"{verified.name:18} {verified.result.value}"
    for line in verified.failure.splitlines():
        yield f"    {line}"
    for difference in verified.differences:
        what = difference.failure.replace("\n", "\n      ") or _some(difference.paths)
        yield f"    differs {difference.circumstance.value}: {what}"
    if verified.undeclared:
        yield f"    reads what it does not declare: {_some(verified.undeclared)}"
    for text in verified.expected:
        yield f"    differs, as its file says, {text}"
    for text in verified.untested:
        yield f"    not tested: {text}"


def _some(paths: Sequence[str]) -> str:
    more = f", and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def _row(verified: Verified) -> dict[str, object]:
    return {
        "name": verified.name,
        "result": verified.result.value,
        "runs": verified.runs,
        "failure": verified.failure,
        "differs": [
            {"circumstance": d.circumstance.value, "paths": d.paths, "failure": d.failure}
            for d in verified.differences
        ],
        "reads": verified.undeclared,
        "expected": verified.expected,
        "untested": verified.untested,
    }
