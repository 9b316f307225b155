"""The program: the only place that prints errors and exits."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from layer import interrupts
from layer.errors import LayerError

if TYPE_CHECKING:
    from layer.commands._voice import Speaking

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_PIPE = 128 + signal.SIGPIPE  # as of a program that the signal ended
# New containers between two looks for those that refer to each other. Python's own 700 are for
# programs that run on: loading the modules alone makes 70 looks, a thirtieth of a plan's time.
_LITTER = 100_000
_AGAIN = "run the command again; what was fetched is kept"
# What a disk does at any moment, in any place; all other failures of calls are ours.
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def main(arguments: list[str] | None = None) -> None:
    """Runs a command line and exits.

    0 done, 1 error, 2 usage, 77 unchanged where asked for, 128 and its number for a signal.
    """
    interrupts.arm()
    try:
        status = _run(arguments)
    except KeyboardInterrupt as error:  # while the program itself was loaded
        interrupts.disarm()
        print("error: interrupted; nothing has changed", file=sys.stderr)
        status = interrupts.exit_status(error) or EXIT_ERROR
    sys.exit(status)


def command() -> None:
    """As `main`, and ends without taking the interpreter apart, which is a tenth of a plan."""
    gc.set_threshold(_LITTER)
    try:
        main()
    except SystemExit as leaving:
        with suppress(OSError, ValueError):  # then Python leaves in its own way, and says so
            with suppress(BrokenPipeError):
                sys.stdout.flush()
            sys.stderr.flush()
            os._exit(leaving.code if isinstance(leaving.code, int) else EXIT_ERROR)
        raise


def _run(arguments: list[str] | None) -> int:
    import click  # it and the verbs take so long to load that a signal may come meanwhile

    from layer.commands._speech import say
    from layer.commands._verbs import run
    from layer.commands._voice import JsonLines, Speaking

    speaking = Speaking()
    try:
        found = run(sys.argv[1:] if arguments is None else arguments, speaking)
        interrupts.disarm()
    except click.ClickException as error:
        if isinstance(speaking.voice, JsonLines):
            told = LayerError(error.format_message(), "the verb's page has all: man layer-VERB")
            return _failed(speaking, told, EXIT_USAGE)
        usage = io.StringIO()
        error.show(usage)
        say(usage.getvalue().rstrip("\n"), err=True)
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt) as error:
        status = interrupts.exit_status(error) or EXIT_ERROR
        told = LayerError("interrupted; nothing has changed", _AGAIN)
        return _failed(speaking, told, status)
    except LayerError as error:
        return _failed(speaking, error, interrupts.exit_status(error) or EXIT_ERROR)
    except BrokenPipeError:
        return EXIT_PIPE
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        where = f": {error.filename}" if error.filename else ""
        hint = "see to the disk, and run the command again"
        return _failed(speaking, LayerError(f"{error.strerror}{where}", hint))
    status = found if isinstance(found, int) else 0
    speaking.end(status)
    return status


def _failed(speaking: Speaking, error: LayerError, status: int = EXIT_ERROR) -> int:
    interrupts.disarm()
    speaking.end(status, error)
    return status


if __name__ == "__main__":
    command()
