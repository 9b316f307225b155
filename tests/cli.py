"""The real program on a machine of the tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from layer.errors import LayerError
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_repository
from testdata.triggers import hosttree
from tests.snapshot import unchanged
from tests.world import Machine, write_repo_file

REBOOT = 'Changes queued for next boot. Run "systemctl reboot" to start a reboot'


def do(
    machine: Machine, verb: str, *words: str, status: int | None = 0, **rest: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a verb with the world's repositories."""
    return machine.layer(verb, *repositories(machine, verb), *words, status=status, **rest)


def repositories(machine: Machine, verb: str) -> list[str]:
    """The options that name the world's repositories, where the verb has any use for them."""
    has_use = verb in {
        *("install", "uninstall", "reset", "upgrade", "rebase", "deploy", "refresh-md"),
        *("search", "info", "provides"),
    }
    return ["--repo-dir", str(machine.world.repo_dir)] if has_use else []


def fails(machine: Machine, verb: str, *words: str) -> list[str]:
    """Runs a verb that must fail and change nothing; the lines of its error and own hint."""
    with unchanged(machine.path):
        done = do(machine, verb, *words, status=1)
    lines = done.stderr.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    assert not any(line.startswith("error: ") for line in lines[start + 1 :])
    usual = {f"hint: {each.usual_hint}" for each in LayerError.__subclasses__()}
    return [line for line in lines[start:] if line not in usual]


def first(machine: Machine) -> dict[str, Any]:
    """What `status --json` says of the deployment that boots next."""
    entry: dict[str, Any] = json.loads(do(machine, "status", "--json").stdout)["deployments"][0]
    return entry


def host_programs(*paths: str) -> list[FileSpec]:
    """Programs of this machine with their libraries, as files of a package."""
    files = []
    for path, entry in sorted(hosttree.programs(*paths).items()):
        assert entry is not None
        where = f"/{path}" if path.startswith("usr/") else f"/usr/{path}"
        if entry.target:
            files.append(FileSpec.symlink(where, entry.target))
        else:
            files.append(FileSpec(where, Path(entry.host).read_bytes(), mode=0o755))
    return list({file.path: file for file in files}.values())


def extra_repository(folder: Path, *specs: RpmSpec) -> list[str]:
    """The options that add a repository of one's own, so that the world stays as it is."""
    tiny_repository(folder / "packages", *specs)
    repos = folder / "repos"
    repos.mkdir()
    write_repo_file(repos, folder.name, f"file://{folder}/packages")
    return ["--repo-dir", str(repos)]


def origin_of(machine: Machine) -> str:
    """The origin file of the deployment that boots next."""
    return machine.pending().path.with_name(machine.pending().path.name + ".origin").read_text()
