"""Draws docs/pictures/*.dot with Graphviz: `python -m docs.making.pictures`.

tests/test_reference.py says when one of them has to be drawn anew.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PICTURES = Path(__file__).parent.parent / "pictures"


def drawn(source: Path) -> str:
    """The picture as SVG, without what says which Graphviz drew it."""
    done = subprocess.run(["dot", "-Tsvg", str(source)], capture_output=True, text=True, check=True)
    return re.sub(r"<!--.*?-->\n", "", done.stdout, flags=re.DOTALL)


def main() -> None:
    """Draws all of them."""
    for source in sorted(PICTURES.glob("*.dot")):
        source.with_suffix(".svg").write_text(drawn(source), encoding="utf-8")


if __name__ == "__main__":
    main()
