"""What the running machine is told to do."""

from __future__ import annotations

from layer.errors import LayerError, NotFound
from layer.sandbox.process import run

_TIMEOUT = 60.0  # seconds; systemctl comes back before the machine goes down


def reboot() -> None:
    """Asks systemd for a reboot; LayerError, which says that all else is done, if it declines."""
    hint = 'what was asked for is queued; run "systemctl reboot" yourself'
    try:
        done = run(["systemctl", "reboot"], timeout=_TIMEOUT)
    except NotFound as error:
        raise LayerError(f"cannot reboot: {error.message}", hint) from error
    if done.status != 0:
        raise LayerError(f"cannot reboot: {' '.join(done.output.split())}", hint)
