"""The reference has all that the program has; pictures and links of docs/ are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.making import pictures, reference
from docs.making.tutorial import PAGE, TRANSCRIPT, commands
from tests.test_architecture import ROOT, command_lines

DOCS = ROOT / "docs"
REFERENCE = reference.pages()
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.parent.name not in ("man", "reference"))


def test_every_verb_is_in_the_reference() -> None:
    headings = re.findall(r"^#+ `layer (.*)`$", REFERENCE["reference/verbs.md"], re.M)
    assert set(headings) == set(command_lines()) - {""}


def test_the_keys_of_the_trigger_file_are_all_found() -> None:
    keys = reference.trigger_keys()
    assert len(keys) == len(set(keys)) == 26
    assert {"schema", "match.include", "run.per", "order.after", "order.before"} < set(keys)


@pytest.mark.parametrize("source", sorted(pictures.PICTURES.glob("*.dot")), ids=lambda p: p.stem)
def test_a_picture_is_what_its_text_says(source: Path) -> None:
    same = source.with_suffix(".svg").read_text() == pictures.drawn(source)
    assert same, f"{source.stem}.svg is out of date: make pictures"


@pytest.mark.parametrize("page", [*(str(p.relative_to(DOCS)) for p in PAGES), *REFERENCE])
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    folder = (DOCS / page).parent
    text = REFERENCE.get(page) or (DOCS / page).read_text()
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    targets += [f"{name}.md" for name in re.findall(r"^([\w/-]+)$", _toctrees(text), re.MULTILINE)]
    made = {DOCS / path for path in REFERENCE}
    paths = [(folder / target).resolve() for target in targets]
    assert [path for path in paths if not path.exists() and path not in made] == []


def _toctrees(text: str) -> str:
    return "".join(re.findall(r"^```\{toctree\}\n((?:(?!```).*\n)*)```$", text, re.MULTILINE))


def test_the_transcript_is_of_the_tutorials_commands() -> None:
    text, position = TRANSCRIPT.read_text(), 0
    typed = commands(PAGE.read_text())
    assert len(typed) > 30
    for command in typed:
        position = text.index(f"$ {command}\n", position) + 1
    assert text.count("\n$ ") + 1 == len(typed)
