"""What a check has found to be newer, remembered until it is deployed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from layer.cached_update import CachedUpdate, as_json, diff_of, parse
from layer.change import Change
from layer.host import Host
from layer.records import read_cached, write_record
from layer.rpmfile.version import compare_versions
from layer.store.remote import read_signatures

SCHEMA = 3
_PATH = "lib/layer/cached-update.json"  # below /var


def remember(host: Host, change: Change) -> None:
    """Keeps what an upgrade would bring; a note where that cannot be written."""
    pending = host.pending()
    base = host.find_base(pending) if pending else None
    update = CachedUpdate(
        stateroot=host.stateroot,
        origin=str(change.after.base),
        checksum=change.base.checksum,
        version=str(change.base.metadata.get("version", "")),
        timestamp=change.base.timestamp,
        diff=diff_of(change, compare_versions),
        signatures=read_signatures(host.store, change.after.base.remote, change.base.checksum),
        has_new_base=base is None or base.checksum != change.base.checksum,
    )
    values = {**as_json(update), "deployment": pending.checksum if pending else ""}
    try:
        write_record(_file(host), SCHEMA, values)
    except OSError as error:
        host.reporter.note(f"what is newer cannot be remembered: {error}")


def read_update(host: Host) -> CachedUpdate | None:
    """What was found and is not what boots next; None for none.

    A newer base counts until it is deployed, newer layers until anything is.
    """
    pending, found = host.pending(), read_cached(_file(host), SCHEMA)
    if pending is None or found is None:
        return None
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        update = parse(found)
        if update.origin != str(host.origin(pending).base):
            return None
        base = host.find_base(pending)
        if base is None or update.checksum != base.checksum:
            return update if update.has_new_base else None
        is_same = found["deployment"] == pending.checksum
        return update if update.layers and is_same and not update.has_new_base else None
    return None


def _file(host: Host) -> Path:
    return host.sysroot.var(host.stateroot) / _PATH
