"""Packages that come as files: read, checked, and kept in the store by their checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from layer.errors import InvalidInput, NotFound, PackageRefused
from layer.frozen import dataclass
from layer.importer import find_package, import_packages
from layer.model import LockedPackage
from layer.rpmfile.header import read_header
from layer.store.contract import ObjectStore
from layer.words import shown

_SUFFIX = ".rpm"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """An RPM on disk: its name, the SHA-256 of the file, where it lies, and the word for it."""

    package: LockedPackage
    path: Path
    word: str = ""


def names_file(word: str) -> bool:
    """Whether a word of a command line is an RPM file or a URL, and not a package's name."""
    return word.endswith(_SUFFIX) or "://" in word or word.startswith(("./", "../"))


def read_local_file(path: Path) -> LocalFile:
    """The package in a file; NotFound or PackageRefused where there is none that can be read."""
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise NotFound(f"{shown(str(path))} {what}", "a package's name has no .rpm at its end")
    try:
        header = read_header(path)
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotFound(f"{shown(str(path))} cannot be read: {error.strerror}") from error
    return LocalFile(LockedPackage(header.nevra, checksum), path)


def refuse_twins(files: Sequence[LocalFile]) -> None:
    """InvalidInput where two files are one package in different versions."""
    seen: dict[tuple[str, str], LocalFile] = {}
    for file in files:
        nevra = file.package.nevra
        other = seen.setdefault((nevra.name, nevra.arch), file)
        if other.package != file.package:
            raise InvalidInput(
                f"{shown(str(other.path))} and {shown(str(file.path))} are both {nevra.name}",
                "name one of them",
            )


def require_kept(store: ObjectStore, packages: Iterable[LockedPackage]) -> None:
    """NotFound names all packages that came as files and are not in the store."""
    missing = [p for p in packages if find_package(store, p.checksum) is None]
    if missing:
        lines = [f"{p.nevra} ({_known_by(store, p)})" for p in sorted(missing)]
        raise NotFound(
            "these packages came as files, and are not here:\n  " + "\n  ".join(lines),
            "name the files again (layer install FILE.rpm, layer override replace FILE.rpm), "
            "or do without them: layer uninstall NAME, layer override reset NAME",
        )


def _known_by(store: ObjectStore, package: LockedPackage) -> str:
    # rpm-ostree's number in the origin is one of the header; what it imported is under
    # rpmostree/pkg/NAME/EVR.ARCH (rpmostree-rpm-util: rpmostree_get_cache_branch_for_n_evr_a).
    if store.refs(f"rpmostree/pkg/{package.nevra.name}"):
        return "rpm-ostree layered it, and keeps no RPM of it"
    return f"SHA-256 {package.checksum}"


def import_files(store: ObjectStore, files: Sequence[tuple[str, Path]]) -> None:
    """Imports packages by checksum and path that are not in the store yet.

    PackageRefused for a file that is not what it was when the plan was made.
    """
    new = [(checksum, path) for checksum, path in files if find_package(store, checksum) is None]
    if not new:
        return
    for checksum, path in new:
        if read_local_file(path).package.checksum != checksum:
            raise PackageRefused(
                f"{shown(str(path))} is not the package that the plan showed",
                "somebody changed it meanwhile; run the command again",
            )
    with store.transaction():
        import_packages(store, ((path, read_header(path), checksum) for checksum, path in new))
