"""The incremental tree is the one that a full checkout, union and recommit gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from layer.host import Host
from layer.importer import find_package
from layer.lock import read_lock, read_record
from layer.model import Commit
from layer.pipeline import TRIGGER_EPOCH
from layer.store.trees import lookup
from layer.triggers.format import parse_trigger
from layer.triggers.order import in_order
from tests.databases import write_database
from tests.world import Machine, ostree

# Removes a file of the base, as a trigger may that replaces one thing by another.
REMOVING = """\
schema = 1
name = "removing"
description = "Takes a file of the base away when a daemon comes."
[match]
include = ["usr/bin/daemon"]
[run]
exec = ["/usr/bin/rm", "/usr/lib/libtiny.so.1"]
[io]
writes = ["usr/lib/libtiny.so.1"]
"""


def test_tree_equals_that_of_checkout_union_and_recommit(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = machine.triggers()
    all_triggers = in_order([*shipped, parse_trigger(REMOVING, "removing.toml")])
    monkeypatch.setattr(Host, "triggers", lambda _self, _tree: all_triggers)
    deployment = machine.install("apple", "daemon", "suid", "web")
    host = machine.host()
    derived = host.store.read_commit(deployment.checksum)
    ran = {run.name for run in read_record(derived).runs if run.status == "done"}
    assert {"ldconfig", "sysusers", "removing"} <= ran

    full = tmp_path / "full"
    classic(host, derived, full)
    ostree(f"--repo={host.store.path}", "commit", "-b", "classic", f"--tree=dir={full}")
    recommitted = host.store.read_commit(host.store.find_commit("classic") or "")
    if recommitted.root != derived.root:
        refs = ("classic", deployment.checksum)
        pytest.fail(ostree(f"--repo={host.store.path}", "diff", *refs))


def classic(host: Host, derived: Commit, full: Path) -> None:
    """The same tree by the ostree program, chown, the tools themselves, and rpm."""
    repo = f"--repo={host.store.path}"
    base = host.base_commit(host.require_pending())
    ostree(repo, "checkout", "--force-copy", base.checksum, str(full))
    packages = [find_package(host.store, p.checksum) for p in read_lock(derived).packages]
    for package in packages:
        assert package is not None
        ostree(repo, "checkout", "--force-copy", "--union", package.commit, str(full))
    # The numbers of accounts are layer's own decision; it stands in a file of the tree.
    ids = "usr/lib/sysusers.d/00-layer-ids.conf"
    (full / ids).write_bytes((host.require_pending().path / ids).read_bytes())
    in_tree(full, TRIGGER_EPOCH, "/usr/bin/systemd-sysusers")
    for name in ("passwd-", "group-", "shadow-", "gshadow-", ".pwd.lock"):
        (full / "usr/etc" / name).unlink(missing_ok=True)
    for package in packages:
        assert package is not None
        for owner in package.owners:
            chown(full, full / owner.path, owner.user, owner.group)
    in_tree(full, TRIGGER_EPOCH, "/usr/sbin/ldconfig", "-X")
    in_tree(full, TRIGGER_EPOCH, "/usr/bin/rm", "/usr/lib/libtiny.so.1")
    database = full / "usr/share/rpm"
    shutil.move(database, full.with_name("rpmdb"))
    database.mkdir(mode=0o755)
    names = [f"{p.nevra}.rpm" for p in packages if p is not None]
    blobs = [(full / "usr/lib/sysimage/packages" / name).read_bytes() for name in names]
    write_database(full.with_name("rpmdb"), database, blobs, timestamp=base.timestamp)
    shutil.rmtree(full.with_name("rpmdb"))


def in_tree(full: Path, epoch: int, *words: str) -> None:
    """A command in the checkout itself, with the environment of the sandbox."""
    places = [("usr", "/usr"), ("usr/etc", "/etc")]
    binds = [word for here, there in places for word in ("--bind", str(full / here), there)]
    links = [
        word
        for name in ("bin", "sbin", "lib", "lib64")
        for word in ("--symlink", f"usr/{name}", f"/{name}")
    ]
    tmp = ["--tmpfs", "/var", "--dir", "/var/cache", "--tmpfs", "/tmp", "--dev", "/dev"]
    environment = [
        "--clearenv",
        "--setenv",
        "SOURCE_DATE_EPOCH",
        str(epoch),
        "--setenv",
        "LC_ALL",
        "C",
    ]
    command = ["bwrap", *binds, *links, *tmp, *environment, "--", *words]
    subprocess.run(command, check=True, capture_output=True, umask=0o022)


def chown(full: Path, path: Path, user: str, group: str) -> None:
    """By the tree's own names; chown takes setuid bits away, so the mode is set again."""
    mode = path.lstat().st_mode & 0o7777
    os.chown(
        path, number(full, "passwd", user), number(full, "group", group), follow_symlinks=False
    )
    if not path.is_symlink():
        path.chmod(mode)


def number(full: Path, database: str, name: str) -> int:
    """The id of a name in the tree's passwd or group."""
    lines = (full / "usr/etc" / database).read_text().splitlines()
    return next(
        int(fields[2]) for fields in (line.split(":") for line in lines) if fields[0] == name
    )


def test_every_file_without_a_package_has_a_writer(machine: Machine) -> None:
    """What no package brought is in the record, and nothing else is."""
    deployment = machine.install("apple", "daemon")
    host = machine.host()
    derived = host.store.read_commit(deployment.checksum)
    base = host.base_commit(deployment)
    repo = f"--repo={host.store.path}"
    changed = ostree(repo, "diff", base.checksum, derived.checksum).splitlines()
    paths = {line.split()[1].removeprefix("/") for line in changed}
    ours = set()
    for locked in read_lock(derived).packages:
        package = find_package(host.store, locked.checksum)
        assert package is not None
        ours |= {path for path in paths if lookup(host.store, package.root, path) is not None}
    written = dict(json.loads(str(derived.metadata["layer.written"])))
    directories = {path for path in paths if (deployment.path / path).is_dir()}
    assert paths - ours - directories == set(written)
    assert written["usr/share/rpm/rpmdb.sqlite"] == "layer"
    assert written["usr/etc/ld.so.cache"] == "ldconfig"
    assert written["usr/etc/passwd"] == "sysusers"
