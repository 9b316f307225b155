"""What the texts say is true: examples run, pages and help agree, tables match what is written."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from layer.commands._verbs import cli
from layer.history import BaseVersion, Entry, as_object
from layer.importer import find_package
from layer.model import Commit
from layer.treefile import parse_treefile
from layer.triggers.format import parse_trigger
from tests.test_architecture import OWNERS, ROOT, command_lines, verbs
from tests.world import Machine, World, layer

MAN = sorted((ROOT / "man").iterdir())
SETTINGS = 'SYSROOT, REPOSITORIES, PACKAGE = Path("/"), Path("/etc/yum.repos.d"), "strace"\n'


def read(name: str) -> str:
    """A text of the checkout."""
    return (ROOT / name).read_text()


# --- README.md -----------------------------------------------------------------------------------


def test_the_readmes_python_example_layers_a_package(machine: Machine) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.DOTALL | re.MULTILINE)
    settings = (
        "SYSROOT, REPOSITORIES, PACKAGE = "
        f'Path("{machine.path}"), Path("{machine.world.repo_dir}"), "apple"\n'
    )
    assert block.count(SETTINGS) == 1
    done = subprocess.run(
        [sys.executable, "-c", block.replace(SETTINGS, settings)],
        capture_output=True,
        text=True,
        check=False,
        cwd=machine.path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    checksum = machine.pending().checksum
    assert done.stdout == f"{checksum} adds apple-1-1.x86_64, libseed-1-1.x86_64\n"
    assert machine.layered() == ["apple", "libseed"]


def test_the_readmes_python_example_is_ten_lines() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.DOTALL | re.MULTILINE)
    assert len([line for line in block.splitlines() if line]) == 10


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/architecture.md", "docs/formats.md", "docs/live.md", "docs/triggers.md"],
)
def test_links_between_texts_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", read(name))
    folder = (ROOT / name).parent
    assert [target for target in targets if not (folder / target).exists()] == []


def test_the_readme_has_a_line_for_every_verb() -> None:
    table = read("README.md").split("## The verbs")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", table, re.MULTILINE)
    assert sorted(name for name, _ in rows) == verbs()
    assert all(10 <= len(text) < 140 for _, text in rows)


# --- man pages -----------------------------------------------------------------------------------

MANNERS = {"--quiet", "--verbose", "--no-pager", "--json-progress"}  # layer(1) has them for all


@pytest.mark.parametrize("page", MAN, ids=lambda page: page.name)
def test_a_man_page_has_no_faults(page: Path) -> None:
    done = subprocess.run(
        ["man", "--local-file", "--warnings", "-E", "UTF-8", str(page)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc here")
@pytest.mark.parametrize("page", MAN, ids=lambda page: page.name)
def test_a_man_page_pleases_mandoc(page: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wstyle", str(page)], capture_output=True, text=True, check=False
    )
    about_other_pages = ("mandoc.db", "referenced manual not found")
    lines = [s for s in done.stdout.splitlines() if not any(t in s for t in about_other_pages)]
    assert lines == []


@pytest.mark.parametrize("verb", ["", *verbs()], ids=lambda verb: verb or "layer")
def test_page_and_help_have_the_same_options(verb: str) -> None:
    page = read(f"man/layer-{verb}.1" if verb else "man/layer.1")
    in_page = {
        f"-{name}"
        for item in re.findall(r"^\.It (Fl .*)$", page, re.MULTILINE)
        for name in re.findall(r"\bFl (\S+)", item)
    }
    lines = [words for words in command_lines() if words.split()[:1] == verb.split()]
    in_help = {option for words in lines for option in options_of(layer(*words.split(), "--help"))}
    assert in_page == in_help


@pytest.mark.parametrize("words", command_lines())
def test_what_help_leaves_out_stands_on_the_pages(words: str) -> None:
    """On that of the verb or that of the program; it says so."""
    command: click.Command = cli
    for word in words.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    if command.hidden or isinstance(command, click.Group):
        return
    verb = words.split()[0]
    shown = " ".join(layer(*words.split(), "--help").stdout.split())
    assert set(re.findall(r"man (layer\S*) ", shown)) in ({f"layer-{verb}", "layer"}, set())
    page = read(f"man/layer-{verb}.1") + read("man/layer.1")
    hidden = [o.opts[-1] for o in command.params if isinstance(o, click.Option) and o.hidden]
    unsaid = [o for o in hidden if not re.search(f"(Fl |Li -|, -){o[1:]}\\b", page)]
    assert unsaid == []
    assert ("man layer-" in shown) == bool({*hidden} - MANNERS)


def options_of(shown: subprocess.CompletedProcess[str]) -> set[str]:
    """The options that a help lists."""
    heads = re.findall(r"^ {2}(-.*?)(?: {2,}|$)", shown.stdout, re.MULTILINE)
    return {option for head in heads for option in re.findall(r"(?<!\S)--?[\w-]+", head)}


def test_the_overview_names_every_verb() -> None:
    assert re.findall(r"^\.It Cm (\S+)$", read("man/layer.1"), re.MULTILINE) != []
    named = set(re.findall(r"^\.It Cm (\S+)$", read("man/layer.1"), re.MULTILINE))
    assert named == set(verbs())


def examples() -> list[tuple[str, str]]:
    """Command lines of `layer` in man pages and README, each with the text's name."""
    found = []
    for page in MAN:
        text = page.read_text().replace("\\\\\n", "").replace("\\\n", "")
        for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.DOTALL | re.MULTILINE):
            found += [(page.name, line) for line in block.splitlines() if line.startswith("layer ")]
    session = re.findall(r"^ {4}\$ (layer .*)$", read("README.md"), re.MULTILINE)
    return [*found, *(("README.md", line) for line in session)]


@pytest.mark.parametrize(("_name", "line"), examples())
def test_an_example_is_accepted_by_the_program(_name: str, line: str) -> None:
    words = shlex.split(line.partition(" | ")[0])[1:]
    depth = 2 if words[0] in {"compose", "db", "group", "lock", "remote", "repo", "trigger"} else 1
    # Options are parsed, and unknown ones refused, before help is shown.
    done = CliRunner().invoke(cli, [*words[:depth], "--help", *words[depth:]])
    assert (done.exit_code, done.output[:6]) == (0, "Usage:")


@pytest.mark.parametrize(
    ("page", "parse"), [("layer-treefile.5", parse_treefile), ("layer-trigger.5", parse_trigger)]
)
def test_the_example_of_a_file_can_be_read(page: str, parse) -> None:  # type: ignore[no-untyped-def]
    (block,) = re.findall(
        r"^\.Bd -literal.*?\n(.*?)^\.Ed", read(f"man/{page}"), re.DOTALL | re.MULTILINE
    )
    parse(block.replace("\\e", "\\"), page)


def test_the_pages_of_files_name_every_key() -> None:
    treefile = importlib.import_module("layer.treefile")
    keys = {*treefile._TOP, *treefile._KERNEL, *treefile._USER}
    assert keys - _words("man/layer-treefile.5") == set()
    trigger = read("layer/triggers/format.py")
    calls = r'\b(?:top|match|run|order|io|sandbox|policy|covers|live)\.\w+\(\s*"(\w+)"'
    assert set(re.findall(calls, trigger)) - _words("man/layer-trigger.5") == set()


def _words(page: str) -> set[str]:
    return set(re.findall(r"[\w-]+", read(page)))


def test_texts_that_the_program_refers_to_exist() -> None:
    code = "".join(file.read_text() for file in sorted((ROOT / "layer").rglob("*.py")))
    named = set(re.findall(r"\bdocs/[\w-]+\.md\b", code))
    named |= {f"man/{page}.5" for page in re.findall(r"\bman 5 (layer-[a-z]+)", code)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


# --- completion ----------------------------------------------------------------------------------


def complete(words: str, **env: str) -> list[str]:
    """What a shell is offered for the last of the words."""
    done = layer(
        env={
            "_LAYER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            **env,
        }
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_verbs_are_completed() -> None:
    assert complete("layer ins") == ["install"]
    assert complete("layer re") == ["rebase", "refresh-md", "remote", "repo", "reset"]


def test_options_are_completed() -> None:
    assert complete("layer install --idem") == ["--idempotent"]


def test_uninstall_is_completed_with_what_was_asked_for(machine: Machine) -> None:
    machine.install("apple", "web")
    sysroot = str(machine.path)
    assert complete("layer uninstall ", OSTREE_SYSROOT=sysroot) == ["apple", "web"]
    assert complete("layer uninstall a", OSTREE_SYSROOT=sysroot) == ["apple"]
    assert complete(f"layer uninstall --sysroot {sysroot} w") == ["web"]


def test_completion_without_a_sysroot_offers_nothing(tmp_path: Path) -> None:
    assert complete("layer uninstall a", OSTREE_SYSROOT=str(tmp_path)) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_as_the_page_says(shell: str) -> None:
    source = f"_LAYER_COMPLETE={shell}_source"
    assert source in read("man/layer.1")
    assert "_layer_completion" in layer(env={"_LAYER_COMPLETE": f"{shell}_source"}).stdout


# --- docs/ ---------------------------------------------------------------------------------------


def test_every_page_is_in_the_table_of_contents() -> None:
    named = set(re.findall(r"^([a-z/-]+)$", read("docs/index.md"), re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    pages = {path for path in pages if not path.startswith(("man/", "reference/"))}
    missing = {path.removesuffix(".md") for path in pages} - named - {"index"}
    assert sorted(missing) == [], "docs/index.md does not list them"


def test_the_map_names_all_owned_libraries() -> None:
    text = read("docs/architecture.md")
    owned = {library for library, owners in OWNERS.items() if owners}
    assert owned - set(re.findall(r"\w+(?:\.\w+)*", text)) == set()


def test_the_formats_name_all_metadata_of_a_derived_commit(machine: Machine) -> None:
    host = machine.host()
    deployed = machine.install("daemon").checksum
    commit = machine.host().store.read_commit(deployed)
    assert set(commit.metadata) == documented("Derived commit")
    package = host.lock_of(machine.pending()).packages[0]
    imported = find_package(host.store, package.checksum)
    assert imported is not None
    assert set(host.store.read_commit(imported.commit).metadata) == documented("Imported package")
    assert set(_trigger_output(machine).metadata) == documented("Trigger output")
    for ref in host.store.refs("layer"):
        assert f"`{'/'.join(ref.split('/')[:2])}/" in read("docs/formats.md")


def test_the_formats_name_all_metadata_of_a_base(world: World, machine: Machine) -> None:
    metadata = set(machine.host().store.read_commit(world.base.checksum).metadata)
    assert metadata == documented("Derived commit") - {"layer.base"}


def test_the_formats_name_all_keys_of_the_history() -> None:
    base = BaseVersion("a", "b", "c")
    by_name = {"str": "x", "int": 1, "bool": True, "BaseVersion | None": base}
    full: dict[str, Any] = {}
    for field in fields(Entry):
        full[field.name] = by_name.get(str(field.type), (("x", "y"),))
    written = as_object(Entry(**full))
    assert len(written) == len(Entry.__slots__) + 1  # and the schema
    assert set(written) - {"has-booted"} == documented("History")
    assert set(written["base"]) == {"source", "checksum", "version"}
    assert '`{"checksum", "source", "version"}`' in read("docs/formats.md")
    assert "`has-booted`" in read("docs/formats.md")


def _trigger_output(machine: Machine) -> Commit:
    store = machine.host().store
    return store.read_commit(sorted(store.refs("layer/trigger").values())[0])


def documented(heading: str) -> set[str]:
    """The keys in the first table below a heading of docs/formats.md."""
    section = re.split(r"^## ", read("docs/formats.md"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(heading)]
    table = text.split("\n\n|")[1].split("\n\n")[0]
    cells = re.findall(r"^\|? ?((?:`[\w.-]+`(?:, )?)+) \|", table, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([\w.-]+)`", cell)}
