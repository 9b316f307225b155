"""Units for the boot of a machine whose own /etc was edited.

Once an admin has changed /etc/passwd, the merge of a new deployment keeps that
whole file, and accounts that the layers brought are not in it; the same holds
for /etc/ld.so.cache. So a derived tree carries units that add what is missing,
before anything that might need it.
"""

from __future__ import annotations

from layer import ids
from layer.model import FileAttributes, Tree
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
After=local-fs.target
Before=sysinit.target systemd-sysusers.service systemd-tmpfiles-setup.service shutdown.target

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


def add_boot_units(store: ObjectStore, base: Tree, tree: Tree) -> tuple[Tree, tuple[str, ...]]:
    """The tree with the units that its difference from the base needs, and the paths written."""
    units = {}
    names = sorted(_accounts(store, tree) - _accounts(store, base))
    if names:
        units["layer-accounts.service"] = (_ACCOUNTS, "systemd-sysusers")
    cache = lookup(store, tree, _CACHE)
    if cache is not None and cache != lookup(store, base, _CACHE):
        units["layer-libraries.service"] = (_LIBRARIES, "ldconfig")
    if not units or lookup(store, tree, _MANAGER) is None:
        return tree, ()
    texts, links = {}, {}
    for name, (text, program) in units.items():
        path = _find(store, tree, program)
        if path is not None:
            texts[f"{_UNITS}/{name}"] = text.format(program=path, names=" ".join(names))
            links[f"{_UNITS}/sysinit.target.wants/{name}"] = f"../{name}"
    editor = TreeEditor(store, write_text(store, tree, texts))
    for path, target in links.items():
        editor.put_file(path, store.write_file(FileAttributes(mode=0o120777, target=target)))
    return editor.write(), (*sorted(texts), *sorted(links))


def _accounts(store: ObjectStore, tree: Tree) -> set[str]:
    text = read_text(store, tree, ids.IDS_PATH)
    return {line.name for line in ids.parse_sysusers(text, f"/{ids.IDS_PATH}")}


def _find(store: ObjectStore, tree: Tree, program: str) -> str | None:
    """Where the tree has a program."""
    paths = (f"{folder}/{program}" for folder in _PROGRAM_FOLDERS)
    return next((path for path in paths if lookup(store, tree, path) is not None), None)
