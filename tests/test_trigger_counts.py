"""How many programs an install really starts, over the demonstration's base with more icon themes.

Counted in strace's log of the whole program: what the kernel executed, and with which words.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.compose import compose_and_publish
from layer.lock import read_record
from layer.model import Tree
from layer.report import SILENT
from layer.store.trees import lookup
from testdata.distro.build import ensure_demo
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_repository, tiny_rpm
from tests.cli import do, extra_repository, repositories
from tests.test_demo_base import TREEFILE, DemoWorld
from tests.test_trigger_again import STRACE
from tests.world import Machine, remove, served, write_repo_file

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
INDEX = """\
[Icon Theme]
Name={}
Comment=A theme
Directories=16x16/apps
[16x16/apps]
Size=16
"""
THEMES = ("Adwaita", "breeze", "hicolor")
CACHE = "usr/share/icons/{}/icon-theme.cache"
_EXECUTED = re.compile(r'execve\("(?P<path>[^"]*)", \[(?P<words>.*?)\].* = 0')


def icon(theme: str, name: str, content: bytes = PIXEL) -> FileSpec:
    return FileSpec(f"/usr/share/icons/{theme}/16x16/apps/{name}.png", content)


def theme(name: str) -> RpmSpec:
    files = [icon(name, f"{name}-first"), icon(name, f"{name}-second")]
    if name != "hicolor":  # whose index the demonstration's base has
        where = f"/usr/share/icons/{name}/index.theme"
        files.append(FileSpec(where, INDEX.format(name).encode()))
    return tiny_rpm(f"theme-{name.lower()}", *files)


pytestmark = pytest.mark.slow  # a base of its own, composed: `make test-triggers`


@pytest.fixture(scope="module")
def themed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on the demonstration's base with three icon themes and strace's library."""
    path = tmp_path_factory.mktemp("themed")
    tiny_repository(path / "themes", *map(theme, THEMES))
    (path / "repos").mkdir()
    write_repo_file(path / "repos", "demo", f"file://{ensure_demo().path}")
    write_repo_file(path / "repos", "themes", f"file://{path}/themes")
    text = TREEFILE.read_text().replace(
        'repositories = ["demo"]', 'repositories = ["demo", "themes"]'
    )
    more = '"libunwind8", "theme-adwaita", "theme-breeze", "theme-hicolor",'
    (path / "tree.toml").write_text(text.replace("packages = [", f"packages = [{more}"))
    places = (path / "tree.toml", path / "served", (path / "repos",), path / "build")
    composed = compose_and_publish(*places, SILENT)
    with served(path / "served") as url:
        yield DemoWorld(path, url, composed).machine(path / "machine")
    remove([path / "machine"])


def executed(machine: Machine, log: Path, *words: str) -> list[tuple[str, str]]:
    """The programs and their words that an install in a process of its own executes."""
    options = ["--sysroot", str(machine.path), *repositories(machine, "install"), "-y"]
    command = [sys.executable, "-m", "layer", "install", *options, *words]
    subprocess.run([*STRACE, str(log), *command], check=True, capture_output=True)
    found = (_EXECUTED.search(line) for line in log.read_text().splitlines())
    return [(one["path"].rpartition("/")[2], one["words"]) for one in found if one]


def icon_caches(calls: list[tuple[str, str]]) -> list[str]:
    """The themes that gtk-update-icon-cache was executed for."""
    words = [words for name, words in calls if name == "gtk-update-icon-cache"]
    return [text.rpartition("/")[2].rstrip('"') for text in words]


def caches(machine: Machine) -> dict[str, str]:
    """The object of each theme's cache in what boots next."""
    store = machine.host().store
    tree = store.read_commit(machine.pending().checksum).root
    found = {name: lookup(store, tree, CACHE.format(name)) for name in THEMES}
    assert not any(isinstance(one, Tree) for one in found.values())
    return {name: str(checksum) for name, checksum in found.items()}


def sandboxes(calls: list[tuple[str, str]]) -> int:
    return sum(name == "bwrap" for name, _ in calls)


def test_one_icon_runs_the_cache_of_its_theme_alone(themed: Machine, tmp_path: Path) -> None:
    base = caches(themed)
    assert len({*base.values()} - {"None"}) == len(THEMES)
    first = extra_repository(tmp_path / "one", tiny_rpm("one-icon", icon("breeze", "third")))

    calls = executed(themed, tmp_path / "log", *first, "one-icon")

    assert (icon_caches(calls), sandboxes(calls)) == (["breeze"], 1)
    layered = caches(themed)
    assert {name for name in THEMES if layered[name] != base[name]} == {"breeze"}
    content = (themed.pending().path / CACHE.format("breeze")).read_bytes()
    assert b"third" in content
    commit = themed.pending().checksum

    do(themed, "reset", "-y")
    assert caches(themed) == base
    calls = executed(themed, tmp_path / "again", *first, "one-icon")
    assert (icon_caches(calls), sandboxes(calls)) == ([], 0)
    assert themed.pending().checksum == commit

    do(themed, "reset", "-y")
    changed = icon("breeze", "third", PIXEL + b"changed")
    second = extra_repository(tmp_path / "two", tiny_rpm("one-icon", changed, version="2"))
    calls = executed(themed, tmp_path / "changed", *second, "one-icon")
    assert (icon_caches(calls), sandboxes(calls)) == (["breeze"], 1)

    do(themed, "reset", "-y")
    both = tiny_rpm("two-icons", icon("breeze", "third"), icon("hicolor", "third"))
    more = extra_repository(tmp_path / "three", both)
    calls = executed(themed, tmp_path / "other", *more, "two-icons")
    # That of breeze is kept from the first time.
    assert (icon_caches(calls), sandboxes(calls)) == (["hicolor"], 1)
    do(themed, "reset", "-y")


def test_strace_starts_no_trigger_where_its_library_is_in_the_base(
    themed: Machine, tmp_path: Path
) -> None:
    calls = executed(themed, tmp_path / "log", "strace")

    assert themed.layered() == ["strace"]
    assert sandboxes(calls) == 0
    store = themed.host().store
    assert read_record(store.read_commit(themed.pending().checksum)).runs == ()
    do(themed, "reset", "-y")
