"""The journal of live changes on disk: written before each step, so that the next call can tell."""

from __future__ import annotations

from pathlib import Path

from layer.durable import sync_directory
from layer.errors import InvalidInput
from layer.live.record import SCHEMA, Journal, as_values, parse_journal
from layer.records import read_record, write_record

RECORD = "lib/layer/live.json"
BACKUPS = "lib/layer/live"  # a directory with what was in the place of replaced files
REF = "layer/live"  # and the commit: what is live is in the store as long as it is
CHECKOUTS = "ostree/layer-live"  # of the sysroot, where libostree leaves it alone
# There while a checkout of this boot may be; what it is not there for is of an earlier one.
_MARK = Path("/run/layer-live")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read(var: Path) -> Journal | None:
    """What is live or under way, in this boot or an earlier one; None for nothing.

    InvalidInput where a newer version wrote it, or it is damaged.
    """
    path = var / RECORD
    values = read_record(path, SCHEMA)
    if values is not None:
        return parse_journal(values)
    if path.exists():
        raise InvalidInput(
            f"{path} is damaged: what is live cannot be told",
            "reboot, which ends all that was live, and remove the file",
        )
    return None


def write(var: Path, journal: Journal) -> None:
    """Makes it durable."""
    write_record(var / RECORD, SCHEMA, as_values(journal))


def forget(var: Path) -> None:
    """Nothing is live any more."""
    (var / RECORD).unlink(missing_ok=True)
    sync_directory((var / RECORD).parent)
    drop_backups(var)


def drop_backups(var: Path) -> None:
    """Removes the copies of what was replaced, which no record needs."""
    folder = var / BACKUPS
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def boot() -> str:
    """What tells this boot from others."""
    return _BOOT_ID.read_text().strip()


def mark_checkouts() -> None:
    """Says that programs may run from the checkouts, until the next boot."""
    _MARK.touch()


def has_stale_checkouts(sysroot: Path) -> bool:
    """Whether there are checkouts, and all are of an earlier boot."""
    return (sysroot / CHECKOUTS).exists() and not _MARK.exists()


def refs(var: Path) -> frozenset[str]:
    """The refs of what is live, which no clean-up may take."""
    journal = read(var)
    states = (journal.wanted, journal.before) if journal else ()
    return frozenset(f"{REF}/{state.commit}" for state in states if state)
