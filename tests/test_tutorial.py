"""The tutorial, command by command, on a fresh Debian 12; and the pages that are made of docs/."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.making import tutorial
from tests.test_architecture import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A directory for a whole system."""
    yield tmp_path
    tutorial.make_removable(tmp_path)


def test_the_tutorial_leads_from_nothing_to_a_layered_boot(folder: Path) -> None:
    transcript, picture = tutorial.play(folder / "machine")
    print(transcript)
    assert "strace -- version" in transcript.split("testdata.distro.boot")[1].split("\n$ ")[0]
    assert "running after" in transcript
    assert transcript.count("Changes queued for next boot.") == 5
    assert "libunwind8" in picture


def test_the_documentation_is_built_without_a_warning(tmp_path: Path) -> None:
    subprocess.run([ROOT / "packaging/setup", "docs"], check=True)
    build = [ROOT / ".venv/bin/sphinx-build", "-W", "--keep-going", "-q", "-E", ROOT / "docs"]
    done = subprocess.run([*build, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "index.html").exists()
    assert (tmp_path / "man/layer-install.1.html").exists()
