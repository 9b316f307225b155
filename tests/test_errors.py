"""Every error says what to do next: by its own hint, or by that of its class."""

from __future__ import annotations

import ast
import importlib

import pytest

from layer import errors
from layer.commands._speech import Manner
from layer.commands._voice import JsonLines, Narrator
from tests.test_architecture import sources


def error_classes() -> list[type[errors.LayerError]]:
    """LayerError and all classes below it, of any module."""
    for source in sources():
        importlib.import_module(source.name)
    found = [errors.LayerError]
    for each in found:
        found += [below for below in each.__subclasses__() if below not in found]
    return found


def test_every_class_of_errors_has_a_hint() -> None:
    classes = error_classes()
    assert {errors.Busy, errors.Unreachable, errors.NotFound} <= set(classes)
    without = [each.__name__ for each in classes if not each.usual_hint]
    assert without == ["LayerError"]  # which says its own each time: see below


def test_a_bare_error_has_a_hint_of_its_own() -> None:
    without = [
        f"{source.name}:{call.lineno}"
        for source in sources()
        for call in ast.walk(source.tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "LayerError"
        and len(call.args) < 2
        and "hint" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


@pytest.mark.parametrize("is_json", [False, True])
def test_a_hint_is_told(capsys: pytest.CaptureFixture[str], is_json: bool) -> None:
    for each in error_classes():
        error = each.__new__(each)  # some take more than words
        if isinstance(error, errors.Unsolvable):
            error.facts = ()
        for hint, told in (("do so", "do so"), (None, each.usual_hint)):
            errors.LayerError.__init__(error, "what is wrong", hint)
            (JsonLines(()) if is_json else Narrator(Manner())).end(1, error)
            assert told in capsys.readouterr().err
