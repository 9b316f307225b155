"""Trees and overlays: whatever is done in the sandbox, the tree becomes what the sandbox saw."""

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layer.model import Tree
from layer.overlay import (
    WriteRules,
    apply_effect,
    link_difference,
    read_effect,
)
from layer.sandbox.box import Overlay, Sandbox, SandboxedCommand
from layer.store.objects import OstreeStore
from layer.store.trees import directories_of, files_of, lookup
from layer.triggers.globs import parse_glob
from testdata.triggers.hosttree import Entry, link, make, programs, put, text

NAMES = ["a", "b", "a/x", "a/y", "b/x", "a/x/z", "b/x/z"]
TOOLS = programs(
    *(f"/usr/bin/{name}" for name in ("sh", "chmod", "chown", "ln", "mkdir", "mv", "rm", "touch"))
)
EVERYTHING = WriteRules((parse_glob("usr/**"),), ())

place = st.sampled_from(NAMES)
operation = st.one_of(
    st.builds("echo {1} > {0}".format, place, st.integers(0, 3)),
    st.builds("echo {1} >> {0}".format, place, st.integers(0, 3)),
    st.builds("mkdir {0}".format, place),
    st.builds("rm -r {0}".format, place),
    st.builds("mv -T {0} {1}".format, place, place),
    st.builds("ln {0} {1}".format, place, place),
    st.builds("ln -sfn ../{0} {1}".format, place, place),
    st.builds("chmod {1} {0}".format, place, st.sampled_from(["600", "755", "2711", "1777"])),
    st.builds("chown -h {1} {0}".format, place, st.sampled_from(["0:0", "7:8"])),
    st.builds("touch {0}".format, place),
)
attributes = st.sampled_from([(0o755, 0, 0), (0o2750, 3, 4)])
entry = st.one_of(
    st.builds(lambda n: text(f"{n}\n"), st.integers(0, 3)),
    st.just(link("nowhere")),
    attributes.map(lambda a: Entry(is_directory=True, mode=a[0], uid=a[1], gid=a[2])),
)
trees = st.dictionaries(place, entry).map(
    lambda found: {
        path: what
        for path, what in sorted(found.items())
        if all(
            found.get(path.rsplit("/", depth)[0], Entry(is_directory=True)).is_directory
            for depth in range(1, path.count("/") + 1)
        )
    }
)


@dataclass
class Scene:
    path: Path
    store: OstreeStore
    base: Tree
    sandbox: Sandbox


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("overlay")
    store = OstreeStore.create(path / "repo")
    with store.transaction():
        base = make(store, {**TOOLS, "usr/w": Entry(is_directory=True, mode=0o755)})
    (path / "scratch").mkdir()
    with Sandbox(path / "scratch") as sandbox:
        yield Scene(path, store, base, sandbox)


def tree_of(scene: Scene, found: dict[str, Entry]) -> Tree:
    with scene.store.transaction():
        return put(scene.store, scene.base, {f"usr/w/{path}": e for path, e in found.items()})


def usr(scene: Scene, tree: Tree) -> Tree:
    found = lookup(scene.store, tree, "usr")
    assert isinstance(found, Tree)
    return found


def overlay_of(scene: Scene, *trees: Tree) -> Overlay:
    """A checkout of the first tree, and over it what differs in each of the others."""
    folder = Path(tempfile.mkdtemp(dir=scene.path))
    lowers: list[Path] = []
    shown: Tree | None = None
    for number, tree in enumerate(trees):
        if shown is None or usr(scene, tree) != shown:
            link_difference(scene.store, shown, usr(scene, tree), folder / str(number))
            lowers.insert(0, folder / str(number))
        shown = usr(scene, tree)
    return scene.sandbox.overlay(lowers)


def on_disk(path: Path) -> dict[str, str]:
    """All below a directory, as a program sees it."""
    found = {}
    for item in sorted(path.rglob("*")):
        info = item.lstat()
        owner = f"{stat.S_IMODE(info.st_mode):o} {info.st_uid}:{info.st_gid}"
        if item.is_symlink():
            found[str(item.relative_to(path))] = f"link {owner} {os.readlink(item)}"  # noqa: PTH115
        elif item.is_dir():
            found[str(item.relative_to(path))] = f"folder {owner}"
        else:
            found[str(item.relative_to(path))] = f"file {owner} {item.read_text()}"
    return found


def in_store(scene: Scene, tree: Tree) -> dict[str, str]:
    """The same of a tree's usr/w."""
    top = lookup(scene.store, tree, "usr/w")
    assert isinstance(top, Tree)
    found = {}
    for path, child in directories_of(scene.store, top):
        d = scene.store.read_directory_attributes(child.attributes)
        found[path] = f"folder {stat.S_IMODE(d.mode):o} {d.uid}:{d.gid}"
    for path, checksum in files_of(scene.store, top):
        a = scene.store.read_file_attributes(checksum)
        owner = f"{stat.S_IMODE(a.mode):o} {a.uid}:{a.gid}"
        if a.target:
            found[path] = f"link {owner} {a.target}"
        else:
            with scene.store.open_file(checksum) as file:
                found[path] = f"file {owner} {file.read().decode()}"
    return found


few = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few
@given(found=trees, operations=st.lists(operation, min_size=1, max_size=12))
def test_the_tree_becomes_what_the_sandbox_saw(
    scene: Scene, found: dict[str, Entry], operations: list[str]
) -> None:
    tree = tree_of(scene, found)
    overlay = overlay_of(scene, tree)
    script = "\n".join(["cd /usr/w", *(f"{line} 2>/dev/null" for line in operations), "true"])

    finished = scene.sandbox.run(overlay, SandboxedCommand(("/usr/bin/sh", "-c", script), 0))

    assert finished.status == 0, finished.output
    with scene.store.transaction():
        effect = read_effect(scene.store, tree, overlay.upper, EVERYTHING)
        after = apply_effect(scene.store, tree, effect)
    assert in_store(scene, after) == on_disk(overlay.merged / "w")
    assert [
        path for path, checksum in effect.files if lookup(scene.store, tree, path) == checksum
    ] == []


@few
@given(versions=st.lists(trees, min_size=1, max_size=4))
def test_differences_laid_over_each_other_show_the_last_tree(
    scene: Scene, versions: list[dict[str, Entry]]
) -> None:
    stack = [tree_of(scene, found) for found in versions]

    overlay = overlay_of(scene, *stack)

    assert on_disk(overlay.merged / "w") == in_store(scene, stack[-1])
    with scene.store.transaction():
        assert read_effect(scene.store, stack[-1], overlay.upper, EVERYTHING).files == ()
