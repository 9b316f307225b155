"""Repositories are those of the tree to come, with what the admin edited of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from layer.configured import read_configured
from layer.errors import InvalidInput
from layer.model import Commit, FileAttributes, Tree
from layer.next_files import NextFiles
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine, World

OLD = {
    "usr/etc/yum.repos.d/shipped.repo": "old",
    "usr/etc/yum.repos.d/edited.repo": "old",
    "usr/etc/yum.repos.d/removed.repo": "old",
    "usr/etc/yum.repos.d/dropped.repo": "old",
    "usr/etc/gone.d/a": "old",
}
NEW = {
    "usr/etc/yum.repos.d/shipped.repo": "new",
    "usr/etc/yum.repos.d/edited.repo": "new",
    "usr/etc/yum.repos.d/removed.repo": "new",
    "usr/etc/yum.repos.d/fresh.repo": "new",
    "usr/etc/gone.d/b": "new",
    "usr/share/keys/key": "key",
}


@pytest.fixture
def store(tmp_path: Path) -> OstreeStore:
    return OstreeStore.create(tmp_path / "store")


def tree_of(store: OstreeStore, files: dict[str, str], links: dict[str, str] | None = None) -> Tree:
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for path, text in files.items():
            editor.put_file(path, store.write_file(FileAttributes(), [text.encode()]))
        for path, target in (links or {}).items():
            link = FileAttributes(mode=0o120777, target=target)
            editor.put_file(path, store.write_file(link))
        return editor.write()


def checkout(folder: Path, files: dict[str, str]) -> Path:
    """A deployment as it comes: its /etc is what its tree ships."""
    for path, text in files.items():
        for place in (path, path.removeprefix("usr/")):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text)
    return folder


def all_of(files: NextFiles, folder: str) -> dict[str, str]:
    return {name: (files.read(f"{folder}/{name}") or b"?").decode() for name in files.names(folder)}


def test_the_admins_edits_win_and_all_else_is_the_next_trees(
    store: OstreeStore, tmp_path: Path
) -> None:
    merge = checkout(tmp_path / "merge", OLD)
    repos = merge / "etc/yum.repos.d"
    (repos / "edited.repo").write_text("mine")
    (repos / "removed.repo").unlink()
    (repos / "own.repo").write_text("mine")
    (merge / "etc/gone.d/a").unlink()
    (merge / "etc/gone.d").rmdir()
    files = NextFiles(store, tree_of(store, NEW), merge)
    assert all_of(files, "etc/yum.repos.d") == {
        "edited.repo": "mine",
        "fresh.repo": "new",
        "own.repo": "mine",
        "shipped.repo": "new",
    }
    assert files.names("etc/gone.d") == ()
    assert files.read("etc/gone.d/b") is None
    assert all_of(NextFiles(store, tree_of(store, NEW)), "etc/yum.repos.d") == {
        name.rpartition("/")[2]: "new" for name in NEW if name.endswith(".repo")
    }


def test_what_a_layer_ships_stays(store: OstreeStore, tmp_path: Path) -> None:
    layered = OLD | {"usr/etc/yum.repos.d/layer.repo": "layer"}
    merge = checkout(tmp_path / "merge", layered)
    trees = tree_of(store, layered), tree_of(store, OLD)
    files = NextFiles(store, tree_of(store, NEW), merge, trees)
    found = all_of(files, "etc/yum.repos.d")
    assert found["layer.repo"] == "layer"
    assert "dropped.repo" not in found  # the old base's alone
    (merge / "etc/yum.repos.d/layer.repo").unlink()
    assert "layer.repo" not in files.names("etc/yum.repos.d")


def test_links_stay_inside_and_end(store: OstreeStore, tmp_path: Path) -> None:
    links = {
        "usr/etc/to-usr": "../usr/share/keys/key",
        "usr/etc/absolute": "/usr/share/keys/key",
        "usr/etc/keys": "/usr/share/keys",
        "usr/etc/outside": "../../../../../../../../usr/share/keys/key",
        "usr/etc/loop": "loop",
        "usr/etc/this-machine": str(tmp_path / "secret"),
    }
    (tmp_path / "secret").write_text("of this machine")
    files = NextFiles(store, tree_of(store, NEW, links))
    for path in ("etc/to-usr", "etc/absolute", "etc/keys/key", "etc/outside"):
        assert files.read(path) == b"key"
    for path in ("etc/loop", "etc/this-machine", "etc/no/such", "etc"):
        assert files.read(path) is None
    copy = files.on_disk("etc/keys/key", tmp_path / "keep")
    assert copy == tmp_path / "keep/etc/keys/key"
    assert copy.read_text() == "key"
    assert not files.on_disk("etc/this-machine", tmp_path / "keep").exists()


CONFIGURED = {
    "usr/lib/os-release": 'ID=x\nVERSION_ID="40.2"\n',
    "usr/etc/dnf/dnf.conf": "[main]\nproxy=http://$where:1\nsslcacert=/etc/pki/ca\nminrate=2k\n",
    "usr/etc/dnf/vars/where": "here\nignored\n",
    "usr/etc/yum/vars/where": "elsewhere\n",
    "usr/etc/pki/ca": "ca",
    "usr/etc/pki/key": "key",
    "usr/etc/yum.repos.d/a.repo": "[a]\ngpgkey=file:///etc/pki/key\n"
    "baseurl=http://x/$releasever/$releasever_major/$releasever_minor/${where:-no}/${b:-other}/$c\n",
    "usr/etc/distro.repos.d/b.repo": "[b]\nbaseurl=http://b\nenabled=0\n",
}


def test_a_tree_is_read_with_its_own_variables_and_defaults(
    store: OstreeStore, tmp_path: Path
) -> None:
    tree = tree_of(store, CONFIGURED)
    base = Commit("c" * 64, None, 0, tree, {"version": "9"})
    files = NextFiles(store, tree)
    a, b = read_configured(files, base, (), tmp_path)
    assert a.base_urls == ("http://x/40.2/40/2/here/other/$c",)
    assert a.source == "/etc/yum.repos.d/a.repo"
    assert (a.access.proxy, a.access.slowest) == ("http://here:1", 2048)
    assert Path(a.access.tls.authorities).read_text() == "ca"
    assert Path(a.keys[0].removeprefix("file://")).read_text() == "key"
    assert not b.is_enabled
    own = tree_of(store, CONFIGURED | {"usr/etc/dnf/vars/releasever": "41\n"})
    (one, _) = read_configured(NextFiles(store, own), base, (), tmp_path)
    assert one.base_urls == ("http://x/41/41/2/here/other/$c",)


def test_all_that_is_wrong_in_a_tree_is_named(store: OstreeStore, tmp_path: Path) -> None:
    bad = {"usr/etc/yum.repos.d/a.repo": "[a]\n", "usr/etc/yum.repos.d/b.repo": "x\n"}
    with pytest.raises(InvalidInput) as caught:
        read_configured(NextFiles(store, tree_of(store, bad)), None, (), tmp_path)
    assert caught.value.message.splitlines() == [
        "/etc/yum.repos.d/a.repo, [a]: baseurl is missing",
        "/etc/yum.repos.d/b.repo, line 1: neither [id] nor key=value: x",
    ]


# --- on a machine -------------------------------------------------------------------------------


def release(folder: Path, version: str, repository: str) -> RpmSpec:
    """The package that makes a base another release, with repositories of its own."""
    return tiny_rpm(
        "tiny-release",
        FileSpec("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        FileSpec("/etc/group", b"root:x:0:\n"),
        FileSpec("/usr/lib/os-release", b"ID=tiny\nVERSION_ID=0\n"),
        FileSpec("/etc/dnf/vars/where", f"{folder}\n".encode()),
        FileSpec(
            f"/etc/yum.repos.d/{repository}.repo",
            f"[{repository}]\nbaseurl=file://$where/$releasever\ngpgcheck=0\n".encode(),
        ),
        provides=("/bin/sh",),
        version=version,
        arch="x86_64",
    )


def plain(machine: Machine, verb: str, *words: str) -> str:
    """With the repositories of the tree alone; how it went."""
    return machine.layer(verb, *words).stdout


def layered(machine: Machine) -> list[str]:
    host = machine.host()
    return [str(p.nevra) for p in host.lock_of(host.require_pending()).packages]


@pytest.fixture
def moving(own_world: World, tmp_path: Path) -> Machine:
    """A machine on release 2; packages of the releases 2 and 3."""
    for number in ("2", "3"):
        fruit = tiny_rpm("fruit", "/usr/bin/fruit", version=number, arch="x86_64")
        tiny_repository(tmp_path / "fruit" / number, fruit)
    own_world.publish(release(tmp_path / "fruit", "2", "first"))
    own_world.compose()
    return own_world.machine(tmp_path / "machine")


def test_an_upgrade_takes_the_next_releases_repositories(
    own_world: World, moving: Machine, tmp_path: Path
) -> None:
    plain(moving, "install", "-y", "fruit")
    assert layered(moving) == ["fruit-2-1.x86_64"]
    own_world.publish(release(tmp_path / "fruit", "3", "second"))
    own_world.compose()
    plain(moving, "upgrade", "-y")
    assert layered(moving) == ["fruit-3-1.x86_64"]
    names = [r.id for r in moving.host().repositories()]
    assert names == ["second", "tiny"]  # and that of the test's own directory


def test_an_edit_is_carried_to_the_next_release(
    own_world: World, moving: Machine, tmp_path: Path
) -> None:
    do(moving, "install", "-y", "fruit")
    edited = moving.pending().path / "etc/yum.repos.d/first.repo"
    edited.write_text(edited.read_text().replace("$releasever", "nowhere"))
    own_world.publish(release(tmp_path / "fruit", "3", "first"))
    own_world.compose()
    (error, *_) = fails(moving, "upgrade", "-y")
    assert f"cannot fetch file://{tmp_path}/fruit/nowhere/repodata/repomd.xml" in error
    edited.unlink()
    text = "\n".join(fails(moving, "upgrade", "-y"))
    assert "fruit" in text  # which only that repository has
    assert "nowhere" not in text
