"""Keeps a service, which has mounts of its own, on the /usr that it sees now."""

from __future__ import annotations

import re
from pathlib import Path

from layer import mounts
from layer.errors import InvalidInput, LayerError, NotFound
from layer.host import require_root
from layer.live.plan import Process
from layer.live_services import tell
from layer.live_view import MACHINE
from layer.processes import follows, scan
from layer.words import is_number

_USR = "/usr"
_UNIT = re.compile(r"[\w@:.\\-]+\.service", re.ASCII)
_SUCH_AS = "a service is named as httpd.service is"
_DROP_IN = "50-layer-pin.conf"
# What starts and ends has no process to pin, and $MAINPID is not there: the shell looks for it.
_TEXT = """\
# Written by `layer apply-live --pin-always`: what is live is not for this service; remove the file
# and `systemctl daemon-reload` to have it follow again.
[Service]
PrivateMounts=yes
ExecStartPost=+sh -c "test -z \\"$MAINPID\\" || nsenter --target $MAINPID --mount -- \\
  sh -c 'mount --bind /usr /usr && mount --make-private /usr'"
"""


def pin(word: str) -> tuple[Process, ...]:
    """Has a process, or all of a service, keep the /usr that it sees; returns whom that concerns.

    All that is mounted elsewhere is seen as before. LayerError where it has no mounts of its own.
    """
    require_root()
    if not is_number(word) and not _UNIT.fullmatch(word):
        raise InvalidInput(f"neither a process nor a service: {word!r}", _SUCH_AS)
    ours = mounts.namespace_of(MACHINE)
    found = [one for one in scan() if word in (str(one.process.pid), one.process.unit)]
    if not found:
        raise NotFound(
            f"there is no process or running service {word}",
            "`systemctl status` lists them; what does not run sees the new /usr at its start",
        )
    namespaces = {one.process.pid: mounts.namespace_of(one.process.pid) for one in found}
    shared = [str(one.process) for one in found if namespaces[one.process.pid] == ours]
    if shared:
        raise LayerError(
            f"{', '.join(shared)}: no mounts of its own, so that it sees what the machine sees",
            "a service gets some when it starts: layer apply-live --pin-always UNIT",
        )
    done = set()
    for one in found:
        namespace = namespaces[one.process.pid]
        if namespace not in done and follows(one.process.pid, ours):
            with mounts.in_namespace_of(one.process.pid):
                # Over itself, so that what is put below that later stays hidden, too.
                mounts.bind(_USR, _USR)
                mounts.make_private(_USR)
        done.add(namespace)
    return tuple(one.process for one in found)


def pin_always(unit: str) -> Path:
    """Writes a drop-in by which a service is pinned whenever it starts; returns its path."""
    require_root()
    if not _UNIT.fullmatch(unit):
        raise InvalidInput(f"not the name of a service: {unit}", _SUCH_AS)
    folder = Path("/etc/systemd/system", f"{unit}.d")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _DROP_IN
    path.write_text(_TEXT)
    _, failed = tell({"daemon-reload"})
    if failed:
        raise LayerError(f"{path} is written, but {failed[0]}", "systemctl daemon-reload")
    return path
