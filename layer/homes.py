"""One /home for several stateroots: it stays where one of them has it.

/home is a link into /var, which each stateroot has of its own, and /sysroot is read-only. So what a
link names is mounted over /var/home at boot, by layer-home.service.
"""

from __future__ import annotations

from pathlib import Path

from layer.errors import NotFound

_LINK = "var/lib/layer/shared-home"


def require_owner(sysroot: Path, owner: str) -> None:
    """NotFound where there is no stateroot to share the /home of."""
    there = sorted(path.name for path in sysroot.glob("ostree/deploy/*"))
    if owner not in there:
        raise NotFound(
            f"there is no stateroot {owner} to share /home with "
            f"(there is: {', '.join(there) or 'none'})"
        )


def share_home(sysroot: Path, stateroot: str, owner: str) -> None:
    """Gives a stateroot the /home of `owner`, or the one that this has been given itself."""
    deploy = sysroot / "ostree/deploy"
    given = deploy / owner / _LINK
    target = (
        given.readlink() if given.is_symlink() else Path(f"/sysroot/ostree/deploy/{owner}/var/home")
    )
    for home in (deploy / owner / "var/home", deploy / stateroot / "var/home"):
        home.mkdir(mode=0o755, exist_ok=True)  # as systemd-tmpfiles would at boot
    link = deploy / stateroot / _LINK
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.symlink_to(target)
