"""Documentation left out where wanted: as rpm does it, by an option that stays."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import verbs
from layer.documentation import documentation_of, without_documentation
from layer.importer import import_package
from layer.lock import DEFAULTS, TreeOptions
from layer.model import PackageTree
from layer.rpmfile.header import read_header
from layer.rpmfile.states import FileState
from layer.store.files import read_text
from layer.store.objects import OstreeStore
from layer.store.trees import directories_of, files_of, lookup
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import extra_repository, fails, origin_of
from tests.databases import write_database
from tests.world import Machine, World, layer

DOC = "/usr/share/doc"


def doc(path: str) -> FileSpec:
    return FileSpec(path, b"read me", doc=True)


# Each directory is a question to rpm of its own.
CORNERS = tiny_rpm(
    "corners",
    FileSpec("/usr/bin/corners", b"x"),
    doc(f"{DOC}/implied/a"),
    FileSpec.directory(f"{DOC}/listed"),
    doc(f"{DOC}/listed/a"),
    FileSpec.directory(f"{DOC}/mixed"),
    doc(f"{DOC}/mixed/a"),
    FileSpec(f"{DOC}/mixed/copyright", b"x"),
    FileSpec.directory(f"{DOC}/outer"),
    FileSpec.directory(f"{DOC}/outer/inner"),
    doc(f"{DOC}/outer/inner/a"),
    FileSpec.directory(f"{DOC}/empty"),
    FileSpec.directory(f"{DOC}/ghostly"),
    doc(f"{DOC}/ghostly/a"),
    FileSpec(f"{DOC}/ghostly/ghost", ghost=True),
    FileSpec.directory(f"{DOC}/deep"),
    doc(f"{DOC}/deep/implied/a"),
    doc("/usr/share/man/man1/corners.1"),
    FileSpec("/usr/share/mixed/data", b"x"),
    doc("/usr/share/mixed/only/implied/doc"),
)


def with_documented_directory(name: str) -> RpmSpec:
    """Directories may be marked as well, with or without other files in them."""
    marked = FileSpec(f"{DOC}/{name}", kind=0o040000, mode=0o700, doc=True)
    other = FileSpec(f"{DOC}/{name}-too", kind=0o040000, mode=0o755, doc=True)
    return tiny_rpm(name, marked, FileSpec(f"{DOC}/{name}/kept", b"x"), other)


def at_random(seed: int) -> RpmSpec:
    """A package with files and directories anywhere, each marked or not."""
    choose = random.Random(seed)
    folders = ["/usr/share/r"]
    for _ in range(12):
        folders.append(f"{choose.choice(folders)}/{choose.choice('abc')}")
    files: dict[str, FileSpec] = {}
    for folder in sorted(set(folders)):
        if choose.random() < 0.7:
            is_doc = choose.random() < 0.2
            files[folder] = FileSpec(folder, kind=0o040000, mode=0o755, doc=is_doc)
        for name in "xy"[: choose.randrange(3)]:
            is_doc = choose.random() < 0.7
            files[f"{folder}/{name}"] = FileSpec(f"{folder}/{name}", b"x", doc=is_doc)
    return tiny_rpm(f"random{seed}", *files.values(), FileSpec("/usr/bin/r", b"x"))


def imported(store: OstreeStore, path: Path) -> PackageTree:
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    with store.transaction():
        return import_package(store, path, read_header(path), checksum=checksum)


def listing(store: OstreeStore, package: PackageTree) -> dict[str, int]:
    """The directories, with their modes, and files that the package brings."""
    ours = "usr/lib"  # what layer adds lies there
    found = {path: 0 for path, _ in files_of(store, package.root)}
    for path, tree in directories_of(store, package.root):
        found[path] = store.read_directory_attributes(tree.attributes).mode
    return {path: mode for path, mode in found.items() if not f"{path}/".startswith(f"{ours}/")}


def installed_by_rpm(root: Path, path: Path) -> dict[str, int]:
    """The same of what rpm --excludedocs makes of it."""
    root.mkdir()
    options = ("--dbpath", "/.rpmdb", "--force-debian", "--nosignature", "--nodeps", "--noplugins")
    command = ["rpm", "-i", "--root", str(root), *options, "--excludedocs", str(path)]
    subprocess.run(command, check=True, umask=0o022)
    return {
        str(found.relative_to(root)): found.stat().st_mode if found.is_dir() else 0
        for found in (root / "usr", *(root / "usr").rglob("*"))
    }


@pytest.mark.parametrize(
    "spec",
    [CORNERS, with_documented_directory("marked"), *map(at_random, range(12))],
    ids=lambda spec: spec.name,
)
def test_what_is_left_out_is_what_rpm_leaves_out(spec: RpmSpec, tmp_path: Path) -> None:
    store = OstreeStore.create(tmp_path / "store")
    path = write_rpm(spec, tmp_path)
    package = imported(store, path)
    with store.transaction():
        less = without_documentation(store, package)
    assert listing(store, less) == installed_by_rpm(tmp_path / "root", path)
    assert listing(store, less) != listing(store, package)


def test_a_package_without_documentation_is_the_very_same(tmp_path: Path) -> None:
    store = OstreeStore.create(tmp_path / "store")
    package = imported(store, write_rpm(tiny_rpm("none", "/usr/bin/none"), tmp_path))
    with store.transaction():
        assert without_documentation(store, package) is package


def test_factory_content_goes_with_its_tmpfiles_line(tmp_path: Path) -> None:
    store = OstreeStore.create(tmp_path / "store")
    for name, more in (("some", (FileSpec("/var/lib/x/data", b"x"),)), ("all", ())):
        spec = tiny_rpm(name, doc("/var/lib/x/manual"), doc("/opt/x/doc"), *more)
        package = imported(store, write_rpm(spec, tmp_path))
        with store.transaction():
            less = without_documentation(store, package)
        lines = read_text(store, less.root, f"usr/lib/tmpfiles.d/zz-layer-{name}.conf")
        expected = "C /var/lib/x/data 0644 root root\n" if more else ""
        assert [line for line in lines.splitlines() if line.startswith("C")] == (
            expected.splitlines()
        )
        assert lookup(store, less.root, "usr/share/factory/var/lib/x/manual") is None
        assert (lookup(store, less.root, "usr/share/factory") is None) == (not more)


def test_the_rpm_database_says_that_it_is_not_installed(tmp_path: Path) -> None:
    header = read_header(write_rpm(CORNERS, tmp_path))
    left_out = documentation_of(header.files)
    found = {n: FileState.NOT_INSTALLED for n, f in enumerate(header.files) if f.path in left_out}
    for states, state in (({header.nevra: found}, "not installed"), ({}, "normal")):
        folder = tmp_path / state
        folder.mkdir()
        write_database(None, folder, [header.blob], timestamp=1, states=states)
        lines = recorded(folder, "corners")
        assert lines[f"{DOC}/listed/a"] == lines[f"{DOC}/listed"] == state
        assert lines[f"{DOC}/mixed/copyright"] == lines["/usr/bin/corners"] == "normal"


def recorded(database: Path, name: str) -> dict[str, str]:
    """What an rpm database says of each file of a package."""
    command = ["rpm", "--dbpath", str(database), "-qs", name]
    states = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line[13:].strip(): line[:13].strip() for line in states.splitlines()}


# --- the option ----------------------------------------------------------------------------------

MANUAL = "usr/share/doc/book/manual"
BOOK = (
    tiny_rpm("book", "/usr/bin/book", doc(f"/{MANUAL}")),
    tiny_rpm("pen", doc("/usr/share/pen")),
)


@pytest.fixture
def words(tmp_path: Path) -> Iterator[list[str]]:
    """The options of a repository whose packages have documentation."""
    yield extra_repository(tmp_path / "extra", *BOOK)


def has(machine: Machine, path: str) -> bool:
    return (machine.pending().path / path).exists()


def file_states(machine: Machine, name: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:  # rpm writes beside a database
        shutil.copytree(machine.pending().path / "usr/share/rpm", f"{folder}/rpm")
        return recorded(Path(folder, "rpm"), name)


def test_the_option_holds_until_it_is_changed(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", *words, "book")
    with_docs = machine.pending().checksum
    assert has(machine, MANUAL)
    shown = machine.layer("install", "-y", "--no-docs", *words, "pen").stdout
    assert "What is layered comes without documentation from now on." in shown
    assert not has(machine, MANUAL)
    assert has(machine, "usr/bin/book")
    assert "documentation=false\n" in origin_of(machine)
    host = machine.host()
    assert host.lock_of(host.require_pending()).options == TreeOptions(documentation=False)
    assert file_states(machine, "book") == {
        "/usr/bin/book": "normal",
        f"/{MANUAL}": "not installed",
    }
    assert "Documentation: left out of what is layered" in machine.layer("status").stdout
    for verb in ("upgrade", "rebase"):
        more = [] if verb == "upgrade" else [str(host.origin(host.require_pending()).base)]
        machine.layer(verb, "-y", *words, *more)
        assert not has(machine, MANUAL)
    machine.layer("uninstall", "-y", *words, "pen")
    assert not has(machine, MANUAL)
    done = machine.layer("install", "-y", "--docs", *words)
    assert "What is layered comes with documentation from now on." in done.stdout
    assert "Importing" not in done.stderr
    assert machine.pending().checksum == with_docs
    assert "documentation" not in origin_of(machine)


def test_reset_takes_the_option_away(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", "--no-docs", *words, "book")
    machine.layer("uninstall", "-y", *words, "book")
    assert "documentation=false\n" in origin_of(machine)
    assert machine.pending().checksum == machine.world.base.checksum
    machine.layer("reset", "-y", *words)
    assert "documentation" not in origin_of(machine)
    assert machine.layer("reset", "-y", *words).stdout == "No change.\n"


def test_it_comes_to_the_same_by_any_way(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", "--no-docs", *words, "book")
    at_once = machine.pending().checksum
    machine.reset()
    machine.layer("install", "-y", *words, "book")
    assert machine.pending().checksum != at_once
    machine.layer("install", "-y", "--no-docs", *words)
    assert machine.pending().checksum == at_once


def test_saying_it_again_is_no_change(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", "--no-docs", *words, "book")
    again = ("install", "-y", "--unchanged-exit-77", "--no-docs", *words)
    assert machine.layer(*again, status=77).stdout == "No change.\n"
    assert machine.layer("install", "-y", status=2).stderr.endswith(
        "Error: name packages, or say --docs or --no-docs\n"
    )


def test_documentation_that_is_left_out_conflicts_with_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    here = tiny_rpm("here", "/usr/bin/here", FileSpec("/usr/share/readme", b"1", doc=True))
    there = tiny_rpm("there", FileSpec("/usr/share/readme", b"2"))
    options = extra_repository(tmp_path / "extra", here, there)
    error = fails(machine, "install", "-y", *options, "here", "there")[1]
    assert error.startswith("  /usr/share/readme: here-1-1.noarch and there-1-1.noarch: ")
    machine.layer("install", "-y", "--no-docs", *options, "here", "there")
    assert (machine.pending().path / "usr/share/readme").read_bytes() == b"2"


def test_a_replayed_lock_brings_its_option(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", "--no-docs", *words, "book")
    host = machine.host()
    lock = host.lock_of(host.require_pending())
    less = machine.pending().checksum
    machine.reset()
    assert machine.host().lock_of(machine.pending()).options == DEFAULTS
    machine.apply(lambda host: verbs.install(host, ["book"], lock=lock))
    assert machine.pending().checksum == less


def test_an_origin_with_another_value_is_refused(machine: Machine, words: list[str]) -> None:
    machine.layer("install", "-y", "--no-docs", *words, "book")
    path = machine.pending().path
    file = path.with_name(f"{path.name}.origin")
    file.write_text(file.read_text().replace("documentation=false", "documentation=perhaps"))
    assert fails(machine, "install", "-y", "apple") == [
        "error: the origin file says documentation=perhaps; it is true or false"
    ]


def test_a_base_may_do_without(tmp_path: Path, own_world: World) -> None:
    own_world.publish(*BOOK)
    treefile = tmp_path / "tree.toml"
    repos = ("--repo-dir", str(own_world.repo_dir))
    store = OstreeStore.create(tmp_path / "out.cache/repo")
    for value in ("true", "false"):
        treefile.write_text(
            f'ref = "book"\nrepositories = ["tiny"]\npackages = ["tiny-release", "book"]\n'
            f"documentation = {value}\n"
        )
        layer("compose", "tree", str(treefile), "--repo", str(tmp_path / "out"), *repos)
        found = store.find_commit("book")
        assert found is not None
        commit = store.read_commit(found)
        assert (lookup(store, commit.root, MANUAL) is None) == (value == "false")
        assert commit.metadata["layer.options"] == (
            '{"documentation":false}' if value == "false" else "{}"
        )
