"""What a base has before any package: the layout of an OSTree system, and what a treefile says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from layer.model import DirectoryAttributes, FileAttributes, Tree
from layer.store.contract import ObjectStore
from layer.store.files import write_text
from layer.store.trees import TreeEditor, empty_tree
from layer.treefile import Treefile

OS_RELEASE = "usr/lib/os-release"
_USERS = "usr/lib/sysusers.d/10-layer-users.conf"
_KARGS = "usr/lib/bootc/kargs.d/10-layer.toml"
_LAYOUT = "usr/lib/tmpfiles.d/00-ostree-layout.conf"
# Else rpm, which has its database in /var or /usr/lib/sysimage by default, finds no package.
_MACROS = "usr/lib/rpm/macros.d/macros.layer"
_DATABASE = "%_dbpath /usr/share/rpm\n"

# The top level of every OSTree system: what is not /usr is empty or leads into /var.
_DIRECTORIES = {
    "boot": 0o755,
    "dev": 0o755,
    "proc": 0o755,
    "run": 0o755,
    "sys": 0o755,
    "sysroot": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/etc": 0o755,
    "usr/lib": 0o755,
    "usr/lib64": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
}
_LINKS = {
    "bin": "usr/bin",
    "home": "var/home",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "media": "run/media",
    "mnt": "var/mnt",
    "opt": "var/opt",
    "ostree": "sysroot/ostree",
    "root": "var/roothome",
    "sbin": "usr/sbin",
    "srv": "var/srv",
    "usr/local": "../var/usrlocal",
}
_TMPFILES = """\
# Directories of /var that the links at the top level lead to.
d /var/home 0755 root root -
d /var/opt 0755 root root -
d /var/srv 0755 root root -
d /var/mnt 0755 root root -
d /var/roothome 0700 root root -
d /var/usrlocal 0755 root root -
d /var/lib 0755 root root -
d /var/log 0755 root root -
d /var/cache 0755 root root -
d /var/spool 0755 root root -
d /run/media 0755 root root -
"""


def skeleton(store: ObjectStore, treefile: Treefile) -> Tree:
    """The tree that packages are merged into: top level, layout, users, kernel arguments."""
    editor = TreeEditor(store, empty_tree(store))
    for path, mode in _DIRECTORIES.items():
        attributes = DirectoryAttributes(mode=0o040000 | mode)
        editor.put_directory(path, store.write_directory_attributes(attributes))
    links = dict(_LINKS)
    if treefile.default_target:
        target = f"/usr/lib/systemd/system/{treefile.default_target}"
        links["usr/etc/systemd/system/default.target"] = target
    for path, target in links.items():
        attributes_ = FileAttributes(mode=0o120777, target=target)
        editor.put_file(path, store.write_file(attributes_))
    texts = {_LAYOUT: _TMPFILES, _MACROS: _DATABASE}
    if treefile.users:
        texts[_USERS] = "".join(_user_lines(treefile))
    if treefile.kernel and treefile.kernel.arguments:
        texts[_KARGS] = f"kargs = {json.dumps(list(treefile.kernel.arguments))}\n"
    return write_text(store, editor.write(), texts)


def own_paths(treefile: Treefile) -> list[str]:
    """The files of the skeleton: what layer itself writes into every base."""
    paths = [*_LINKS, _LAYOUT, _MACROS]
    if treefile.default_target:
        paths.append("usr/etc/systemd/system/default.target")
    if treefile.users:
        paths.append(_USERS)
    if treefile.kernel and treefile.kernel.arguments:
        paths.append(_KARGS)
    return paths


def with_version_id(text: str, number: int) -> str:
    """os-release with VERSION_ID set, wherever it stood, else at the end (os-release(5))."""
    line = f"VERSION_ID={number}"
    changed, count = re.subn(r"(?m)^VERSION_ID=.*$", line, text)
    return changed if count else f"{text.rstrip()}\n{line}\n".lstrip()


def _user_lines(treefile: Treefile) -> Iterator[str]:
    for user in sorted(treefile.users, key=lambda u: u.name):
        yield f"g {user.name} {user.id}\n"
        yield f'u {user.name} {user.id} "{user.comment}" {user.home} {user.shell}\n'
