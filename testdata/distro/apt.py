"""Fetch Debian packages as onto an empty machine: with all that they depend on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

_CONFIGURATION = """\
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{archives}";
Dir::Etc::main "{root}/main.conf";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
"""
# Read after the machine's own configuration: its hooks belong to its own apt.
_MAIN = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Debian packages by file name below `archives`: a base and what may be layered on it."""

    archives: Path
    base: tuple[str, ...]
    layers: tuple[str, ...]
    known_names: frozenset[str]  # every package that Debian has

    def path(self, name: str) -> Path:
        """Return where the package called `name` lies."""
        for filename in (*self.base, *self.layers):
            if package_name(filename) == name:
                return self.archives / filename
        raise KeyError(f"the selection has no package {name}")


def package_name(filename: str) -> str:
    """Return the name of the package in NAME_VERSION_ARCH.deb."""
    return filename.partition("_")[0]


def ensure_selection(
    cache: Path, base: Sequence[str], layers: Sequence[str], *, refresh: bool = False
) -> Selection:
    """Return these packages and their dependencies, from `cache` where it has them.

    What was once selected stays, whatever the archive has since, until `refresh`.
    """
    key = sha256(json.dumps([sorted(base), sorted(layers)]).encode()).hexdigest()[:16]
    record = cache / "selections" / f"{key}.json"
    archives = cache / "archives"
    if record.exists() and not refresh:
        selection = _read_selection(record, archives)
        if all((archives / name).exists() for name in (*selection.base, *selection.layers)):
            return selection
    selection = _fetch_selection(_Apt(cache / "apt", archives), base, layers)
    _write_selection(record, selection)
    return selection


def _read_selection(record: Path, archives: Path) -> Selection:
    data = json.loads(record.read_text())
    return Selection(
        archives, tuple(data["base"]), tuple(data["layers"]), frozenset(data["known_names"])
    )


def _write_selection(record: Path, selection: Selection) -> None:
    data = asdict(selection) | {"known_names": sorted(selection.known_names)}
    del data["archives"]
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(data))
    temporary.replace(record)


def _fetch_selection(apt: _Apt, base: Sequence[str], layers: Sequence[str]) -> Selection:
    apt.update()
    chosen = apt.closure(base)
    everything = apt.closure([*base, *layers])
    apt.download([*base, *layers])
    return Selection(
        apt.archives,
        tuple(sorted(chosen)),
        tuple(sorted(everything - chosen)),
        frozenset(apt.known_names()),
    )


class _Apt:
    """apt on an empty dpkg status, with its own state and the machine's sources."""

    def __init__(self, root: Path, archives: Path) -> None:
        for directory in (root / "state/lists/partial", root / "cache", archives / "partial"):
            directory.mkdir(parents=True, exist_ok=True)
        (root / "status").touch()
        main = Path("/etc/apt/apt.conf")
        include = f"#include {main};\n" if main.exists() else ""
        (root / "main.conf").write_text(include + _MAIN)
        configuration = root / "apt.conf"
        configuration.write_text(_CONFIGURATION.format(root=root, archives=archives))
        self.archives = archives
        self._environment = os.environ | {"APT_CONFIG": str(configuration), "LC_ALL": "C"}

    def update(self) -> None:
        """Fetch the archive's index."""
        self._run("apt-get", "update", "-qq")

    def closure(self, names: Sequence[str]) -> set[str]:
        """Return the file names of the packages that installing `names` would fetch."""
        printed = self._run(*self._install("--print-uris"), "-o", _NOWHERE, *names)
        lines = (line.split() for line in printed.splitlines() if line.startswith("'"))
        return {words[1] for words in lines}

    def download(self, names: Sequence[str]) -> None:
        """Fetch `names` and all they depend on into the archives."""
        self._run(*self._install("--download-only"), *names)

    def known_names(self) -> set[str]:
        """Return the names of all packages in the index."""
        return set(self._run("apt-cache", "pkgnames").split())

    @staticmethod
    def _install(mode: str) -> tuple[str, ...]:
        return ("apt-get", "install", "-qq", "-y", mode, "--no-install-recommends")

    def _run(self, *command: str) -> str:
        finished = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return finished.stdout


# apt prints no address of what lies in its archives.
_NOWHERE = "Dir::Cache::archives=/nonexistent"
