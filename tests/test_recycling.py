"""Deployments whose tree is a recycled one are those that libostree's checkout would make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from layer.errors import StoreError
from layer.model import Deployment, DirectoryAttributes, FileAttributes, Recycling, Tree
from layer.store.recast import find_fault
from layer.store.remains import sweep_sysroot
from layer.store.trees import TreeEditor
from tests.recycling import Small, described, die_in_deployment, edit_etc
from tests.world import ostree, remove

FRESH, RECYCLED = Recycling.NEVER, Recycling.SAMPLED
# A longer search by hand: RECYCLING_EXAMPLES=500 pytest tests/test_recycling.py
EXAMPLES = int(os.environ.get("RECYCLING_EXAMPLES", "12"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A sysroot on which a base is deployed, and another spare checkout of it is."""
    made = Small(tmp_path / "sysroot")
    made.deploy(made.base(), FRESH)
    made.clean_up()
    yield made
    remove([made.path])


def pending(small: Small) -> Deployment:
    """What boots next."""
    return small.sysroot().deployments()[0]


def top(tree: Path) -> int:
    """By what a tree is known again, wherever it was moved."""
    return (tree / "usr").stat().st_ino


def spare(small: Small) -> Path:
    """The checkout that was put aside."""
    (name,) = small.spares()
    return small.path / "ostree/layer/spare" / name


def left_over(small: Small) -> Path:
    """Drops a deployment, whose tree stays until the next clean-up, in place of the spare."""
    commit = small.changed(pending(small).checksum, Random(0))
    dropped = small.deploy(commit, FRESH, behind=(-1,))
    small.deploy(pending(small).checksum, FRESH, behind=(-1,))
    shutil.rmtree(spare(small))
    return dropped.path


Outcome = tuple[dict[str, tuple[object, ...]], str, list[str]]


def outcome(small: Small, commit: str, recycling: Recycling) -> Outcome | str:
    """The deployment, its origin file and the boot entries; or in words why there is none."""
    try:
        made = small.deploy(commit, recycling, behind=(-1,))
    except StoreError as error:
        return re.sub(r"[0-9a-f]{64}\.\d+", "DEPLOYMENT", error.message)
    origin = Path(f"{made.path}.origin")
    mode = oct(origin.stat().st_mode)
    entries = [re.sub(r"(/\d+|\.\d|ostree:\d+)\b", "", entry) for entry in small.entries()]
    return described(made.path), f"{mode} {origin.read_text()}", entries


@pytest.mark.parametrize("of_what", ["spare", "left over"])
@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_any_change_and_any_etc_come_to_the_same_deployment(
    small: Small, seed: int, of_what: str
) -> None:
    random = Random(seed)
    source = top(spare(small) if of_what == "spare" else left_over(small))
    edit_etc(small.sysroot().deployments()[-1].path / "etc", random)
    commit = small.changed(pending(small).checksum, random)
    recycled = outcome(small, commit, RECYCLED)
    assert isinstance(recycled, str) or top(pending(small).path) == source
    assert recycled == outcome(small, commit, FRESH)
    assert ostree("fsck", f"--repo={small.path}/ostree/repo").endswith("found.\n")


def test_the_attributes_of_directories_are_changed(small: Small) -> None:
    commits = [pending(small).checksum]
    for xattrs in ((b"user.a", b"1"), (b"user.b", b"2")), ((b"user.b", b"3"),), ():
        store = small.store
        with store.transaction():
            editor = TreeEditor(store, store.read_commit(commits[-1]).root)
            attributes = DirectoryAttributes(1, 2, 0o042750, xattrs)
            for path in ("usr/share", "usr/share/d1", ""):
                editor.put_directory(path, store.write_directory_attributes(attributes))
            commits.append(small.commit(store, editor.write(), str(xattrs)))
    for commit in commits:
        source = top(spare(small))
        sweep_sysroot(small.path)  # as each verb begins
        recycled = outcome(small, commit, RECYCLED)
        assert small.in_work() == []
        assert top(pending(small).path) == source
        assert recycled == outcome(small, commit, FRESH)
        small.deploy(commit, FRESH, behind=(-1,))
        small.clean_up()


def test_a_death_at_any_step_leaves_the_old_state_or_the_new(small: Small) -> None:
    step, deaths = 0, 0
    while step == deaths:
        step += 1
        before = {d.checksum: described(d.path) for d in small.sysroot().deployments()}
        commit = small.changed(pending(small).checksum, Random(1), count=3)
        deaths += die_in_deployment(small.path, commit, step)
        there = small.sysroot().deployments()
        boots = {d.checksum: described(d.path) for d in there if d.checksum != commit}
        assert boots.items() <= before.items()
        assert len(boots) == len(before) or commit in {d.checksum for d in there}
        sweep_sysroot(small.path)  # as each verb begins
        recycled = outcome(small, commit, RECYCLED)
        assert small.in_work() == []
        assert recycled == outcome(small, commit, FRESH)
        small.clean_up()
        assert small.in_work() == []
        assert len(small.trees()) == len(small.sysroot().deployments())
    assert deaths > 20
    assert ostree("fsck", f"--repo={small.path}/ostree/repo").endswith("found.\n")


# --- what is not recycled ---


def add(tree: Path) -> None:
    (tree / "usr/share/d1/new").write_text("")


def replace(tree: Path) -> None:
    path = tree / "usr/share/d1/e1/f1"
    path.unlink()
    path.write_bytes(b"usr/share/d1/e1/f1 1")
    os.utime(path.parent, ns=(0, 0))


def touch(tree: Path) -> None:
    os.utime(tree / "usr/share/d1")


def open_to_all(tree: Path) -> None:
    (tree / "usr/share/d1").chmod(0o777)


def attribute(tree: Path) -> None:
    os.setxattr(tree / "usr/share/d1/e1", "user.x", b"y")


def add_at_the_top(tree: Path) -> None:
    subprocess.run(["chattr", "-f", "-i", tree], check=False)
    (tree / "new").mkdir()


def remove_unseen(tree: Path) -> None:
    shutil.rmtree(tree / "usr/share/d2/e0")
    os.utime(tree / "usr/share/d2", ns=(0, 0))


@pytest.mark.parametrize(
    "modify", [add, replace, touch, open_to_all, attribute, add_at_the_top, remove_unseen]
)
@pytest.mark.parametrize("of_what", ["spare", "left over"])
def test_what_was_modified_is_not_recycled(
    small: Small, modify: Callable[[Path], None], of_what: str
) -> None:
    tree = spare(small) if of_what == "spare" else left_over(small)
    source = top(tree)
    modify(tree)
    # Nothing near to where it was modified is looked at because it changes.
    store = small.store
    with store.transaction():
        editor = TreeEditor(store, store.read_commit(pending(small).checksum).root)
        editor.put_file("usr/bin/new", store.write_file(FileAttributes(), [b"new"]))
        commit = small.commit(store, editor.write(), "new")
    fresh = outcome(small, commit, FRESH)
    assert outcome(small, commit, Recycling.VERIFIED) == fresh
    assert top(pending(small).path) != source
    small.deploy(small.changed(commit, Random(1)), FRESH)
    small.clean_up(Recycling.VERIFIED)
    assert top(spare(small)) != source
    assert find_fault(small.store, spare(small), root(small), is_full=True) == ""


def root(small: Small) -> Tree:
    """The tree that boots next."""
    return small.store.read_commit(pending(small).checksum).root


def test_empty_files_are_libostree_s_copies_and_no_modification(small: Small) -> None:
    store = small.store
    with store.transaction():
        editor = TreeEditor(store, store.read_commit(pending(small).checksum).root)
        editor.put_file("usr/etc/empty", store.write_file(FileAttributes(), [b""]))
        commit = small.commit(store, editor.write(), "empty")
    dropped = small.deploy(commit, FRESH, behind=(-1,)).path
    assert (dropped / "usr/etc/empty").stat().st_nlink == 1
    small.deploy(commit, FRESH, behind=(-1,))
    shutil.rmtree(spare(small))
    source = top(dropped)
    small.deploy(small.changed(commit, Random(1)), RECYCLED, behind=(-1,))
    assert top(pending(small).path) == source


def test_what_does_not_work_out_leaves_nothing_small(small: Small) -> None:
    (left_over(small) / "usr/etc").chmod(0o700)
    before = {path.name for path in small.path.glob("ostree/deploy/*/deploy/*")}
    made = small.deploy(small.changed(pending(small).checksum, Random(1)), RECYCLED, behind=(-1,))
    after = {path.name for path in small.path.glob("ostree/deploy/*/deploy/*")}
    assert after - before == {made.path.name, f"{made.path.name}.origin"}


def test_a_sample_sees_what_was_done_in_many_places(small: Small) -> None:
    tree = spare(small)
    for path in [p for p in tree.rglob("*") if p.is_dir()]:
        (path / "new").write_text("")
    source = top(tree)
    small.deploy(small.changed(pending(small).checksum, Random(1)), RECYCLED)
    assert top(pending(small).path) != source


@pytest.mark.parametrize("path", ["lib/modules/6.0/vmlinuz", "lib/os-release", "etc/d1/f5"])
def test_what_a_machine_needs_to_come_up_is_always_looked_at(small: Small, path: str) -> None:
    store = small.store
    with store.transaction():
        editor = TreeEditor(store, store.read_commit(pending(small).checksum).root)
        for number in range(400):  # among so many a sample seldom finds anything
            editor.put_file(f"usr/a{number}/b/c", store.write_file(FileAttributes(), [b"x"]))
        commit = small.commit(store, editor.write(), "many")
    small.deploy(commit, RECYCLED)
    small.clean_up()
    (spare(small) / "usr" / path).unlink()
    os.utime((spare(small) / "usr" / path).parent, ns=(0, 0))
    source = top(spare(small))
    assert top(small.deploy(commit, RECYCLED).path) != source


@pytest.mark.parametrize("why", ["unlocked", "no origin", "mounted", "in the boot entries"])
def test_a_tree_that_may_be_in_use_is_not_recycled(small: Small, why: str) -> None:
    tree = left_over(small)
    source, origin = top(tree), Path(f"{tree}.origin")
    if why == "unlocked":
        origin.write_text(origin.read_text() + "unlocked=hotfix\n")
    elif why == "no origin":
        origin.unlink()
    elif why == "mounted":
        (small.path / "view").mkdir()
        subprocess.run(["mount", "--bind", tree, small.path / "view"], check=True)
    else:
        booting = small.sysroot().deployments()
        commit = small.changed(booting[0].checksum, Random(2))
        small.deploy(commit, RECYCLED, behind=(0, 1))
        assert top(pending(small).path) == source
        source = 0
    before = [top(d.path) for d in small.sysroot().deployments()]
    try:
        small.deploy(small.changed(pending(small).checksum, Random(1)), RECYCLED, behind=(0, 1))
    finally:
        if why == "mounted":
            subprocess.run(["umount", small.path / "view"], check=True)
    assert top(pending(small).path) not in (source, *before)


def test_nothing_of_ours_stays_where_nothing_is_kept(small: Small) -> None:
    small.deploy(small.changed(pending(small).checksum, Random(1)), RECYCLED)
    assert not (small.path / "ostree/layer").exists()
    small.clean_up()
    small.clean_up(FRESH)
    assert not (small.path / "ostree/layer").exists()


def test_nothing_is_recycled_where_the_admin_says_never(small: Small) -> None:
    source = top(spare(small))
    small.deploy(small.changed(pending(small).checksum, Random(1)), FRESH)
    assert top(spare(small)) == source != top(pending(small).path)
    small.clean_up(FRESH)
    assert small.spares() == []


def test_what_is_there_to_recycle_is_foreseen(small: Small) -> None:
    def foreseen(recycling: Recycling = RECYCLED) -> bool:
        return small.sysroot().will_recycle(recycling)

    assert foreseen()
    assert not foreseen(Recycling.NEVER)
    kept = spare(small)
    shutil.rmtree(kept)
    assert not foreseen()
    small.deploy(pending(small).checksum, FRESH)
    small.deploy(pending(small).checksum, FRESH)
    assert foreseen()  # what has left the boot entries


def test_a_deployment_with_an_initrd_of_its_own_is_libostree_s(small: Small) -> None:
    source = top(spare(small))
    made = small.deploy(pending(small).checksum, RECYCLED, overlay=b"initrd")
    assert made.overlays
    assert top(made.path) != source


# --- the spare ---


def test_clean_up_puts_what_it_would_remove_aside_as_what_boots_next(small: Small) -> None:
    source = top(left_over(small))
    small.clean_up()
    assert top(spare(small)) == source
    assert small.spares() == [pending(small).checksum]
    assert len(small.trees()) == len(small.sysroot().deployments())
    assert find_fault(small.store, spare(small), root(small), is_full=True) == ""
    before = described(spare(small))
    small.clean_up()
    assert described(spare(small)) == before


def test_a_spare_that_was_modified_is_made_anew(small: Small) -> None:
    add_at_the_top(spare(small))
    small.clean_up()
    assert find_fault(small.store, spare(small), root(small), is_full=True) == ""


def test_only_commits_that_are_here_as_a_whole_are_recycled(small: Small) -> None:
    source = top(spare(small))
    small.deploy(small.changed(pending(small).checksum, Random(1)), FRESH)
    contents = small.store.read_commit(spare(small).name).root.contents
    (small.path / "ostree/repo/objects" / contents[:2] / f"{contents[2:]}.dirtree").unlink()
    made = small.deploy(small.changed(pending(small).checksum, Random(2)), RECYCLED)
    assert top(made.path) != source


def test_deployments_of_one_commit_are_counted_as_libostree_counts_them(small: Small) -> None:
    commit = small.changed(pending(small).checksum, Random(1))
    serials = []
    for _ in range(3):
        serials.append(small.deploy(commit, RECYCLED, behind=(0, -1)).serial)
        small.clean_up()
    assert serials == [0, 1, 2]
