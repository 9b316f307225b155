"""Every threat in docs/threats.md names tests, and these exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.test_architecture import ROOT

TEXT = (ROOT / "docs/threats.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| attack", "| what happens"))
]
_TEST = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_tests_of_a_threat_exist(row: list[str]) -> None:
    _, _, named = row
    found = _TEST.findall(named)
    assert ", ".join(f"`{file}{'::' * bool(test)}{test}`" for file, test in found) == named
    for file, test in found:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in tests if test else any(name.startswith("test_") for name in tests)


def test_all_four_attackers_have_rows() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == [
        "The mirror, and whoever is on the way to it",
        "The package",
        "The trigger, and the programs of the tree that it runs",
        "A local user",
        "Damage, and time",
        "What is not stopped",
    ]
    assert len(ROWS) > 30
