"""How Sphinx makes pages of docs/: `make docs`."""

from __future__ import annotations

import re
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
        command = ["mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html", str(page)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        body = f"```{{raw}} html\n{_body(done.stdout)}\n```"
        text = f"# {page.stem}({page.suffix[1:]})\n\n{body}\n"
        file = target / f"{page.name}.md"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def _body(text: str) -> str:
    """Without the tables of page and date at top and bottom; headings are one less high, and
    pages of others are named without a link.
    """
    start, end = text.index('<div class="manual-text">'), text.index('<table class="foot">')
    lower = re.sub(r"<(/?)h([1-5])\b", lambda m: f"<{m[1]}h{int(m[2]) + 1}", text[start:end])
    return re.sub(r'<a class="Xr" href="([^"]+)\.html">(.*?)</a>', _reference, lower).strip()


def _reference(link: re.Match[str]) -> str:
    return link[0] if (_MAN / link[1]).exists() else link[2]


sys.path.insert(0, str(_DOCS.parent))  # the checkout's own program, and docs.making
from docs.making import reference  # noqa: E402

reference.main()
_manual_pages()
