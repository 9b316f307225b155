"""What tests begin with in less time is as if it had been made, or started, in full."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from layer.store.sysroot import initialize
from tests import warm
from tests.snapshot import state
from tests.world import World, remove


def test_a_copied_machine_is_like_one_that_was_made(own_world: World, tmp_path: Path) -> None:
    copied = own_world.machine(tmp_path / "copied")
    made = replace(own_world, first=None).machine(tmp_path / "made")
    assert state(copied.path) == state(made.path)
    assert _objects(copied.path) == _objects(made.path)
    copied.install("daemon")
    made.install("daemon")
    assert copied.pending().checksum == made.pending().checksum
    remove([copied.path, made.path])


def test_a_copied_world_is_apart_from_its_original(world: World, own_world: World) -> None:
    before = state_of(world)
    assert state_of(own_world) == before
    own_world.publish()
    own_world.compose()
    assert state_of(world) == before != state_of(own_world)
    assert str(world.path) not in (own_world.repo_dir / "tiny.repo").read_text()


@pytest.mark.parametrize(
    "words",
    [("status", "--sysroot", "here"), ("status", "--sysroot", "nowhere"), ("--help",), ("odd",)],
    ids=" ".join,
)
def test_a_forked_program_is_like_one_that_was_started(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialize(tmp_path / "here", "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    forked = warm.run(words, os.environ)
    started = subprocess.run(
        [sys.executable, "-m", "layer", *words], capture_output=True, text=True, check=False
    )
    assert vars(forked) == vars(started)


def state_of(world: World) -> list[str]:
    """What is served and on offer."""
    folders = (world.path / "served/objects", world.packages)
    return [str(path.relative_to(world.path)) for top in folders for path in sorted(top.rglob("*"))]


def _objects(sysroot: Path) -> list[tuple[str, int]]:
    """The repository's objects, and how many hard links they have."""
    top = sysroot / "ostree/repo/objects"
    return [(str(p.relative_to(top)), p.lstat().st_nlink) for p in sorted(top.rglob("*.*"))]
