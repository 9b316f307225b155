"""The house's rules, held by reading the source. Each rule is first shown to catch a breach."""

from __future__ import annotations

import ast
import graphlib
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "layer"

MOST_MODULE_LINES = 400
MOST_FUNCTION_LINES = 60
SCREEN = (24, 100)  # lines, columns

_MAP = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
_ROOMS_OF_A_ROW = re.compile(r"^\| (\w+) \| [^|]*\| ((?:`[\w/]+` ?)+)\|$", re.MULTILINE)


def rows(text: str) -> dict[str, list[str]]:
    """The rooms of each row, from the table in docs/architecture.md, in its order."""
    found: dict[str, list[str]] = {}
    for row, named in _ROOMS_OF_A_ROW.findall(text):
        found.setdefault(row, []).extend(room.strip("`/") for room in named.split())
    return found


# A room imports from its own row and from those above it. A room is a module or a package.
ROWS = rows(_MAP)
ROOMS = {room: place for place, rooms in enumerate(ROWS.values()) for room in rooms}

# Who may import a library; nobody else needs to know that it exists.
OWNERS = {
    "solv": ("layer.solver",),
    "rpm": ("layer.rpmfile",),
    "sqlite3": ("layer.rpmfile",),
    "gi": ("layer.store",),
    "librepo": ("layer.fetch",),
    "subprocess": ("layer.sandbox",),
    "networkx": ("layer.triggers", "layer.reasons"),
    "tree_sitter": ("layer.audit",),
    "tree_sitter_bash": ("layer.audit",),
    "tree_sitter_lua": ("layer.audit",),
    "click": ("layer.commands", "layer.__main__"),
    "rich": ("layer.commands",),
    # Other ways to start a process or to reach the network.
    "multiprocessing": (),
    "pty": (),
    "socket": ("layer.store",),
    "http": (),
    "urllib.request": (),
    "dataclasses.dataclass": ("layer.frozen",),  # whose own costs each process less
}
STARTERS = ("system", "popen", "fork", "forkpty", "exec", "spawn", "posix_spawn")

# What a room that only decides has no use for.
DISK_MODULES = {"os", "shutil", "tempfile", "glob", "fileinput"}
DISK_CALLS = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "mkdir",
    "unlink",
    "iterdir",
    "rglob",
    "exists",
    "is_file",
    "is_dir",
}


@dataclass(frozen=True)
class Source:
    """A module's dotted name and its text."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The module, parsed."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The part of `layer` that it belongs to, "" for the package itself."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__.py`."""
        return self.name in {"layer", *(f"layer.{p.parent.name}" for p in _inits())}


@cache
def _inits() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.glob("*/__init__.py")))


@cache
def sources() -> tuple[Source, ...]:
    """All modules of the program."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Source(name, path.read_text()))
    return tuple(found)


# --- the rules: each gives what is wrong with one module -----------------------------------------


def row_faults(source: Source) -> Iterator[str]:
    """Imports that lead down, and rooms that nobody has given a row."""
    if not source.room:
        return
    if source.room not in ROOMS:
        yield f"{source.name} has no row: add it to docs/architecture.md"
        return
    for line, name in imports(source):
        target = Source(name, "").room if name.startswith("layer.") else ""
        if target in ROOMS and ROOMS[target] > ROOMS[source.room]:
            yield f"{source.name}:{line} imports {name}, which is in a lower row"


def owner_faults(source: Source) -> Iterator[str]:
    """Foreign libraries outside the room that owns them."""
    for line, name in imports(source):
        for library, owners in OWNERS.items():
            if _is_in(name, library) and not any(_is_in(source.name, o) for o in owners):
                yield f"{source.name}:{line} imports {library}"
    for call in _calls(source):
        name = ast.unparse(call.func)
        if name.startswith("os.") and name[3:].startswith(STARTERS):
            yield f"{source.name}:{call.lineno} starts a process with {name}"


def purity_faults(source: Source) -> Iterator[str]:
    """Disk access in the rows that only decide."""
    if source.room not in (*ROWS["nouns"], *ROWS["pure"]):
        return
    for line, name in imports(source):
        if name.partition(".")[0] in DISK_MODULES:
            yield f"{source.name}:{line} imports {name}"
    for call in _calls(source):
        name = ast.unparse(call.func).rpartition(".")[2]
        if name in DISK_CALLS:
            yield f"{source.name}:{call.lineno} calls {name}"


def length_faults(source: Source) -> Iterator[str]:
    """Modules and functions that are too long."""
    count = len(source.text.splitlines())
    if count > MOST_MODULE_LINES:
        yield f"{source.name} has {count} lines"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield f"{source.name}:{node.lineno} {node.name} has {lines} lines"


def printing_faults(source: Source) -> Iterator[str]:
    """Output and exits outside the face."""
    if source.room in ROWS["face"]:
        return
    for call in _calls(source):
        if ast.unparse(call.func) in {"print", "input", "exit", "quit", "sys.exit", "os._exit"}:
            yield f"{source.name}:{call.lineno} calls {ast.unparse(call.func)}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"}:
            yield f"{source.name}:{node.lineno} uses {ast.unparse(node)}"
        if isinstance(node, ast.Raise) and node.exc and "SystemExit" in ast.unparse(node.exc):
            yield f"{source.name}:{node.lineno} raises SystemExit"


def catching_faults(source: Source) -> Iterator[str]:
    """Handlers that swallow bugs. BaseException may be caught to tidy up, if raised again."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type)
            last = node.body[-1]
            raises = isinstance(last, ast.Raise) and last.exc is None
            if node.type is None or _names(caught) & {"Exception"}:
                yield f"{source.name}:{node.lineno} catches {caught or 'everything'}"
            elif "BaseException" in _names(caught) and not raises:
                yield f"{source.name}:{node.lineno} catches BaseException and goes on"
    for call in _calls(source):
        if ast.unparse(call.func).endswith("suppress"):
            arguments = {ast.unparse(argument) for argument in call.args}
            if arguments & {"Exception", "BaseException"}:
                yield f"{source.name}:{call.lineno} suppresses {', '.join(sorted(arguments))}"


def init_faults(source: Source) -> Iterator[str]:
    """An `__init__.py` with more in it than a docstring."""
    if source.is_package and (len(source.tree.body) != 1 or not ast.get_docstring(source.tree)):
        yield f"{source.name}: __init__.py holds a docstring and nothing else"


def docstring_faults(source: Source) -> Iterator[str]:
    """Modules, public classes, their public methods and public functions without a docstring."""
    if not ast.get_docstring(source.tree):
        yield f"{source.name} has no docstring"
    yield from _undocumented(source.name, source.tree)


def _undocumented(where: str, parent: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield f"{where}:{node.lineno} {node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(f"{where}.{node.name}", node)


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """What a module imports, anywhere in it, with line numbers; absolute dotted names."""
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            module = importlib.util.resolve_name(f"{dots}{node.module or ''}", package)
            for alias in node.names:
                # `from layer import ids` means the room; `from layer.ids import x` a name in it.
                is_module = module == "layer" or f"{module}.{alias.name}" in OWNERS
                yield node.lineno, f"{module}.{alias.name}" if is_module else module


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _names(caught: str) -> set[str]:
    return {name.strip() for name in caught.strip("()").split(",")}


# --- the rules hold, and each of them can fail ---------------------------------------------------

Rule = Callable[[Source], Iterator[str]]
RULES: tuple[Rule, ...] = (
    row_faults,
    owner_faults,
    purity_faults,
    length_faults,
    printing_faults,
    catching_faults,
    init_faults,
    docstring_faults,
)
BREACHES: tuple[tuple[Rule, str, str, str], ...] = (
    (row_faults, "layer.newroom", "", "layer.newroom has no row: add it to docs/architecture.md"),
    (
        row_faults,
        "layer.origin",
        "from layer.host import Host\n",
        "layer.origin:1 imports layer.host, which is in a lower row",
    ),
    (
        row_faults,
        "layer.lock",
        "def f():\n    from layer import pipeline\n",
        "layer.lock:2 imports layer.pipeline, which is in a lower row",
    ),
    (
        row_faults,
        "layer.store.trees",
        "from ..importer import find_package\n",
        "layer.store.trees:1 imports layer.importer, which is in a lower row",
    ),
    (owner_faults, "layer.importer", "import rpm\n", "layer.importer:1 imports rpm"),
    (
        owner_faults,
        "layer.host",
        "from gi.repository import OSTree\n",
        "layer.host:1 imports gi",
    ),
    (owner_faults, "layer.render", "import click\n", "layer.render:1 imports click"),
    (
        owner_faults,
        "layer.running",
        "from subprocess import run\n",
        "layer.running:1 imports subprocess",
    ),
    (
        owner_faults,
        "layer.fetch.metadata",
        "import urllib.request\n",
        "layer.fetch.metadata:1 imports urllib.request",
    ),
    (
        owner_faults,
        "layer.render",
        "from dataclasses import dataclass, field\n",
        "layer.render:1 imports dataclasses.dataclass",
    ),
    (
        owner_faults,
        "layer.trying",
        "import os\nos.execvp('sh', ['sh'])\n",
        "layer.trying:2 starts a process with os.execvp",
    ),
    (purity_faults, "layer.ids", "import os.path\n", "layer.ids:1 imports os.path"),
    (
        purity_faults,
        "layer.triggers.format",
        "text = path.read_text()\n",
        "layer.triggers.format:1 calls read_text",
    ),
    (length_faults, "layer.ids", "a = 1\n" * 401, "layer.ids has 401 lines"),
    (
        length_faults,
        "layer.ids",
        "def long():\n" + "    a = 1\n" * 60,
        "layer.ids:1 long has 61 lines",
    ),
    (printing_faults, "layer.verbs", "print('done')\n", "layer.verbs:1 calls print"),
    (printing_faults, "layer.host", "import sys\nsys.exit(1)\n", "layer.host:2 calls sys.exit"),
    (
        printing_faults,
        "layer.host",
        "raise SystemExit(1)\n",
        "layer.host:1 raises SystemExit",
    ),
    (
        printing_faults,
        "layer.host",
        "import sys\nsys.stderr.write('x')\n",
        "layer.host:2 uses sys.stderr",
    ),
    (
        catching_faults,
        "layer.host",
        "try:\n    f()\nexcept:\n    raise\n",
        "layer.host:3 catches everything",
    ),
    (
        catching_faults,
        "layer.host",
        "try:\n    f()\nexcept (ValueError, Exception) as error:\n    raise X from error\n",
        "layer.host:3 catches (ValueError, Exception)",
    ),
    (
        catching_faults,
        "layer.host",
        "try:\n    f()\nexcept BaseException:\n    g()\n",
        "layer.host:3 catches BaseException and goes on",
    ),
    (
        catching_faults,
        "layer.host",
        "with suppress(Exception):\n    f()\n",
        "layer.host:1 suppresses Exception",
    ),
    (
        init_faults,
        "layer.store",
        '"""Words."""\nfrom layer.store.objects import OstreeStore\n',
        "layer.store: __init__.py holds a docstring and nothing else",
    ),
    (docstring_faults, "layer.host", "x = 1\n", "layer.host has no docstring"),
    (
        docstring_faults,
        "layer.host",
        '"""Words."""\ndef f(): ...\n',
        "layer.host:2 f has no docstring",
    ),
    (
        docstring_faults,
        "layer.host",
        '"""Words."""\nclass C:\n    """Words."""\n    def f(self): ...\n',
        "layer.host.C:4 f has no docstring",
    ),
)


@pytest.mark.parametrize(
    ("rule", "name", "text", "fault"), BREACHES, ids=[breach[3] for breach in BREACHES]
)
def test_a_rule_catches_a_breach(rule: Rule, name: str, text: str, fault: str) -> None:
    assert list(rule(Source(name, text))) == [fault]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_program_keeps_a_rule(rule: Rule) -> None:
    assert [fault for source in sources() for fault in rule(source)] == []


def test_every_row_names_rooms_that_exist() -> None:
    assert list(ROWS) == ["nouns", "pure", "hands", "work", "whole", "face"]
    assert {source.room for source in sources()} - {""} == set(ROOMS)
    assert len(ROOMS) == sum(map(len, ROWS.values())), "a room has two rows"


def test_a_legal_module_has_no_faults() -> None:
    text = (
        '"""Words."""\n'
        "import subprocess\n"
        "from layer.errors import LayerError\n"
        "def run():\n"
        '    """Words."""\n'
        "    try:\n"
        "        subprocess.run([])\n"
        "    except BaseException:\n"
        "        tidy()\n"
        "        raise\n"
    )
    source = Source("layer.sandbox.process", text)
    assert [fault for rule in RULES for fault in rule(source)] == []


def import_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """A loop of modules that import each other, empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other() -> None:
    names = {source.name for source in sources()}
    graph = {source.name: {n for _, n in imports(source) if n in names} for source in sources()}
    assert import_cycle({"a": {"b"}, "b": {"a"}}) == ["a", "b", "a"]
    assert import_cycle(graph) == []


# --- the face ------------------------------------------------------------------------------------


def verbs() -> list[str]:
    """The verbs of the command line."""
    files = (PACKAGE / "commands").glob("[!_]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def command_lines() -> list[str]:
    """`layer` and every verb with its own verbs, as words after the program's name."""
    found = [""]
    for verb in verbs():
        module = importlib.import_module(f"layer.commands.{verb.replace('-', '_')}")
        found += [verb, *(f"{verb} {name}" for name in getattr(module.command, "commands", {}))]
    return found


def layer(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real program in a terminal of the size that help must fit."""
    return subprocess.run(
        [sys.executable, "-m", "layer", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": str(SCREEN[1]), "LINES": str(SCREEN[0])},
    )


def test_every_verb_has_a_man_page_and_every_page_a_verb() -> None:
    pages = {page.name for page in (ROOT / "man").glob("layer-*.1")}
    assert pages == {f"layer-{verb}.1" for verb in verbs()}


@pytest.mark.parametrize("words", command_lines(), ids=lambda words: words or "layer")
def test_help_fits_a_screen(words: str) -> None:
    shown = layer(*words.split(), "--help")
    lines = shown.stdout.splitlines()
    assert shown.returncode == 0
    assert len(lines) <= SCREEN[0]
    assert [line for line in lines if len(line) > SCREEN[1]] == []
    below_usage = shown.stdout.partition("\n\n")[2]
    assert re.findall(r"\S*\.\.\.(?:  |$)", below_usage, re.MULTILINE) == [], "cut off"


# --- the tools' own rules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=" ".join,
)
def test_the_tools_have_nothing_to_say(command: tuple[str, ...]) -> None:
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
