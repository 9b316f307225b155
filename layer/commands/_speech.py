"""What the program says: in what a stream can show, in colours and pages where a person looks."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from contextlib import suppress
from typing import Any, TextIO

import click

from layer.tables import folded

# What an output that is not UTF-8 has in place of what we like to show.
_PLAIN = str.maketrans({"●": "*", "…": "...", "→": "->", "·": "-", "—": "-", "×": "x"})  # noqa: RUF001
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and the end of a line
_PAGERS = ("less", "more")
_LESS = "FRX"  # end where one screen is enough, show colours, leave the text on the screen

_BOLD, _RED, _GREEN, _YELLOW, _CYAN, _FAINT = "1", "1;31", "1;32", "1;33", "36", "2"
# What a line looks like, how it is shown, and which part of it: the whole, or a group's.
_COLOURS = (
    (re.compile(r"(error:)"), _RED),
    (re.compile(r"(hint:)"), _CYAN),
    (re.compile(r"(note:|Note:|Warning:)"), _YELLOW),
    (re.compile(r"(● .*)"), _GREEN),
    (re.compile(r"(Installing .*|Having .*):$"), _GREEN),
    (re.compile(r"(Removing .*|Left out .*):$"), _RED),
    (re.compile(r"(Privileged files|Scriptlets, .*|Keys that .*|Left behind .*):$"), _YELLOW),
    (re.compile(r" +(not run:|not made:)"), _YELLOW),
    (re.compile(r" *(NAME  .*)"), _FAINT),
    (re.compile(r"(\S.*):$"), _BOLD),
)


class Manner:
    """How a run speaks: less, more, and through a pager."""

    __slots__ = ("is_paged", "is_quiet", "is_verbose")

    def __init__(self) -> None:
        self.is_quiet = False
        self.is_verbose = False
        self.is_paged = True


def manner() -> Manner:
    """How this run speaks."""
    context = click.get_current_context(silent=True)
    found = getattr(context.find_root().obj, "manner", None) if context else None
    return found if isinstance(found, Manner) else Manner()


def say(text: str, *, err: bool = False) -> None:
    """Lines on stdout or stderr; BrokenPipeError where nobody reads stdout any more."""
    stream = sys.stderr if err else sys.stdout
    if stream is None:  # as where a shell was told >&-
        return
    try:
        print(shown_on(stream, text), file=stream, flush=True)
    except BrokenPipeError:
        if not err:  # what is under way does not end as nobody hears of it
            raise


def tell(text: str, *, err: bool = False) -> None:
    """What is done, on stdout; with --quiet nothing. It is done, too, where nobody reads that."""
    if not manner().is_quiet:
        with suppress(BrokenPipeError):
            say(text, err=err)


def answer(text: str) -> None:
    """What was asked for, on stdout: in lines of a terminal, and in pages where it is longer."""
    document(folded(text, columns()))


def document(text: str) -> None:
    """The same, its lines as they are and one end of line at the end; of no text nothing."""
    stream, text = sys.stdout, text.removesuffix("\n")
    if text and not (_is_long(text) and _page(f"{shown_on(stream, text)}\n")):
        say(text)


def answer_json(value: Any) -> None:
    """What was asked for, as JSON on stdout."""
    document(json.dumps(value, indent=2, sort_keys=True))


def _is_long(text: str) -> bool:
    """Whether it is for a person's eyes, and more than these have before them."""
    if columns() is None or not manner().is_paged:
        return False
    return text.count("\n") + 1 >= shutil.get_terminal_size().lines


def columns(*, err: bool = False) -> int | None:
    """The width of the terminal that stdout, or stderr, is; None for none: lines have no end."""
    stream = sys.stderr if err else sys.stdout
    if stream is None or not stream.isatty():
        return None
    return shutil.get_terminal_size().columns


def is_drawn_on(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal on which the cursor can be moved."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def shown_on(stream: TextIO, text: str) -> str:
    """Text in a stream's own characters, and in colours where it has any.

    What would steer a terminal is shown as what it is: names may be anybody's.
    """
    text = _STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return fitted(_coloured(text) if _has_colours(stream) else text, stream.encoding)


def fitted(text: str, encoding: str | None) -> str:
    """Text with nothing in it that an encoding lacks: plainer, or escaped."""
    encoding = encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # Bytes of names that are no UTF-8 are shown as such bytes.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        plain = text if encoding.lower().startswith("utf") else text.translate(_PLAIN)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _has_colours(stream: TextIO) -> bool:
    """See no-color.org: any NO_COLOR that is not empty."""
    return is_drawn_on(stream) and not os.environ.get("NO_COLOR")


def _coloured(text: str) -> str:
    return "\n".join(map(_coloured_line, text.split("\n")))


def _coloured_line(line: str) -> str:
    for pattern, colour in _COLOURS:
        found = pattern.match(line)
        if found:
            start, end = found.span(1)
            return f"{line[:start]}\x1b[{colour}m{line[start:end]}\x1b[0m{line[end:]}"
    return line


def _page(text: str) -> bool:
    """Whether a pager has shown it."""
    import shlex  # for the few answers that are long

    from layer.errors import NotFound
    from layer.sandbox.process import piped

    wanted = os.environ.get("LAYER_PAGER", os.environ.get("PAGER"))
    try:
        commands = [[name] for name in _PAGERS] if wanted is None else [shlex.split(wanted)]
    except ValueError:  # a quote that does not end
        return False
    settings = {"LESS": os.environ.get("LESS", _LESS), "LESSCHARSET": "utf-8"}
    if "SUDO_UID" in os.environ:
        settings["LESSSECURE"] = "1"  # no shell of root's for who may only run us
    for command in commands:
        if command in ([], ["cat"]):
            return False
        with suppress(NotFound, KeyboardInterrupt):  # Ctrl-C is the pager's
            piped(command, text.encode(sys.stdout.encoding, "replace"), settings)
            return True
    return False
