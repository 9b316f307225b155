"""What a killed process has left goes when the next one works; what others use stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from layer.scratch import leave, scratch_directory, sweep
from layer.store.remains import sweep_sysroot
from tests.world import Machine


def test_a_directory_is_swept_once_its_maker_is_gone(tmp_path: Path) -> None:
    (tmp_path / "layer-dead").mkdir()
    (tmp_path / "layer-dead/file").touch()
    with scratch_directory(tmp_path) as mine:
        sweep(tmp_path, "layer-")
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_left_for_a_person_stays(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as mine:
        leave(mine)
    sweep(tmp_path, "layer-")
    assert list(tmp_path.iterdir()) == [mine]


def test_a_place_that_is_not_there_is_swept_already(tmp_path: Path) -> None:
    sweep(tmp_path / "none", "layer-")


@pytest.mark.parametrize(
    "left",
    [
        "ostree/repo/refs/heads/layer/tmp.AbC123",
        "ostree/deploy/tiny/deploy/tmp.AbC123",
        "ostree/layer/work/abcdefgh/usr/bin/web",
        "ostree/repo/tmp/staging-1-AbC123-lock",
        "ostree/repo/tmp/staging-1-AbC123/file",
        "ostree/repo/tmp/layer-abcdefgh/file",
        "ostree/deploy/tiny/var/cache/layer/.fetch-abcdefgh/file",
        "ostree/deploy/tiny/var/cache/layer/tiny/.fetch-abcdefgh/file",
        "ostree/deploy/tiny/var/cache/layer/.solv/.new-abcdefgh",
    ],
)
def test_what_a_killed_verb_left_is_gone_after_the_next(machine: Machine, left: str) -> None:
    path = machine.path / left
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    machine.layer("kargs", "-y", "--append-if-missing", "quiet")
    assert not path.exists()
    assert path.parent.name in ("layer", "deploy", "tmp", ".solv") or not path.parent.exists()


def test_a_file_of_a_program_that_works_on_the_repository_stays(machine: Machine) -> None:
    file = machine.path / "ostree/repo/refs/heads/tmp.AbC123"
    file.touch()
    store = machine.host().store
    with store.transaction():
        sweep_sysroot(machine.path)
        assert file.exists()
    sweep_sysroot(machine.path)
    assert not file.exists()
