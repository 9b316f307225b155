"""The triggers that ship with the program."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from layer.errors import TriggerFailed
from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.order import in_order


def read_triggers() -> tuple[Trigger, ...]:
    """The packaged triggers, in the order in which they run; TriggerFailed names what is wrong."""
    folder = packaged_directory()
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise TriggerFailed(f"there are no triggers in {folder}", "layer is not fully installed")
    return in_order([parse_trigger(file.read_text(), str(file)) for file in files])


def packaged_directory() -> Path:
    """`triggers/` of a checkout, else `share/layer/triggers` of the installation."""
    checkout = Path(__file__).parent.parent / "triggers"
    if checkout.is_dir():
        return checkout
    return Path(sysconfig.get_path("data")) / "share/layer/triggers"
