"""What was staged, remembered until it is seen what became of it.

libostree keeps what is staged in /run alone. A finalization that failed, or a shutdown that was
none, leaves the machine on what ran before without a word, so a record in /var says what was to
come: `lib/layer/staged.json` (docs/formats.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layer.model import Deployment
from layer.status import Lost

SCHEMA = 1
_RECORD = "lib/layer/staged.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# libostree's own words on a finalization that failed, until ostree-boot-complete.service has
# put them into the journal.
_STAMP = "boot/ostree/finalize-failure.stamp"


@dataclass(frozen=True, slots=True)
class Staged:
    """A deployment that was staged, and during which boot."""

    checksum: str
    serial: int
    boot: str


def remember(var: Path, deployment: Deployment) -> None:
    """Writes the record in one step."""
    path = var / _RECORD
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    record = {
        "schema": SCHEMA,
        "checksum": deployment.checksum,
        "serial": deployment.serial,
        "boot": _boot(),
    }
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def forget(var: Path) -> None:
    """Removes the record, if there is one."""
    with suppress(FileNotFoundError):
        (var / _RECORD).unlink()


def is_settled(var: Path, deployments: Sequence[Deployment]) -> bool:
    """Whether the record has done its duty: what it tells of has been finalized."""
    record = _read(var)
    return record is not None and any(
        not d.is_staged and (d.checksum, d.serial) == (record.checksum, record.serial)
        for d in deployments
    )


def find_lost(sysroot: Path, var: Path, deployments: Sequence[Deployment]) -> Lost | None:
    """What was staged in an earlier boot and is not there; whoever wrote it, if it has failed."""
    reason = ""
    with suppress(OSError):
        reason = (sysroot / _STAMP).read_text(errors="replace").strip()
    record = _read(var)
    if record is not None and record.boot != _boot() and not is_settled(var, deployments):
        return Lost(record.checksum, reason)
    return Lost("", reason) if reason else None


def _read(var: Path) -> Staged | None:
    """The record; None where there is none, or one that a newer version wrote or nobody did."""
    try:
        values = json.loads((var / _RECORD).read_bytes())
        if values["schema"] != SCHEMA:
            return None
        return Staged(str(values["checksum"]), int(values["serial"]), str(values["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _boot() -> str:
    return _BOOT_ID.read_text().strip()
