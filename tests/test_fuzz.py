"""Every parser that is ours understands what it is given, or says in one line why not."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import pytest

from layer.errors import LayerError
from tests.fuzz import targets
from tests.fuzz.corpus import FOUND, corpus
from tests.fuzz.mutation import mutants
from tests.fuzz.running import Tally
from tests.test_architecture import ROOT

EXECUTIONS = 400  # of each parser, a second or so; `make fuzz` does millions
FEW = {"scriptlet": 60, "lua": 60}  # of what takes long
SEED = 9


@pytest.mark.parametrize("target", targets.TARGETS)
def test_whatever_comes_is_understood_or_refused(target: str) -> None:
    tally = Tally(target)
    executions = FEW.get(target, EXECUTIONS) + len(corpus(target))
    for data in islice(mutants(corpus(target), SEED), executions):
        tally.execute(data)
    assert tally.finds == {}
    assert tally.executions == executions
    assert tally.refused < executions  # or nothing but the first check would be looked at


@pytest.mark.parametrize("target", targets.TARGETS)
def test_what_each_begins_with_is_right(target: str) -> None:
    whole = [data for data in corpus(target) if data not in _found(target)]
    assert whole != []
    for data in whole:
        targets.TARGETS[target](data)


def test_what_was_found_is_of_a_parser() -> None:
    assert {folder.name for folder in FOUND.iterdir()} - {*targets.TARGETS} == set()


def test_a_find_is_noted_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> None:
        if len(data) > 3:
            raise LayerError(" ")
        int(data)

    monkeypatch.setitem(targets.TARGETS, "fails", fails)
    tally = Tally("fails")
    for data in (b"1", b"xx", b"x", b"1234"):
        tally.execute(data)
    assert (tally.executions, tally.refused) == (4, 1)
    (place,) = [place for place in tally.finds if place.startswith("ValueError at ")]
    assert tally.finds == {place: b"x", "an error without words": b"1234"}


def test_the_long_run_prints_a_table() -> None:
    words = [sys.executable, "-m", "tests.fuzz", "--plain", "--seconds", "0.1", "nevra"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1].endswith(" | | 0 |")


def _found(target: str) -> set[bytes]:
    folder = FOUND / target
    return {file.read_bytes() for file in folder.iterdir()} if folder.is_dir() else set()
