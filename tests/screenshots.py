"""`make screenshots`: what the program shows on a terminal, as SVG files in docs/pictures.

python -m tests.screenshots [--demo DIR]

The real program works, on a terminal of its own, on a new sysroot over the base of `make demo`,
which is made where it is not there. No picture is edited.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.terminal import Shown, on_terminal
from tests.world import remove

PICTURES = Path(__file__).parent.parent / "docs/pictures"
REF = "demo:demo/12/x86_64/base"
COLUMNS = 80
# A picture of its own fonts alone: nothing is fetched by who looks at it.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("/var/tmp/layer-demo"))
    demo: Path = parser.parse_args(arguments).demo
    if not (demo / "served").is_dir():
        command = [sys.executable, "-m", "testdata.distro.demo", "--directory", str(demo)]
        subprocess.run(command, check=True)
    sysroot = demo / "screenshots"
    remove([sysroot])
    PICTURES.mkdir(exist_ok=True)
    try:
        _set_up(demo, sysroot)
        _take_all(demo, sysroot)
    finally:
        remove([sysroot])


def _set_up(demo: Path, sysroot: Path) -> None:
    for words in (
        ["init", "--stateroot", "demo"],
        ["remote", "add", "--no-gpg-verify", "demo", f"file://{demo}/served"],
        ["rebase", "-y", REF],
    ):
        env = {"OSTREE_SYSROOT": str(sysroot), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        subprocess.run([sys.executable, "-m", "layer", "-q", *words], check=True, env=env)


def _take_all(demo: Path, sysroot: Path) -> None:
    def run(*words: str, answers: dict[str, str] | None = None) -> Shown:
        env = {"OSTREE_SYSROOT": str(sysroot), "LAYER_PAGER": ""}
        return on_terminal(*words, columns=COLUMNS, env=env, answers=answers)

    repos = ["--repo-dir", str(demo / "repos")]
    packages = ["jq", "tmux", "strace"]
    yes = {"[y/N]": "y\n"}
    done = run("install", *repos, *packages, answers=yes)
    _take("plan", f"layer install {' '.join(packages)}", _first_with(done, "Is this all right?"))
    middle = _first_with(done, "Running trigger ", "Importing")
    _take("progress", f"layer install {' '.join(packages)}", middle, since="Downloading")
    _take("status", "layer status", run("status").screen())
    refused = run("install", *repos, "demo-newglibc", "demo-lib")
    _take("unsolvable", "layer install demo-newglibc demo-lib", refused.screen())
    run("why", "--svg", str(PICTURES / "why-library.svg"), "--all", "libonig5")


def _first_with(shown: Shown, *facts: str) -> pyte.Screen:
    """What was seen as soon as each of the facts was on the screen; at the end, if never."""
    for number in range(1, len(shown.blocks)):
        screen = shown.screen(number)
        if all(any(fact in line for line in screen.display) for fact in facts):
            return screen
    return shown.screen()


def _take(name: str, title: str, screen: pyte.Screen, since: str = "") -> None:
    """Writes a screen as a picture, from the line on that begins with `since`."""
    rows = [number for number, line in enumerate(screen.display) if line.strip()]
    first = next((n for n in rows if screen.display[n].startswith(since)), rows[0])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    for number in range(first, rows[-1] + 1):
        console.print(_line(screen, number), soft_wrap=True, end="\n")
    text = console.export_svg(title=title, code_format=_FORMAT, unique_id=name)
    (PICTURES / f"{name}.svg").write_text(text)
    print(f"docs/pictures/{name}.svg")


def _line(screen: pyte.Screen, number: int) -> Text:
    line = Text(no_wrap=True)
    cells = [screen.buffer[number][column] for column in range(COLUMNS)]
    for (colour, bold), run in groupby(cells, lambda cell: (_colour(cell.fg), cell.bold)):
        line.append("".join(cell.data for cell in run), Style(color=colour, bold=bold or None))
    line.rstrip()
    return line


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    named = {"brown": "yellow", "brightbrown": "bright_yellow"}
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return named.get(name, re.sub(r"^bright", "bright_", name))


if __name__ == "__main__":
    main()
