"""All verbs, each found and imported as it is needed."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import shutil
import sys
from collections.abc import Iterable
from itertools import takewhile, zip_longest
from pathlib import Path

import click

from layer import commands
from layer.commands import _rpm_ostree
from layer.commands._manner import add_manners, set_manner
from layer.commands._speech import say
from layer.commands._voice import JsonLines, Speaking

# Verbs of rare days, which the overview names without a word, so that it fits a screen.
_RARE = {
    *("audit", "trigger", "compose", "init", "remote", "group"),  # for who makes a system
    # For who looks after one.
    *("pin", "unpin", "usroverlay", "apply-live", "config-diff", "fsck", "cancel", "doctor"),
    *("initramfs", "initramfs-etc", "kargs", "refresh-md", "repo"),
}
_ALIASES = {"livefs": "apply-live"}  # as rpm-ostree called it first
_NARROW, _NARROWEST = 52, 18  # columns: click takes 50 at least
# What those say who come from elsewhere.
_ELSEWHERE = {
    "update": "upgrade",
    "remove": "uninstall",
    "erase": "uninstall",
    "undo": "rollback",
    "list": "status",
    "makecache": "refresh-md",
}


class Verbs(click.Group):
    """The modules of `layer.commands`, imported one by one as they are needed."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """The verbs, sorted."""
        found = pkgutil.iter_modules(commands.__path__)
        return sorted(m.name.replace("_", "-") for m in found if not m.name.startswith("_"))

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command; None where there is no such verb."""
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in self.list_commands(context):
            return None
        module = importlib.import_module(f"layer.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        _mention_hidden(command, f"layer-{cmd_name}")
        add_manners(command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; UsageError names what an unknown verb is like."""
        verbs, word = self.list_commands(context), args[0]
        if word in verbs or word in _ALIASES or word.startswith("-"):
            return super().resolve_command(context, args)
        near = difflib.get_close_matches(word, verbs, cutoff=0.65)
        near = list(dict.fromkeys([*([_ELSEWHERE[word]] if word in _ELSEWHERE else []), *near]))
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"No such command {word!r}.{hint}", context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs in two columns where these fit, and of the rare ones the names alone."""
        found = ((name, self.get_command(context, name)) for name in self.list_commands(context))
        kept = [(n, c.get_short_help_str()) for n, c in found if c is not None and not c.hidden]
        shown = [row for row in kept if row[0] not in _RARE]
        self._format_often_used(shown, formatter)
        with formatter.section("Also"):
            import textwrap  # for the overview alone

            names = ", ".join(name for name, _ in kept if name in _RARE)
            room = formatter.width - formatter.current_indent
            for line in textwrap.wrap(names, room, break_on_hyphens=False):
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def _format_often_used(
        self, shown: list[tuple[str, str]], formatter: click.HelpFormatter
    ) -> None:
        name_width, help_width = (max(len(row[i]) for row in shown) for i in (0, 1))
        cells = [f"{name:{name_width}}  {text:{help_width}}" for name, text in shown]
        if 2 * len(cells[0]) + 4 > formatter.width:
            with formatter.section("Commands"):
                formatter.write_dl(shown)
            return
        half = (len(cells) + 1) // 2
        with formatter.section("Commands"):
            for left, right in zip_longest(cells[:half], cells[half:], fillvalue=""):
                formatter.write(f"  {left}  {right}".rstrip() + "\n")


class Stacking(click.HelpFormatter):
    """For narrow terminals: what an option does stands below it where there is no room beside."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """A list of terms, each with its text."""
        terms = list(rows)
        if all(len(term) <= self.width // 3 for term, _ in terms):
            super().write_dl(terms, col_max, col_spacing)
            return
        for term, text in terms:
            before = " " * self.current_indent
            below = f"{before}  "
            told = click.formatting.wrap_text(text, self.width, below, below)
            self.write(f"{before}{term}\n{told}\n")


def _mention_hidden(command: click.Command, page: str) -> None:
    """Lets --help say where options are for which a screen has no line."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _mention_hidden(each, page)
        return
    options = [each for each in command.params if isinstance(each, click.Option)]
    is_done = any("--help" in option.opts for option in options)
    if not is_done and any(option.hidden for option in options):
        text = f"Show this; man {page} and man layer have more options."
        click.help_option("-h", "--help", help=text)(command)


def _show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from layer.commands import _version

    say(_version.described(_rpm_ostree.is_caller()))
    context.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and those of libsolv, rpm and libostree.",
)
@click.option("-q", "--quiet", "is_quiet", is_flag=True, hidden=True)
@click.option("-v", "--verbose", "is_verbose", is_flag=True, hidden=True)
@click.option("--no-pager", "is_unpaged", is_flag=True, hidden=True)
@click.option(
    "--json-progress", is_flag=True, help="Tell progress on stderr, a JSON object a line."
)
@click.option("--profile", is_flag=True, hidden=True)  # all on the page: a screen is full
@click.option("--profile-json", type=click.Path(path_type=Path, dir_okay=False), hidden=True)
@click.pass_context
def cli(
    context: click.Context,
    is_quiet: bool,
    is_verbose: bool,
    is_unpaged: bool,
    json_progress: bool,
    profile: bool,
    profile_json: Path | None,
) -> None:
    """Packages over a read-only base. Each verb has a page, man layer-VERB, and takes -q and -v."""
    if is_quiet or is_verbose or is_unpaged:
        set_manner(is_quiet=is_quiet, is_verbose=is_verbose, is_unpaged=is_unpaged)
    if json_progress and isinstance(context.obj, Speaking):
        _tell_in_json(context.obj)
    if (profile or profile_json) and isinstance(context.obj, Speaking):
        context.obj.measure(profile_json)


def run(words: list[str], speaking: Speaking) -> object:
    """What a verb's function returns; of click's own exits, such as --help's, 0."""
    name = "layer"
    if Path(sys.argv[0]).name == _rpm_ostree.NAME:
        name, words = _rpm_ostree.NAME, _rpm_ostree.translate(words)
    if words[:1] and words[0] in _rpm_ostree.DONE_ALREADY and name == _rpm_ostree.NAME:
        say(_rpm_ostree.DONE_ALREADY[words[0]])
        return 0
    if _wants_json(words):
        _tell_in_json(speaking)  # already: what click cannot parse is told so, too
    stdout = sys.stdout
    _fit_narrow_terminals()
    try:
        return cli.main(words, prog_name=name, standalone_mode=False, obj=speaking)
    except SystemExit as leaving:
        # click's own way after completion, and, with a quiet stdout, where nobody reads that.
        if sys.stdout is not stdout:
            raise BrokenPipeError from leaving
        raise


def _fit_narrow_terminals() -> None:
    """Has helps be as wide as the terminal is, where click's own would be wider."""
    columns = shutil.get_terminal_size().columns
    if columns < _NARROW:
        cli.context_settings["terminal_width"] = max(columns - 2, _NARROWEST)
        click.Context.formatter_class = Stacking


def _wants_json(words: list[str]) -> bool:
    """Whether --json-progress is said, before the verb or behind it: not to a program of `run`."""
    before = [*takewhile(lambda word: word.startswith("-"), words)]
    if words[len(before) : len(before) + 1] != ["run"]:
        before = [*takewhile(lambda word: word != "--", words)]
    return "--json-progress" in before


def _tell_in_json(speaking: Speaking) -> None:
    if not isinstance(speaking.voice, JsonLines):
        speaking.voice = JsonLines(tuple(sys.argv[1:]))
