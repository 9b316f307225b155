"""Keeping the history of a stateroot: beside the boot entries, and never in their way."""

from __future__ import annotations

import os
import pwd
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from layer.change import Change
from layer.history import PATH, BaseVersion, Entry, format_entry, parse_entries, with_boots
from layer.host import Host
from layer.model import Commit, Deployment
from layer.origin import Origin
from layer.rpmfile.version import compare_versions

_LARGEST = 4 << 20  # bytes; beyond, the older half goes


def record_change(host: Host, change: Change, deployed: Deployment) -> None:
    """Notes a change that is made; where that cannot be written a note says so, and no more."""
    before = set(change.before.requests) if change.before else set()
    after = set(change.after.requests)
    known = {p.nevra for p in change.previous.packages}
    moved = [(old, new, compare_versions(old, new)) for old, new in change.moved]
    _append(
        host,
        replace(
            _entry(host, deployed),
            base=_base(change.after, change.base),
            previous_base=_base(change.before, change.previous_base),
            requested=tuple(sorted(r.text for r in after - before)),
            dropped=tuple(sorted(r.text for r in before - after)),
            left_out=tuple(text for text, _ in change.after.left_out),
            added=tuple(str(nevra) for nevra in change.added if nevra not in known),
            removed=tuple(str(nevra) for nevra in change.removed),
            upgraded=tuple((str(old), str(new)) for old, new, order in moved if order < 0),
            downgraded=tuple((str(old), str(new)) for old, new, order in moved if order > 0),
            rebuilt=tuple(str(new) for _, new, order in moved if order == 0),
        ),
    )


def record_order(host: Host, deployed: Deployment) -> None:
    """Notes that another deployment boots next."""
    _append(host, _entry(host, deployed))


def read_history(host: Host) -> tuple[tuple[Entry, ...], int]:
    """The entries of the stateroot, the oldest first, and how many lines cannot be read here."""
    try:
        lines = _file(host).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return (), 0
    entries, unread = parse_entries(lines)
    booted = [d.checksum for d in host.sysroot.deployments() if d.is_booted]
    return with_boots(entries, booted), unread


def _entry(host: Host, deployed: Deployment) -> Entry:
    """Who did it and when, and what it made."""
    return Entry(
        time=int(time.time()),
        stateroot=deployed.stateroot,
        checksum=deployed.checksum,
        command=host.options.command,
        user=_user(),
        # What rpm-ostree's clients call themselves, such as update agents.
        agent=os.environ.get("RPMOSTREE_CLIENT_ID", ""),
        running=next((d.checksum for d in host.sysroot.deployments() if d.is_booted), ""),
    )


def _user() -> str:
    """Who logged in, whatever they have become since; else who we are."""
    with suppress(OSError, ValueError, KeyError):
        number = int(Path("/proc/self/loginuid").read_text())
        if number != 0xFFFFFFFF:  # of who never logged in, such as a service
            return pwd.getpwuid(number).pw_name
    if name := os.environ.get("SUDO_USER"):
        return name
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _base(origin: Origin | None, commit: Commit | None) -> BaseVersion | None:
    if origin is None or commit is None:
        return None
    version = str(commit.metadata.get("version", ""))
    return BaseVersion(str(origin.base), commit.checksum, version)


def _append(host: Host, entry: Entry) -> None:
    file = _file(host)
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _shorten(file)
        with file.open("ab") as out:
            # A line that was cut short by a crash stays one line.
            out.write((b"" if _is_whole(file) else b"\n") + format_entry(entry).encode())
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        host.reporter.note(f"the history cannot be written: {error}")


def _is_whole(file: Path) -> bool:
    with file.open("rb") as reader:
        size = reader.seek(0, os.SEEK_END)
        reader.seek(max(0, size - 1))
        return size == 0 or reader.read(1) == b"\n"


def _shorten(file: Path) -> None:
    """Of a file that is too large only the newer half stays."""
    if not file.exists() or file.stat().st_size <= _LARGEST:
        return
    lines = file.read_bytes().splitlines(keepends=True)
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(b"".join(lines[len(lines) // 2 :]))
    new.replace(file)


def _file(host: Host) -> Path:
    return host.sysroot.var(host.stateroot) / PATH
