"""docs/triggers.md says of every trigger what its file says."""

from __future__ import annotations

import re
from pathlib import Path

from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.globs import Glob
from layer.triggers.order import in_order

ROOT = Path(__file__).parent.parent
WHEN = {"build": "", "boot": " at boot", "live": " live"}


def test_the_catalogue_has_every_trigger_in_order() -> None:
    files = sorted((ROOT / "triggers").glob("*.toml"))
    shipped = in_order([parse_trigger(file.read_text(), str(file)) for file in files])
    text = (ROOT / "docs/triggers.md").read_text()

    shown = re.findall(r"^\| (?!name|---).*\|$", text, re.MULTILINE)

    assert shown == [row(trigger) for trigger in shipped]


def row(trigger: Trigger) -> str:
    """A trigger's line of the table."""
    cells = (
        trigger.name,
        trigger.description.rstrip("."),
        paths(trigger.include),
        f"`{trigger.tool}`{WHEN[trigger.phase]}",
        paths(trigger.writes),
    )
    return f"| {' | '.join(cells)} |"


def paths(globs: tuple[Glob, ...]) -> str:
    """Patterns as the table has them."""
    return " ".join(f"`{glob.text}`" for glob in globs) or "nothing"
