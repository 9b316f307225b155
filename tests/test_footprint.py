"""What a checkout takes on disk, and how often it is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layer import footprint
from layer.footprint import Places, checkout_size
from layer.model import Tree

TREE = Tree("a" * 64, "b" * 64)
STORE: Any = None  # a checkout is not looked up in a store


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for folder in ("usr/share/doc", "usr/bin", "etc"):
        (tmp_path / "deployment" / folder).mkdir(parents=True)
    (tmp_path / "deployment/etc/hosts").write_text("127.0.0.1 localhost\n")
    return Places(
        tmp_path, tmp_path / "deployment", tmp_path, known=tmp_path / "cache/checkout.json"
    )


def test_the_directories_of_a_tree_are_counted_once(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Directories take no blocks in memory, where tests run.
    sizes = iter([[4096, 8192], [4096]])
    monkeypatch.setattr(footprint, "_directories", lambda _: next(sizes))
    assert places.deployment
    rest = 512 * (places.deployment / "etc/hosts").stat().st_blocks

    assert checkout_size(STORE, places, TREE) == 12288 + rest
    assert checkout_size(STORE, places, TREE) == 12288 + rest
    assert checkout_size(STORE, places, Tree("c" * 64, "b" * 64)) == 4096 + rest


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "bytes": 1}', '{"schema": 1}'])
def test_a_record_that_is_none_is_made_anew(places: Places, text: str) -> None:
    first = checkout_size(STORE, places, TREE)
    assert places.known
    places.known.write_text(text)

    assert checkout_size(STORE, places, TREE) == first


def test_a_record_that_cannot_be_written_does_not_matter(places: Places) -> None:
    assert places.known
    first = checkout_size(STORE, places, TREE)
    places.known.unlink()
    places.known.mkdir()

    assert checkout_size(STORE, places, TREE) == first


def test_a_recycled_tree_has_its_directories_already(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_directories", lambda _: [4096])
    recycled = replace(places, is_recycled=True)
    assert checkout_size(STORE, places, TREE) == checkout_size(STORE, recycled, TREE) + 4096
