"""What may be chosen: excluded packages, the best version or none, and what is recommended."""

from __future__ import annotations

from pathlib import Path

import pytest

from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine, write_repo_file


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    """The directory of a .repo file for a repository with a choice of packages."""
    folder = tmp_path / "choice"
    tiny_repository(
        folder,
        tiny_rpm("tool", version="1", recommends=["extra"]),
        tiny_rpm("tool", version="2", recommends=["extra"], requires=["tiny-libc >= 9"]),
        tiny_rpm("extra"),
    )
    directory = tmp_path / "choice-repos"
    directory.mkdir()
    write_repo_file(directory, "choice", folder.as_uri())
    return directory


def planned(machine: Machine, repos: Path, *words: str) -> list[str]:
    """The packages that a plan says will come."""
    done = do(machine, "install", "-n", "--repo-dir", str(repos), *words)
    table = done.stdout.split("NAME")[1].split("\n\n")[0].splitlines()[1:]
    return [" ".join(line.split()[:2]) for line in table]


def test_what_is_excluded_is_not_there(machine_kept: Machine, repos: Path) -> None:
    assert planned(machine_kept, repos, "tool") == ["tool 1-1"]
    words = ("--repo-dir", str(repos), "-y", "-x", "tool*", "tool")
    error, _hint, suggestion = fails(machine_kept, "install", *words)
    assert error == "error: tool is excluded by --exclude=tool*"
    assert suggestion.endswith(f"--repo-dir {repos} tool  # tool* is not excluded")
    with (repos / "choice.repo").open("a") as file:
        file.write("excludepkgs=to?l\n")
    assert fails(machine_kept, "install", "--repo-dir", str(repos), "-y", "tool") == [
        "error: tool is excluded by excludepkgs=to?l of choice",
        "hint: change that setting, or name another package",
    ]


def test_the_best_version_or_none(machine_kept: Machine, repos: Path) -> None:
    assert planned(machine_kept, repos, "--nobest", "tool") == ["tool 1-1"]
    words = ("--repo-dir", str(repos), "-y", "--best", "tool")
    error, _hint, suggestion = fails(machine_kept, "install", *words)
    assert error.startswith("error: tool-2-1.noarch needs tiny-libc >= 9")
    assert suggestion.endswith(f"--repo-dir {repos} tool  # an older version will do")


def test_what_is_recommended_comes_where_the_machine_wants_it(
    machine_kept: Machine, repos: Path
) -> None:
    settings = machine_kept.pending().path / "etc/layer/layer.toml"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("install-weak-deps = true\n")
    try:
        assert planned(machine_kept, repos, "tool") == ["extra 1-1", "tool 1-1"]
        assert planned(machine_kept, repos, "-x", "extra", "tool") == ["tool 1-1"]
    finally:
        settings.unlink()
