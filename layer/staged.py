"""What was staged, remembered until it is seen what became of it.

libostree keeps what is staged in /run alone. A finalization that failed, or a shutdown that was
none, leaves the machine on what ran before without a word, so a record in /var says what was to
come. Another one says what is to come back after one boot (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from layer.frozen import dataclass
from layer.model import Deployment
from layer.records import read_record, write_record
from layer.status import Lost

SCHEMA = 1
_RECORD = "lib/layer/staged.json"
_RETURN = "lib/layer/return.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# libostree's own words on a finalization that failed, until ostree-boot-complete.service has
# put them into the journal.
_STAMP = "boot/ostree/finalize-failure.stamp"


@dataclass(frozen=True, slots=True)
class Staged:
    """A deployment that a record names, and during which boot it was written."""

    checksum: str
    serial: int
    boot: str


def remember(var: Path, deployment: Deployment) -> None:
    """Writes the record in one step."""
    _write(var / _RECORD, deployment)


def forget(var: Path) -> None:
    """Removes the record, if there is one."""
    with suppress(FileNotFoundError):
        (var / _RECORD).unlink()


def require_known(var: Path) -> None:
    """InvalidInput where a newer version has written one of the records."""
    for name in (_RECORD, _RETURN):
        _read(var / name)


def is_settled(var: Path, deployments: Sequence[Deployment]) -> bool:
    """Whether the record has done its duty: what it tells of has been finalized."""
    record = _read(var / _RECORD)
    return record is not None and any(_is(d, record) for d in deployments)


def find_lost(
    sysroot: Path, places: Sequence[Path], deployments: Sequence[Deployment]
) -> Lost | None:
    """What was staged in an earlier boot and is not there; whoever wrote it, if it has failed.

    `places` are the /var of all stateroots: one may stage for another.
    """
    reason = ""
    with suppress(OSError):
        reason = (sysroot / _STAMP).read_text(errors="replace").strip()
    for var in places:
        record = _read(var / _RECORD)
        if record is not None and record.boot != _boot() and not is_settled(var, deployments):
            return Lost(record.checksum, reason)
    return Lost("", reason) if reason else None


def promise_return(var: Path, back: Deployment) -> None:
    """Has the next boot make `back` the default again: what comes is tried for one boot."""
    _write(var / _RETURN, back)


def cancel_return(var: Path) -> None:
    """What comes stays."""
    with suppress(FileNotFoundError):
        (var / _RETURN).unlink()


def is_once(var: Path) -> bool:
    """Whether what is staged now is tried for one boot."""
    record = _read(var / _RETURN)
    return record is not None and record.boot == _boot()


def due_return(var: Path, deployments: Sequence[Deployment]) -> Deployment | None:
    """The deployment that is to be the default again, since another has had its boot."""
    record = _read(var / _RETURN)
    if record is None or record.boot == _boot():
        return None
    back = next((d for d in deployments if _is(d, record)), None)
    is_tried = bool(deployments) and deployments[0].is_booted and deployments[0] is not back
    return back if is_tried else None


def _is(deployment: Deployment, record: Staged) -> bool:
    names = (deployment.checksum, deployment.serial)
    return not deployment.is_staged and names == (record.checksum, record.serial)


def _write(path: Path, deployment: Deployment) -> None:
    values = {"checksum": deployment.checksum, "serial": deployment.serial, "boot": _boot()}
    write_record(path, SCHEMA, values)


def _read(path: Path) -> Staged | None:
    values = read_record(path, SCHEMA)
    match values:
        case {"checksum": str(checksum), "serial": int(serial), "boot": str(boot)}:
            return Staged(checksum, serial, boot)
    return None


def _boot() -> str:
    return _BOOT_ID.read_text().strip()
