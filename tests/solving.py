"""Repositories and bases for tests of the solver: real RPMs, real metadata, real databases."""

from __future__ import annotations

import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

from layer.fetch.metadata import fetch_metadata
from layer.model import Repository, RepositoryMetadata, Resolution
from layer.report import SILENT, Reporter
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import tiny_repository


class Notes(Reporter):
    """Remembers what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """One line."""
        self.notes.append(text)


def added(resolution: Resolution) -> list[str]:
    """What a resolution adds, as text."""
    return [str(each.package.nevra) for each in resolution.selections]


def offered(
    folder: Path, *specs: RpmSpec, name: str = "r", **settings: object
) -> RepositoryMetadata:
    """The metadata of a repository of these packages; `settings` are the noun's."""
    directory = tiny_repository(folder / "repositories" / name, *specs)
    repository = replace(Repository(name, name, (directory.as_uri(),)), **settings)
    return fetch_metadata(repository, folder / "cache", SILENT)


def installed(folder: Path, *specs: RpmSpec) -> Path:
    """The directory of an rpm database that holds these packages, as it is in a base."""
    rpms, database = folder / "base-rpms", folder / "base/usr/share/rpm"
    rpms.mkdir(parents=True)
    database.mkdir(parents=True)
    files = [str(write_rpm(spec, rpms)) for spec in specs]
    command = "rpm -i --justdb --nodeps --noscripts --ignorearch --ignoreos --nosignature"
    subprocess.run(
        [*command.split(), "--dbpath", str(database), *files], check=True, capture_output=True
    )
    # One file that can be read on a read-only /usr.
    with sqlite3.connect(database / "rpmdb.sqlite") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    for leftover in (".rpm.lock", "rpmdb.sqlite-shm", "rpmdb.sqlite-wal"):
        (database / leftover).unlink(missing_ok=True)
    return database
