"""The reference pages, from the program itself: made whenever the documentation is built.

`python -m docs.making.reference` writes them into docs/reference, which is not kept in git.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from layer import errors
from layer.commands._verbs import cli
from layer.triggers.format import Trigger, parse_trigger

DOCS = Path(__file__).parent.parent
MAN = DOCS.parent / "man"
_WIDTH = 80

# The least that a trigger file may say, whose other values are therefore the defaults.
_LEAST = """
schema = 1
name = "x"
description = "x"
[match]
include = ["usr/x"]
[run]
exec = ["x"]
"""


def pages() -> dict[str, str]:
    """Each page's text, by its path below docs/."""
    return {
        "reference/verbs.md": _verbs(),
        "reference/trigger-format.md": _trigger_format(),
        "reference/json.md": _json(),
        "reference/exit-status.md": _exit_status(),
    }


def main() -> None:
    """Writes those that have changed."""
    for path, text in pages().items():
        page = DOCS / path
        page.parent.mkdir(exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


# --- verbs ---------------------------------------------------------------------------------------


def _verbs() -> str:
    parts = [
        "# Verbs\n",
        "What each verb says with `--help`. `man layer-VERB` tells more, with examples.\n",
    ]
    for words, command in _commands(cli, ("layer",)):
        depth = min(len(words), 3)
        title = f"`{' '.join(words)}`" if depth > 1 else "`layer`"
        parts.append(f"{'#' * max(depth, 2)} {title}\n\n```text\n{_help(words, command)}\n```\n")
    return "\n".join(parts)


def _commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _commands(found, (*words, name))


def _help(words: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=" ".join(words),
        terminal_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context).rstrip()


# --- the trigger file ----------------------------------------------------------------------------


def _trigger_format() -> str:
    rows = [f"| `{key}` | {_wanted(key)} | {_default(key)} |" for key in trigger_keys()]
    return "\n".join(
        [
            "# The trigger file",
            "",
            "A trigger is a TOML file; `man 5 layer-trigger` tells what each key means, and",
            "[Write a trigger](../how-to/trigger.md) leads through making one. This table is what",
            "the program itself says of each key: what it takes, in the words of its complaint",
            "about anything else, and what counts where the key is not there.",
            "",
            "| key | takes | otherwise |",
            "| --- | --- | --- |",
            *rows,
            "",
            "A file with a mistake is refused as a whole, with all of its mistakes:",
            "`layer trigger check FILE`.",
            "",
        ]
    )


def trigger_keys() -> list[str]:
    """The keys that the manual page lists, with their tables, in its order."""
    found, table = [], ""
    for line in (MAN / "layer-trigger.5").read_text(encoding="utf-8").splitlines():
        if line.startswith(".Ss "):
            heading = re.fullmatch(r"\.Ss \[(\w+)\] table", line)
            table = f"{heading[1]}." if heading else "" if line == ".Ss Top level" else "-"
        if line.startswith(".It Li ") and table != "-" and "\\(dq" not in line:
            found += [table + key.strip() for key in line.removeprefix(".It Li ").split(",")]
    return [key for key in found if _is_key(key)]


def _is_key(key: str) -> bool:
    return "unknown key" not in _complaint(key, 1.5)


def _wanted(key: str) -> str:
    said = _complaint(key, 1.5 if _accepts(_with(key, 7)) else 7)
    return said.removeprefix("must be ").removeprefix("this program knows ")


def _default(key: str) -> str:
    if not _accepts(_without(key)):
        return "it is required"
    trigger = parse_trigger(_LEAST, "x.toml")
    name = {"commands": "covers", "action": "live_action", "proc": "needs_proc"}
    field = key.rpartition(".")[2]
    value = getattr(trigger, name.get(field, field))
    return "`{}`" if field == "env" else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"`[{', '.join(json.dumps(str(getattr(v, 'text', v))) for v in value)}]`"
    return f"`{json.dumps(value)}`"


def _complaint(key: str, value: object) -> str:
    """What the program says where a key of the least file has a value that no key takes."""
    try:
        parse_trigger(_as_toml(_with(key, value)), "x")
    except errors.LayerError as error:
        said = [line for line in error.message.splitlines() if line.startswith(f"x: {key}: ")]
        return said[0].removeprefix(f"x: {key}: ")
    raise AssertionError(f"{key} takes {value!r}")


def _with(key: str, value: object) -> dict[str, Any]:
    document = tomllib.loads(_LEAST)
    table, _, name = key.rpartition(".")
    (document.setdefault(table, {}) if table else document)[name] = value
    return document


def _without(key: str) -> dict[str, Any]:
    document = tomllib.loads(_LEAST)
    table, _, name = key.rpartition(".")
    (document.get(table, {}) if table else document).pop(name, None)
    return document


def _accepts(document: dict[str, Any]) -> bool:
    try:
        found = parse_trigger(_as_toml(document), "x")
    except errors.LayerError:
        return False
    return isinstance(found, Trigger)


def _as_toml(document: dict[str, Any]) -> str:
    """Texts, numbers and lists of texts, in tables: JSON's notation is TOML's."""
    top = [f"{key} = {json.dumps(v)}" for key, v in document.items() if not isinstance(v, dict)]
    for name, table in document.items():
        if isinstance(table, dict):
            top += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in table.items())]
    return "\n".join(top)


# --- JSON ----------------------------------------------------------------------------------------


def _json() -> str:
    parts = [
        "# JSON",
        "",
        "What programs read. Each is described by a schema of JSON Schema, which the tests hold",
        "the program to; the tables below are made from these. `[]` stands for each item of a",
        "list, `*` for each key of an object whose keys are names.",
        "",
        "Of the progress that `--json-progress` tells: [Formats](../formats.md#progress-schema-1).",
        "",
    ]
    for name, title in (("plan", "A plan"), ("status", "`layer status --json`")):
        schema = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
        parts += [f"## {title}", "", f"{schema['description']}", ""]
        parts += [f"Schema: {{download}}`{name}.schema.json <../{name}.schema.json>`.", ""]
        parts += ["| key | type | what |", "| --- | --- | --- |"]
        parts += [f"| `{key}` | {kind} | {said} |" for key, kind, said in _keys(schema, schema, "")]
        parts.append("")
    return "\n".join(parts)


def _keys(
    whole: dict[str, Any], schema: dict[str, Any], path: str
) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", [])
    for name, found in schema.get("properties", {}).items():
        key = f"{path}.{name}" if path else name
        part = _followed(whole, found)
        said = " ".join(str(found.get("description") or part.get("description", "")).split())
        optional = "" if name in required else "; not always there"
        yield key, _kind(whole, part) + optional, said.replace("|", "\\|")
        yield from _inner(whole, part, key)


def _inner(whole: dict[str, Any], part: dict[str, Any], key: str) -> Iterator[tuple[str, str, str]]:
    for choice in (part, *(_followed(whole, one) for one in part.get("anyOf", ()))):
        yield from _keys(whole, choice, key)
        if isinstance(choice.get("items"), dict):
            items = _followed(whole, choice["items"])
            yield from _keys(whole, items, f"{key}[]")
        if isinstance(choice.get("additionalProperties"), dict):
            yield from _keys(whole, _followed(whole, choice["additionalProperties"]), f"{key}.*")


def _followed(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def _kind(whole: dict[str, Any], part: dict[str, Any]) -> str:
    if "enum" in part:
        return " or ".join(f"`{json.dumps(value)}`" for value in part["enum"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    choices = part.get("anyOf") or part.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(_kind(whole, _followed(whole, c)) for c in choices))
    kinds = part.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    items = part.get("items")
    if "array" in kinds and isinstance(items, dict):
        of = _kind(whole, _followed(whole, items))
        kinds = [f"list of {of}" if kind == "array" else kind for kind in kinds]
    return " or ".join(kinds)


# --- exit status ---------------------------------------------------------------------------------

_STATUSES = (
    ("0", "it is done, or there is nothing to do"),
    ("1", "an error, below; nothing boots differently"),
    ("2", "the command line cannot be understood; nothing was looked at"),
    (
        "77",
        "nothing changed, where `--unchanged-exit-77` asks for that; "
        "`upgrade --check` and `--preview` with nothing new",
    ),
    (
        "128 and a signal's number",
        "interrupted, as 130 by Ctrl-C; nothing boots differently, and the next run goes on",
    ),
)


def _exit_status() -> str:
    kinds = [
        f"| `{name}` | {inspect.cleandoc(kind.__doc__ or '').splitlines()[0]} |"
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.LayerError) and kind is not errors.LayerError
    ]
    return "\n".join(
        [
            "# Exit status and errors",
            "",
            "| status | means |",
            "| --- | --- |",
            *(f"| {status} | {text} |" for status, text in _STATUSES),
            "",
            "An error is a line `error: ...` on stderr, with `hint: ...` behind it where there is",
            "a next step; several lines where several things are wrong. `layer run` exits with",
            "what the command exits with. A traceback is a fault of the program.",
            "",
            "From Python, these are exceptions of `layer.errors`, each a `LayerError`:",
            "",
            "| exception | when |",
            "| --- | --- |",
            *kinds,
            "",
        ]
    )


if __name__ == "__main__":
    main()
