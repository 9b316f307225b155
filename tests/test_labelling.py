"""SELinux labels: those that ostree and libselinux give by the tree's own policy, and no others."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import layer.workbench
from layer.cleaning import clean_up
from layer.copies import REFS, Copies
from layer.errors import Conflict, StoreError
from layer.host import Host
from layer.importer import find_package
from layer.labelling import label as label_tree
from layer.lock import read_lock
from layer.model import DirectoryAttributes, FileAttributes, Tree
from layer.overlay import WriteRules, read_effect
from layer.store.contract import ObjectStore
from layer.store.files import write_text
from layer.store.objects import OstreeStore
from layer.store.selinux import XATTR, label_of, with_label
from layer.store.trees import TreeEditor, directories_of, empty_tree, files_of, lookup
from layer.triggers.format import parse_trigger
from layer.triggers.globs import parse_glob
from layer.triggers.order import in_order
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.directory_store import DirectoryStore
from tests.policy import (
    CONFIG,
    FILES,
    compiled,
    label,
    line,
    local_contexts_package,
    policy_package,
)
from tests.test_equivalence import REMOVING, classic
from tests.world import REF, Machine, World, make_world, ostree, remove

HOSTS_OWN = b"unconfined_u:object_r:user_tmp_t:s0\0"
POLICY = "usr/etc/selinux/tiny/contexts/files"
# Appends what modules say to the policy, as semodule does.
BUILDING = f"""\
schema = 1
name = "building"
description = "Builds the policy."
[match]
include = ["usr/share/selinux/packages/*.fc"]
[run]
exec = ["/usr/bin/sh", "-c", "while read -r l; do printf '%s\\n' \\"$l\\"; done \
< /usr/share/selinux/packages/fruit.fc >> /etc/selinux/tiny/contexts/files/file_contexts"]
[io]
writes = ["{POLICY}/file_contexts"]
"""


@pytest.fixture(scope="module")
def policy_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has a policy."""
    with make_world(tmp_path_factory.mktemp("policy"), policy_package()) as made:
        made.publish(
            local_contexts_package(),
            tiny_rpm("tiny-too", FileSpec("/etc/tiny.conf", b"from=base\n")),
            tiny_rpm("tiny-other", FileSpec("/etc/tiny.conf", b"from=layer\n")),
            tiny_rpm("tiny-mode", FileSpec("/etc/tiny.conf", b"from=base\n", mode=0o600)),
            tiny_rpm(
                "fruit-policy",
                FileSpec(
                    "/usr/share/selinux/packages/fruit.fc",
                    line("/usr/bin/apple", "bin_t") + line("/usr/lib/modules(/.*)?", "cache_t"),
                ),
            ),
            tiny_rpm("odd", "/usr/share/unlabelled/file", FileSpec.symlink("/usr/bin/odd", "x")),
        )
        yield made


@pytest.fixture
def machine(policy_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine on the base with a policy."""
    yield policy_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def labels_of(store: ObjectStore, root: Tree) -> dict[str, str | None]:
    """The label of every path."""
    found = {path: store.read_file_attributes(checksum) for path, checksum in files_of(store, root)}
    folders = {path: tree.attributes for path, tree in directories_of(store, root)}
    folders["/"] = root.attributes
    all_attributes = {
        **found,
        **{path: store.read_directory_attributes(a) for path, a in folders.items()},
    }
    return {path: label_of(attributes) for path, attributes in all_attributes.items()}


def changed_labels(old: dict[str, str | None], new: dict[str, str | None]) -> dict[str, str | None]:
    """What is in both with another label, and the new one."""
    return {path: new[path] for path in sorted(old.keys() & new.keys()) if old[path] != new[path]}


def recommitted(host: Host, full: Path) -> Tree:
    """A directory's tree as ostree labels it by the policy in it, whatever labels it has."""
    for path in [full, *full.rglob("*")]:
        if XATTR.decode() in os.listxattr(path, follow_symlinks=False):
            os.removexattr(path, XATTR, follow_symlinks=False)
    repo = f"--repo={host.store.path}"
    arguments = ("commit", "-b", "recommitted", f"--selinux-policy={full}", f"--tree=dir={full}")
    ostree(repo, *arguments)
    return host.store.read_commit(host.store.find_commit("recommitted") or "").root


def checkout(host: Host, commit: str, full: Path) -> Path:
    """A copy of a commit's tree on disk."""
    ostree(f"--repo={host.store.path}", "checkout", "--force-copy", commit, str(full))
    return full


def test_every_label_is_that_of_libselinux(machine: Machine) -> None:
    host = machine.host()
    before = labels_of(host.store, host.store.read_commit(machine.pending().checksum).root)
    deployment = machine.install("apple", "daemon", "suid", "web", "odd")
    host = machine.host()
    root = host.store.read_commit(deployment.checksum).root
    found = labels_of(host.store, root)
    expected = {
        "/": "default_t",
        "usr": "usr_t",
        "usr/bin/apple": "bin_t",
        "usr/bin/daemon": "bin_t",
        "usr/bin/odd": "link_t",
        "usr/etc/daemon.conf": "etc_t",
        "usr/etc/ld.so.cache": "cache_t",  # of a trigger
        "usr/etc/passwd": "passwd_t",  # of a trigger, over the base's
        "usr/etc/tiny.conf": "etc_t",
        "usr/lib/libtiny.so.1": "lib_t",
        "usr/lib/x86_64-linux-gnu/libutil.so.1": "lib_t",
        "usr/share/factory/var/lib/alpha": "usr_t",  # a directory
        "usr/share/rpm": "rpm_t",
        "usr/share/rpm/rpmdb.sqlite": "rpm_t",  # of layer itself
        "usr/lib/sysusers.d/00-layer-ids.conf": "usr_t",
    }
    assert {path: found[path] for path in expected} == {p: label(t) for p, t in expected.items()}
    assert [path for path, value in found.items() if value is None] == [
        "usr/share/unlabelled/file",
        "usr/share/unlabelled",
    ]
    assert changed_labels(before, found) == {}
    contexts = deployment.path / POLICY / "file_contexts"
    assert {path: found[path] for path in found} == {
        path: matchpathcon(contexts, deployment.path / path.lstrip("/"), f"/{path.lstrip('/')}")
        for path in found
    }


def matchpathcon(contexts: Path, file: Path, path: str) -> str | None:
    """The label by libselinux's own program; a deployment has no top-level links to follow."""
    mode = file.lstat().st_mode
    kind = "dir" if stat.S_ISDIR(mode) else "lnk_file" if stat.S_ISLNK(mode) else "file"
    command = ["/usr/sbin/matchpathcon", "-n", "-m", kind, "-f", str(contexts), path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "<<none>>" else done.stdout.strip()


@pytest.mark.parametrize("names", [(), ("apple", "daemon", "suid"), ("local-contexts", "apple")])
def test_ostree_labels_a_checkout_the_same(
    machine: Machine, tmp_path: Path, names: tuple[str, ...]
) -> None:
    deployment = machine.install(*names) if names else machine.pending()
    host = machine.host()
    expected = host.store.read_commit(deployment.checksum).root
    full = checkout(host, deployment.checksum, tmp_path / "full")
    if recommitted(host, full) != expected:
        pytest.fail(ostree(f"--repo={host.store.path}", "diff", "recommitted", deployment.checksum))


def test_tree_equals_that_of_checkout_union_and_labelled_recommit(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = machine.triggers()
    all_triggers = in_order([*shipped, parse_trigger(REMOVING, "removing.toml")])
    monkeypatch.setattr(Host, "triggers", lambda _self, _tree: all_triggers)
    deployment = machine.install("apple", "daemon", "suid", "web", "local-contexts")
    host = machine.host()
    derived = host.store.read_commit(deployment.checksum)
    full = tmp_path / "full"
    classic(host, derived, full)
    if recommitted(host, full) != derived.root:
        pytest.fail(ostree(f"--repo={host.store.path}", "diff", "recommitted", deployment.checksum))


def test_a_changed_policy_relabels_what_it_touches_and_reads_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.host()
    base = host.store.read_commit(machine.pending().checksum).root
    before = labels_of(host.store, base)
    library = lookup(host.store, base, "usr/lib/libtiny.so.1")
    read = opened(monkeypatch)
    deployment = machine.install("local-contexts")
    assert library in read
    named = {checksum: path for path, checksum in files_of(host.store, base)}
    assert {named[checksum] for checksum in read if checksum in named} == {
        "usr/etc/group",
        "usr/etc/passwd",
        "usr/etc/selinux/config",
        f"{POLICY}/file_contexts",
        f"{POLICY}/file_contexts.subs_dist",
        "usr/lib/libtiny.so.1",
        "usr/lib/os-release",  # for $releasever
        "usr/share/layer/ids.json",
        "usr/share/rpm/rpmdb.sqlite",
    }
    host = machine.host()
    after = labels_of(host.store, host.store.read_commit(deployment.checksum).root)
    assert changed_labels(before, after) == {"usr/lib/libtiny.so.1": label("bin_t")}
    machine.uninstall("local-contexts")
    assert machine.pending().checksum == host.base_commit(deployment).checksum


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checksums of files whose content is read from now on."""
    read: list[str] = []
    real = OstreeStore.open_file

    def open_file(self: OstreeStore, checksum: str) -> BinaryIO:
        read.append(checksum)
        return real(self, checksum)

    monkeypatch.setattr(OstreeStore, "open_file", open_file)
    return read


def test_a_trigger_that_builds_the_policy_relabels_what_modules_touch(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = machine.triggers()
    triggers = in_order([*shipped, parse_trigger(BUILDING, "building.toml")])
    monkeypatch.setattr(Host, "triggers", lambda _self, _tree: triggers)
    host = machine.host()
    before = labels_of(host.store, host.store.read_commit(machine.pending().checksum).root)
    deployment = machine.install("fruit-policy", "apple")
    host = machine.host()
    after = labels_of(host.store, host.store.read_commit(deployment.checksum).root)
    cache = label("cache_t")
    assert changed_labels(before, after) == dict.fromkeys(
        [
            "usr/lib/modules",
            "usr/lib/modules/6.0",
            "usr/lib/modules/6.0/initramfs.img",
            "usr/lib/modules/6.0/vmlinuz",
        ],
        cache,
    )


def test_the_same_packages_again_read_no_content(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("apple", "daemon", "suid")
    first = machine.install(*names)
    machine.install("web")  # a third, in which all is found again
    machine.uninstall("web")
    assert machine.pending().checksum == first.checksum
    host = machine.host()
    payload = {}
    for locked in read_lock(host.store.read_commit(first.checksum)).packages:
        package = find_package(host.store, locked.checksum)
        assert package is not None
        payload |= {
            c: p for p, c in files_of(host.store, package.root) if "/bin/" in p or ".so" in p
        }
    assert len(payload) == 4
    read = opened(monkeypatch)
    asked: list[str] = []
    monkeypatch.setattr(
        "layer.store.selinux.Policy.label", lambda _self, path, _mode: asked.append(path)
    )
    machine.install("web")
    machine.uninstall("web")
    assert [payload[checksum] for checksum in read if checksum in payload] == []
    assert asked == []
    assert machine.pending().checksum == first.checksum


def test_what_was_made_for_one_policy_is_not_taken_for_another(machine: Machine) -> None:
    first = machine.install("apple")
    second = machine.install("local-contexts")
    store = machine.host().store
    labels = [labels_of(store, store.read_commit(d.checksum).root) for d in (first, second)]
    assert [found["usr/bin/apple"] for found in labels] == [label("bin_t"), label("cache_t")]
    assert machine.uninstall("local-contexts").checksum == first.checksum


def test_copies_are_kept_as_long_as_their_tree_and_are_no_part_of_it(machine: Machine) -> None:
    first = machine.install("daemon")
    host = machine.host()
    assert set(host.store.refs(REFS)) == {f"{REFS}/{first.checksum}"}
    with host.locked(), host.store.transaction():
        host.store.set_ref(f"{REFS}/{first.checksum}", None)
    machine.uninstall("daemon")
    assert machine.install("daemon").checksum == first.checksum
    second = machine.install("apple")
    machine.uninstall("daemon")
    third = machine.install("web")
    host = machine.host()
    with host.locked():
        clean_up(host)
    deployed = {deployment.checksum for deployment in host.sysroot.deployments()}
    assert {first.checksum, second.checksum, third.checksum} - deployed
    assert set(host.store.refs(REFS)) == {f"{REFS}/{checksum}" for checksum in deployed}
    ostree(f"--repo={host.store.path}", "fsck")


def test_labels_of_this_machine_never_get_in(
    machine: Machine, policy_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a host with SELinux, every file that a trigger writes has a label of the host's."""
    expected = machine.install("apple", "daemon").checksum
    real = layer.workbench.read_effect
    labelled = []

    def read_labelled(store, tree, upper, rules):  # type: ignore[no-untyped-def]
        for path in [upper, *upper.rglob("*")]:
            if not stat.S_ISCHR(path.lstat().st_mode):
                os.setxattr(path, XATTR, HOSTS_OWN, follow_symlinks=False)
                labelled.append(path.name)
        return real(store, tree, upper, rules)

    monkeypatch.setattr(layer.workbench, "read_effect", read_labelled)
    other = policy_world.machine(tmp_path / "other")
    assert other.install("apple", "daemon").checksum == expected
    assert {"passwd", "ld.so.cache"} <= set(labelled)
    host = other.host()
    kept = {**host.store.refs("layer/pkg"), **host.store.refs("layer/trigger")}
    roots = [host.store.read_commit(commit).root for commit in kept.values()]
    assert {name for root in roots for name in labels_of(host.store, root).values()} == {None}
    remove([tmp_path / "other"])


# --- single trees, in both stores ----------------------------------------------------------------


@pytest.fixture(params=[OstreeStore, DirectoryStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return request.param.create(tmp_path / "store")


def tree_with_policy(store: ObjectStore, config: bytes = CONFIG, **files: str) -> Tree:
    """A tree with the small policy and text files; `__` in a name stands for a slash."""
    binary, contexts = compiled()
    editor = TreeEditor(store, empty_tree(store))
    written = {"usr/etc/selinux/config": config, f"{POLICY}/file_contexts": contexts}
    written["usr/etc/selinux/tiny/policy/policy.33"] = binary
    written |= {name.replace("__", "/"): text.encode() for name, text in files.items()}
    for path, content in written.items():
        editor.put_file(path, store.write_file(FileAttributes(), [content]))
    return editor.write()


def labelled(store: ObjectStore, base: Tree | None, tree: Tree, folder: Path) -> Tree:
    """The tree after the labelling step; without a base as at compose."""
    folder.mkdir()
    return label_tree(store, base or empty_tree(store), tree, Copies(store), folder)


def with_labels(store: ObjectStore, tree: Tree, value: str) -> Tree:
    """The tree with one label on everything."""
    editor = TreeEditor(store, tree)
    for path, checksum in files_of(store, tree):
        attributes = with_label(store.read_file_attributes(checksum), value)
        with store.open_file(checksum) as content:
            editor.put_file(path, store.write_file(attributes, [content.read()]))
    folder = store.write_directory_attributes(with_label(DirectoryAttributes(), value))
    for path in ["", *(path for path, _ in directories_of(store, tree))]:
        editor.put_directory(path, folder)
    return editor.write()


def test_files_and_directories_over_a_base_are_labelled(store: ObjectStore, tmp_path: Path) -> None:
    with store.transaction():
        base = with_labels(store, tree_with_policy(store, usr__bin__old="1"), "the_bases")
        layers = write_text(store, base, {"usr/bin/new": "1", "usr/share/d/x": "1"})
        found = labels_of(store, labelled(store, base, layers, tmp_path / "scratch"))
    expected = dict.fromkeys(labels_of(store, base), "the_bases")
    usr = label("usr_t")
    expected |= {"usr/bin/new": label("bin_t")}
    expected |= dict.fromkeys(["usr/share", "usr/share/d", "usr/share/d/x"], usr)
    assert found == expected


@pytest.mark.parametrize(
    "config", [b"", b"SELINUX=disabled\nSELINUXTYPE=tiny\n", b"SELINUXTYPE=x\n"]
)
def test_without_a_policy_nothing_is_labelled_and_labels_stay(
    store: ObjectStore, tmp_path: Path, config: bytes
) -> None:
    with store.transaction():
        plain = tree_with_policy(store, config, usr__bin__old="1")
        base = with_labels(store, plain, "the_bases")
        layers = write_text(store, base, {"usr/bin/new": "1"})
        assert labelled(store, base, layers, tmp_path / "one") == layers
        assert labelled(store, None, plain, tmp_path / "two") == plain


def test_what_came_over_the_base_keeps_no_label_but_the_policys(
    store: ObjectStore, tmp_path: Path
) -> None:
    with store.transaction():
        base = tree_with_policy(store)
        layers = with_labels(
            store, tree_with_policy(store, usr__bin__x="", usr__share__unlabelled="1"), "l"
        )
        found = labels_of(store, labelled(store, base, layers, tmp_path / "scratch"))
    assert (found["usr/bin/x"], found["usr/share/unlabelled"]) == (label("bin_t"), None)
    assert "l" not in found.values()


def test_a_base_that_gets_a_policy_is_labelled_as_a_whole(
    store: ObjectStore, tmp_path: Path
) -> None:
    with store.transaction():
        base = write_text(store, empty_tree(store), {"usr/bin/old": "1"})
        tree = tree_with_policy(store, usr__bin__old="1")
        whole = labelled(store, None, tree, tmp_path / "one")
        assert None not in labels_of(store, whole).values()
        assert labelled(store, base, tree, tmp_path / "two") == whole


def test_owners_modes_and_other_attributes_stay(store: ObjectStore, tmp_path: Path) -> None:
    attributes = FileAttributes(3, 4, stat.S_IFREG | 0o4711, "", ((b"user.a", b"1"),))
    link = FileAttributes(5, 6, stat.S_IFLNK | 0o777, "target")
    folder = DirectoryAttributes(7, 8, stat.S_IFDIR | 0o2750)
    with store.transaction():
        base = tree_with_policy(store)
        editor = TreeEditor(store, base)
        editor.put_file("usr/bin/x", store.write_file(attributes, [b"x"]))
        editor.put_file("usr/bin/y", store.write_file(link))
        editor.put_directory("usr/share/d", store.write_directory_attributes(folder))
        tree = labelled(store, base, editor.write(), tmp_path / "scratch")
        found = [lookup(store, tree, path) for path in ("usr/bin/x", "usr/bin/y", "usr/share/d")]
        assert [
            store.read_directory_attributes(f.attributes)
            if isinstance(f, Tree)
            else store.read_file_attributes(f or "")
            for f in found
        ] == [
            with_label(attributes, label("bin_t")),
            with_label(link, label("link_t")),
            with_label(folder, label("usr_t")),
        ]
        with store.open_file(str(found[0])) as content:
            assert content.read() == b"x"


def test_a_policy_that_cannot_be_read_is_an_error(store: ObjectStore, tmp_path: Path) -> None:
    with store.transaction():
        editor = TreeEditor(store, tree_with_policy(store))
        editor.remove("usr/etc/selinux/tiny/policy")
        with pytest.raises(StoreError, match="SELinux policy"):
            labelled(store, None, editor.write(), tmp_path / "scratch")


def test_an_effect_has_no_labels_and_copying_up_changes_nothing(
    store: ObjectStore, tmp_path: Path
) -> None:
    """An upper layer made by hand, where everything has a label."""
    rules = WriteRules((parse_glob("usr/**"),), ())
    upper = tmp_path / "upper"
    (upper / "share").mkdir(parents=True)
    (upper / "new").mkdir()
    (upper / "share/same").write_text("1")
    (upper / "share/other").write_text("2")
    (upper / "share/link").symlink_to("same")
    (upper / "new/file").write_text("3")
    paths = [upper, *upper.rglob("*")]
    for path in paths:
        os.setxattr(path, XATTR, HOSTS_OWN, follow_symlinks=False)
        os.chown(path, 0, 0, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    with store.transaction():
        texts = {"usr/share/same": "1", "usr/share/other": "1"}
        editor = TreeEditor(
            store, with_labels(store, write_text(store, empty_tree(store), texts), "l")
        )
        link = FileAttributes(mode=stat.S_IFLNK | 0o777, target="same")
        editor.put_file("usr/share/link", store.write_file(with_label(link, "l")))
        tree = editor.write()
        effect = read_effect(store, tree, upper, rules)
        assert [path for path, _ in effect.files] == ["usr/new/file", "usr/share/other"]
        assert [store.read_file_attributes(c) for _, c in effect.files] == [FileAttributes()] * 2
        assert [f.path for f in effect.folders] == ["usr/new"]
        made = store.read_directory_attributes(effect.folders[0].attributes)
        assert (made, effect.removed) == (DirectoryAttributes(), ())


# --- what meets a labelled base ------------------------------------------------------------------


def test_a_packages_file_is_the_bases_whatever_its_label(machine: Machine) -> None:
    host = machine.host()
    base = host.store.read_commit(machine.pending().checksum).root
    deployment = machine.install("tiny-too")
    derived = machine.host().store.read_commit(deployment.checksum).root
    path = "usr/etc/tiny.conf"
    assert lookup(host.store, derived, path) == lookup(host.store, base, path)
    for name in ("tiny-other", "tiny-mode"):
        with pytest.raises(Conflict, match=f"/etc/tiny.conf: .* and {name}-1-1.noarch: different"):
            machine.install(name)


def test_a_deployment_has_the_labels_on_disk(machine: Machine, tmp_path: Path) -> None:
    """In memory and on the disk; /etc is deployed as /etc by libostree."""
    deployment = machine.install("daemon")
    expected = {"usr/bin/daemon": "bin_t", "etc/daemon.conf": "etc_t", "etc/passwd": "passwd_t"}
    for path, type_ in expected.items():
        value = os.getxattr(deployment.path / path, XATTR)
        assert value.rstrip(b"\0") == label(type_).encode()
    if shutil.disk_usage("/var/tmp").free < 1 << 30:
        pytest.skip("no room")
    disk = Path("/var/tmp") / f"layer-labels-{os.getpid()}"
    try:
        full = checkout(machine.host(), deployment.checksum, disk)
        assert os.getxattr(full / "usr/bin/daemon", XATTR) == label("bin_t").encode() + b"\0"
    finally:
        shutil.rmtree(disk, ignore_errors=True)


def test_a_base_is_labelled_with_etc_as_etc(policy_world: World) -> None:
    repo = f"--repo={policy_world.path}/build/repo"
    shown = ostree(repo, "cat", REF, f"/usr{FILES}/file_contexts.subs_dist")
    assert shown == "/bin /usr/bin\n/usr/lib64 /usr/lib\n/usr/etc /etc\n/usr/lib/opt /opt\n"
    store = OstreeStore.open(policy_world.path / "build/repo")
    assert set(store.refs(REFS)) == {f"{REFS}/{REF}"}
