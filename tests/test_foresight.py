"""What a plan says will fire is what fires."""

from __future__ import annotations

from pathlib import Path

import pytest

from layer.foresight import audits_of, firings, placements_of, will_fire
from layer.model import Commit, FileAttributes, TreeDiff
from layer.rpmfile.header import read_header
from layer.running import jobs_in
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree
from layer.trigger_set import packaged_triggers
from layer.triggers.match import fires
from testdata.distro.rpmspec import FileSpec, RpmSpec, Scriptlet
from testdata.distro.rpmwriter import write_rpm

PAGE = "usr/share/man/man1/x.1"
MODULE = "usr/lib/modules/6.1/extra/x.ko"


@pytest.fixture
def store(tmp_path: Path) -> OstreeStore:
    return OstreeStore.create(tmp_path / "repo")


def commit_of(store: OstreeStore, *paths: str) -> Commit:
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for path in paths:
            editor.put_file(path, store.write_file(FileAttributes(mode=0o100755), [b"x"]))
        checksum = store.write_commit(
            editor.write(), parent=None, timestamp=0, subject="", metadata={}
        )
    return store.read_commit(checksum)


@pytest.mark.parametrize(
    ("base", "brought", "gone", "fired"),
    [
        ((), (PAGE,), (), ()),
        (("usr/bin/mandb",), (PAGE,), (), ("mandb",)),
        ((), (PAGE, "usr/bin/mandb"), (), ("mandb",)),
        (("usr/bin/mandb",), (PAGE,), ("usr/bin/mandb",), ()),
        ((), (MODULE,), (), ("depmod",)),
        ((MODULE,), (), (MODULE,), ()),
        ((MODULE, "usr/lib/modules/6.1/y.ko"), (), (MODULE,), ("depmod",)),
    ],
)
def test_a_trigger_whose_condition_fails_is_not_foretold(
    store: OstreeStore,
    tmp_path: Path,
    base: tuple[str, ...],
    brought: tuple[str, ...],
    gone: tuple[str, ...],
    fired: tuple[str, ...],
) -> None:
    triggers = [t for t in packaged_triggers() if t.name in ("mandb", "depmod")]
    before = commit_of(store, *base)
    files = tuple(FileSpec(f"/{path}") for path in brought)
    headers = [read_header(write_rpm(RpmSpec("new", files=files), tmp_path))]
    placements = placements_of(headers, documentation=True)
    found = firings(store, before, headers, placements, triggers, gone=gone)
    assert tuple(trigger.name for trigger, _ in found) == fired

    after = commit_of(store, *(({*base} - {*gone}) | {*brought}))
    difference = TreeDiff(added=brought, changed=(), removed=gone)
    ran = [t.name for t in triggers if jobs_in(store, after.root, t, fires(t, difference))]
    assert tuple(ran) == fired


def test_what_is_declared_for_scriptlets_fires_triggers(store: OstreeStore, tmp_path: Path) -> None:
    triggers = [t for t in packaged_triggers() if t.name in ("sysusers", "tmpfiles", "preset")]
    before = commit_of(store, "usr/bin/systemd-sysusers", "usr/bin/systemd-tmpfiles")
    script = Scriptlet("post", "mkdir -p /var/lib/new\nuseradd -r new\n")
    spec = RpmSpec("new", files=(FileSpec("/usr/bin/new"),), scriptlets=(script,))
    headers = [read_header(write_rpm(spec, tmp_path))]
    placements = placements_of(headers, documentation=True)
    audits = audits_of(headers, triggers)
    fired = {
        is_asked: will_fire(
            store, before, headers, placements, triggers, audits=audits if is_asked else ()
        )
        for is_asked in (False, True)
    }
    assert fired == {False: (), True: ("sysusers", "tmpfiles")}
