"""The newer base that a check has found, remembered until it is deployed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from layer.cached_update import CachedUpdate, as_json, diff_of, parse
from layer.change import Change
from layer.host import Host
from layer.records import read_record, write_record
from layer.rpmfile.version import compare_versions
from layer.store.remote import read_signatures

SCHEMA = 2
_PATH = "lib/layer/cached-update.json"  # below /var


def remember(host: Host, change: Change) -> None:
    """Keeps what an upgrade would bring; a note where that cannot be written."""
    update = CachedUpdate(
        stateroot=host.stateroot,
        origin=str(change.after.base),
        checksum=change.base.checksum,
        version=str(change.base.metadata.get("version", "")),
        timestamp=change.base.timestamp,
        diff=diff_of(change, compare_versions),
        signatures=read_signatures(host.store, change.after.base.remote, change.base.checksum),
    )
    try:
        write_record(_file(host), SCHEMA, as_json(update))
    except OSError as error:
        host.reporter.note(f"the newer base cannot be remembered: {error}")


def read_update(host: Host) -> CachedUpdate | None:
    """The base that was found and is not what boots next; None for none."""
    pending, found = host.pending(), read_record(_file(host), SCHEMA)
    if pending is None or found is None:
        return None
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        update = parse(found)
        base = host.find_base(pending)
        is_other = base is None or update.checksum != base.checksum
        is_ours = update.origin == str(host.origin(pending).base)
        return update if is_other and is_ours else None
    return None


def _file(host: Host) -> Path:
    return host.sysroot.var(host.stateroot) / _PATH
