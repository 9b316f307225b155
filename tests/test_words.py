"""One word for one thing: docs/words.md says which, and which others are not used for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.test_architecture import ROOT, sources

PAGE = ROOT / "docs/words.md"
# What users read; pages about the making of the program speak to those who read other sources, too.
READ = ("README.md", "man/*", "docs/index.md", "docs/tutorial.md", "docs/how-to/*.md")
READ += ("docs/explanation/*.md", "docs/repositories.md", "docs/damage.md", "docs/costs.md")
READ += ("docs/live.md", "docs/scriptlets.md", "docs/triggers.md")
# Code, and words of other programs that are named as such.
NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|^\.(Li|Fl|Dl|Pa)\b[^\n]*|\S+=\S*", re.DOTALL | re.MULTILINE
)


def avoided() -> dict[str, str]:
    """Each word that is not used, with the one that is."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]*) ?\|$", PAGE.read_text(), re.MULTILINE)
    return {
        other.strip(): word.strip()
        for word, others in rows[2:]
        for other in others.split(",")
        if other.strip()
    }


AVOIDED = avoided()


def found_in(text: str) -> set[str]:
    """The words of a text that have a better one."""
    prose = re.sub(r"\s+", " ", NOT_PROSE.sub(" ", text))
    return {
        word for word in AVOIDED if re.search(rf"(?<![\w-]){word}s?(?![\w-])", prose, re.IGNORECASE)
    }


def said() -> Iterator[tuple[str, str]]:
    """All texts that the program can print, helps and hints too, each with where it stands."""
    for source in sources():
        tree = source.tree
        unsaid = {id(value) for node in ast.walk(tree) for value in _docstring(node)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if id(node) not in unsaid and " " in node.value:
                yield f"{source.name}:{node.lineno}", node.value


def _docstring(node: ast.AST) -> list[ast.expr]:
    """The one that a node has, if nobody is shown it: a command's is its help."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        return []
    first = node.body[0]
    is_shown = isinstance(node, ast.FunctionDef) and _is_command(node)
    return [first.value] if isinstance(first, ast.Expr) and not is_shown else []


def _is_command(function: ast.FunctionDef) -> bool:
    return any("command" in ast.unparse(each) for each in function.decorator_list)


def test_the_list_is_read() -> None:
    assert AVOIDED["initrd"] == "initramfs" and len(AVOIDED) > 20
    assert found_in("It makes `initrd` and\n.Li revision\nx=hook of a base\nimages.") == {
        "base image"
    }
    assert found_in("An initial ramdisk; hooks") == {"initial ramdisk", "hook"}


@pytest.mark.parametrize("pattern", READ)
def test_pages_say_the_same_word_for_the_same_thing(pattern: str) -> None:
    paths = sorted(ROOT.glob(pattern))
    assert paths
    wrong = {str(path.relative_to(ROOT)): found_in(path.read_text()) for path in paths}
    assert {path: words for path, words in wrong.items() if words} == {}


def test_the_program_says_the_same_word_for_the_same_thing() -> None:
    texts = list(said())
    assert len(texts) > 1500
    assert {place: words for place, text in texts if (words := found_in(text))} == {}
