"""How Sphinx makes pages of docs/: `make docs`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

_DOCS = Path(__file__).parent
_MAN = _DOCS.parent / "man"

project = "layer"
author = "the makers of layer"
version = release = tomllib.loads((_DOCS.parent / "pyproject.toml").read_text())["project"][
    "version"
]
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["making", "_build"]
html_theme = "furo"
html_title = f"layer {version}"
html_copy_source = False


def _manual_pages() -> None:
    """Makes docs/man/ of the manual pages; it is not kept in git."""
    target = _DOCS / "man"
    target.mkdir(exist_ok=True)
    for page in sorted(_MAN.iterdir()):
        command = ["mandoc", "-T", "markdown", str(page)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        text = f"# {page.stem}({page.suffix[1:]})\n\n{_body(done.stdout)}"
        file = target / f"{page.name}.md"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def _body(text: str) -> str:
    """Without the lines of page and date at top and bottom, and with headings one less high."""
    lines = text.splitlines()[1:-1]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n"


sys.path.insert(0, str(_DOCS.parent))  # the checkout's own program, and docs.making
from docs.making import reference  # noqa: E402

reference.main()
_manual_pages()
