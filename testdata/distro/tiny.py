"""Small RPMs for tests that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testdata.distro.repository import make_repository
from testdata.distro.rpmspec import FileSpec, Relation, RpmSpec, Scriptlet
from testdata.distro.rpmwriter import write_rpm

__all__ = ["FileSpec", "RpmSpec", "Scriptlet", "make_repository", "tiny_repository", "tiny_rpm"]


def tiny_rpm(
    name: str,
    *files: FileSpec | str,
    version: str = "1",
    release: str = "1",
    arch: str = "noarch",
    epoch: int | None = None,
    requires: Sequence[Relation] = (),
    provides: Sequence[Relation] = (),
    conflicts: Sequence[Relation] = (),
    obsoletes: Sequence[Relation] = (),
    recommends: Sequence[Relation] = (),
    suggests: Sequence[Relation] = (),
    supplements: Sequence[Relation] = (),
    enhances: Sequence[Relation] = (),
    scriptlets: Sequence[Scriptlet] = (),
) -> RpmSpec:
    """Return a package; a file given as a mere path holds the package's name and version."""
    return RpmSpec(
        name,
        version,
        release,
        epoch,
        arch,
        requires=tuple(requires),
        provides=tuple(provides),
        conflicts=tuple(conflicts),
        obsoletes=tuple(obsoletes),
        recommends=tuple(recommends),
        suggests=tuple(suggests),
        supplements=tuple(supplements),
        enhances=tuple(enhances),
        files=tuple(
            FileSpec(file, f"{name} {version}\n".encode()) if isinstance(file, str) else file
            for file in files
        ),
        scriptlets=tuple(scriptlets),
    )


def tiny_repository(directory: Path, *specs: RpmSpec) -> Path:
    """Write the packages and their repodata into `directory`, which is made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for spec in specs:
        write_rpm(spec, directory)
    return make_repository(directory)
