"""What the machine sees at /usr: the boot's own, or a checkout that was mounted over it.

The boot's own mount stays where it is, and what is live lies over it; so taking that away brings
back what was, to the mount. A checkout is its own, as a deployment may be dropped or replaced
while programs run from it.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from layer import live_record, mounts
from layer.errors import LayerError
from layer.processes import identity, uppermost
from layer.store.objects import OstreeStore

FOLDER = live_record.CHECKOUTS
MACHINE = 1  # the process whose view is the machine's
_USR = "/usr"
_COVERED, _UNCOVER = "/usr is covered by another tool's mount", "unmount it, or reboot"


def checkouts(sysroot: Path) -> tuple[str, ...]:
    """The names of what is checked out for a live change, sorted."""
    folder = sysroot / FOLDER
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()


def seen_checkout(sysroot: Path) -> str:
    """The name of the checkout that is seen at /usr, "" where it is not one of ours.

    Who is not root is told by their own view.
    """
    try:
        usr = identity(f"/proc/{MACHINE}/root{_USR}")
    except PermissionError:
        usr = identity(_USR)
    for name in checkouts(sysroot):
        with suppress(OSError):
            if identity(sysroot / FOLDER / name / "usr") == usr:
                return name
    return ""


def hidden_checkouts() -> tuple[str, ...]:
    """The names of our checkouts that are mounted at /usr, seen or not."""
    return tuple(name for mount in mounts.read_mounts(MACHINE) if (name := _checkout_of(mount)))


def require_plain_usr(sysroot: Path, booted: Path) -> None:
    """LayerError where /usr is covered by another tool's mount, or has mounts of others in it.

    `booted` is the deployment whose /usr is seen where nothing is live.
    """
    present = mounts.read_mounts(MACHINE)
    inside = sorted({mount.point for mount in present if mount.point.startswith(f"{_USR}/")})
    if inside:
        raise LayerError(
            f"there are mounts in /usr: {', '.join(inside)}; they would be covered",
            "unmount them, or reboot",
        )
    top = uppermost(present)
    if top is not None and top.point == _USR and top.kind == "overlay":
        raise LayerError(
            "/usr is covered by an overlay, as `layer usroverlay` and systemd-sysext make it",
            "take it away (systemd-sysext unmerge), or reboot",
        )
    is_booted = identity(f"/proc/{MACHINE}/root{_USR}") == identity(booted / "usr")
    if seen_checkout(sysroot) == "" and (any(map(_checkout_of, present)) or not is_booted):
        raise LayerError(_COVERED, _UNCOVER)


def check_out(store: OstreeStore, sysroot: Path, commit: str) -> str:
    """Makes a checkout of a commit; returns its name."""
    folder = sysroot / FOLDER
    live_record.mark_checkouts()
    folder.mkdir(mode=0o755, exist_ok=True)
    there = checkouts(sysroot)
    number = next(n for n in range(len(there) + 1) if f"{commit}-{n}" not in there)
    name = f"{commit}-{number}"
    store.check_out(commit, folder / name)
    return name


def show(sysroot: Path, name: str) -> float:
    """Makes a checkout be what the machine sees at /usr, in one step; returns its seconds.

    What was live before is unmounted as soon as the new one is below it; where the kernel
    cannot do that, the new one covers it.
    """
    covers = bool(seen_checkout(sysroot))
    with mounts.read_only_clone(sysroot / FOLDER / name / "usr") as clone:
        can_replace = covers and mounts.has_beneath()
        with mounts.in_namespace_of(MACHINE):
            begun = time.perf_counter()
            if not (can_replace and mounts.put_in_place(clone, _USR)):
                mounts.put_on_top(clone, _USR)
            return time.perf_counter() - begun


def uncover(name: str = "") -> float:
    """Takes away what covers a checkout, or without a name the boot's own /usr; its seconds.

    LayerError, and nothing done, where another tool's mount is over them.
    """
    if hidden_checkouts() and not _stack():
        raise LayerError(_COVERED, _UNCOVER)
    above = []
    for hidden in _stack()[::-1]:
        if name and hidden == name:
            break
        above.append(hidden)
    with mounts.in_namespace_of(MACHINE):
        begun = time.perf_counter()
        for _ in above:
            mounts.detach(_USR)
        return time.perf_counter() - begun


def remove_checkouts(sysroot: Path, *names: str) -> None:
    """Removes checkouts of these names, which nothing shows, or all; those that are gone count."""
    for name in names or checkouts(sysroot):
        with suppress(FileNotFoundError):
            shutil.rmtree(sysroot / FOLDER / name)
    with suppress(OSError):
        (sysroot / FOLDER).rmdir()


def _stack() -> tuple[str, ...]:
    """Our checkouts at /usr, the lowest first."""
    present = mounts.read_mounts(MACHINE)
    by_number = {mount.number: mount for mount in present}
    found = []
    at: mounts.Mount | None = uppermost(present)
    while at is not None and at.point == _USR:
        name = _checkout_of(at)
        if not name:
            break
        found.append(name)
        at = by_number.get(at.parent)
    return tuple(found[::-1])


def _checkout_of(mount: mounts.Mount) -> str:
    _, found, rest = mount.root.partition(f"/{FOLDER}/")
    return rest.partition("/")[0] if found and mount.point == _USR else ""
