"""Units of a derived tree for what only the machine that boots it can do.

Once an admin has changed /etc/passwd, the merge of a new deployment keeps that
whole file, and accounts that the layers brought are not in it; the same holds
for /etc/ld.so.cache. So units add what is missing, before anything that might
need it. Another one runs what triggers leave to the boot.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from layer import ids
from layer.model import FileAttributes, LeftToBoot, Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text, write_text
from layer.store.trees import TreeEditor, lookup

_UNITS = "usr/lib/systemd/system"
_MANAGER = "usr/lib/systemd/systemd"
_CACHE = "usr/etc/ld.so.cache"
_PROGRAM_FOLDERS = ("usr/bin", "usr/sbin")

_ACCOUNTS = """\
[Unit]
Description=Add the accounts of layered packages to /etc
Documentation=man:layer(1) man:systemd-sysusers(8)
DefaultDependencies=no
Conflicts=shutdown.target
# Not after local-fs.target: systemd-tmpfiles-setup-dev.service comes before that, and after
# systemd-sysusers.service, so one of them would be left out to break the cycle.
After=systemd-remount-fs.service
Before=sysinit.target systemd-sysusers.service systemd-tmpfiles-setup-dev.service
Before=systemd-tmpfiles-setup.service shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
# A gshadow or shadow that the admin did not edit has entries for accounts that an
# edited group or passwd lacks; systemd-sysusers would stop at these.
ExecStartPre=/bin/sh -c "for name in {names}; do \\
  grep -q ^$$name: /etc/group || sed -i /^$$name:/d /etc/gshadow; \\
  grep -q ^$$name: /etc/passwd || sed -i /^$$name:/d /etc/shadow; done"
ExecStart=/{program}
"""

_LIBRARIES = """\
[Unit]
Description=Bring /etc/ld.so.cache up to date with layered libraries
Documentation=man:layer(1) man:ldconfig(8)
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target
Before=sysinit.target shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecCondition=/bin/sh -c "! cmp -s /usr/etc/ld.so.cache /etc/ld.so.cache"
ExecStart=/{program} -X
"""


_TRIGGERS = """\
[Unit]
Description=Run what layered packages leave to the boot
Documentation=man:layer(1)
# Nothing waits for it.
After=multi-user.target

[Service]
Type=oneshot
Nice=19
IOSchedulingClass=idle
StateDirectory=layer
# Once, until other packages leave something else.
ExecCondition=/bin/sh -c "! grep -qsx {key} /var/lib/layer/boot-triggers"
{commands}
ExecStartPost=/bin/sh -c "echo {key} >/var/lib/layer/boot-triggers"
"""
_GRACE = 10  # seconds between a command's time and its end by force
# Units of systemd's own do it at every boot.
_DONE_BY_SYSTEMD = {"tmpfiles": "systemd-tmpfiles-setup.service"}


def add_boot_units(
    store: ObjectStore, base: Tree, tree: Tree, left: Sequence[LeftToBoot] = ()
) -> tuple[Tree, tuple[str, ...]]:
    """The tree with the units that its difference from the base needs, and the paths written.

    `left` is what triggers leave to the boot.
    """
    units = {}
    names = sorted(_accounts(store, tree) - _accounts(store, base))
    if names:
        units["layer-accounts.service"] = (_ACCOUNTS, "systemd-sysusers")
    cache = lookup(store, tree, _CACHE)
    if cache is not None and cache != lookup(store, base, _CACHE):
        units["layer-libraries.service"] = (_LIBRARIES, "ldconfig")
    left = [item for item in left if item.trigger not in _DONE_BY_SYSTEMD]
    if not (units or left) or lookup(store, tree, _MANAGER) is None:
        return tree, ()
    texts, links = {}, {}
    for name, (text, program) in units.items():
        path = _find(store, tree, program)
        if path is not None:
            texts[f"{_UNITS}/{name}"] = text.format(program=path, names=" ".join(names))
            links[f"{_UNITS}/sysinit.target.wants/{name}"] = f"../{name}"
    if left:
        name = "layer-triggers.service"
        texts[f"{_UNITS}/{name}"] = _triggers(left, _find(store, tree, "timeout"))
        links[f"{_UNITS}/multi-user.target.wants/{name}"] = f"../{name}"
    editor = TreeEditor(store, write_text(store, tree, texts))
    for path, target in links.items():
        editor.put_file(path, store.write_file(FileAttributes(mode=0o120777, target=target)))
    return editor.write(), (*sorted(texts), *sorted(links))


def _triggers(left: Sequence[LeftToBoot], guard: str | None) -> str:
    """The unit; `guard` is timeout(1), without which only the machine's patience ends a command."""
    lines = []
    for item in left:
        # Not TimeoutStartSec=: what may fail would then take the others with it.
        bounded = (f"/{guard}", "-k", str(_GRACE), str(item.timeout)) if guard else ()
        for command in item.commands:
            words = " ".join(map(_quoted, (*bounded, *command)))
            lines.append(f"ExecStart={'-' if item.may_fail else ''}{words}")
    key = sha256("\n".join([*(item.key for item in left), *lines]).encode()).hexdigest()
    return _TRIGGERS.format(key=key, commands="\n".join(lines))


def _quoted(word: str) -> str:
    """A word of a command line in a unit, systemd.service(5)."""
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$"), ("\n", "\\n")):
        word = word.replace(old, new)
    return f'"{word}"'


def _accounts(store: ObjectStore, tree: Tree) -> set[str]:
    text = read_text(store, tree, ids.IDS_PATH)
    return {line.name for line in ids.parse_sysusers(text, f"/{ids.IDS_PATH}")}


def _find(store: ObjectStore, tree: Tree, program: str) -> str | None:
    """Where the tree has a program."""
    paths = (f"{folder}/{program}" for folder in _PROGRAM_FOLDERS)
    return next((path for path in paths if lookup(store, tree, path) is not None), None)
