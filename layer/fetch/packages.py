"""Packages, whole or only their headers."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from layer import spans
from layer.config import is_base_url, is_safe_href
from layer.errors import RepositoryError
from layer.fetch.transfer import (
    Download,
    broken,
    explained,
    perform,
    raise_failures,
    refuse_unsupported,
    scratch_in,
)
from layer.model import Package, Repository
from layer.report import Reporter
from layer.rpmfile.index import LARGEST as LARGEST_HEADER

_LEAD = 96  # bytes of an RPM's lead; the signature header follows
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_INTRO = 16  # bytes of a header's intro: magic, reserved, number of index entries, bytes of data
_INTRO_MAGIC = b"\x8e\xad\xe8\x01"
_HEADER_GUESS = 64 << 10  # bytes to begin with where metadata do not say


@spans.phase("download")
def fetch_packages(
    packages: Iterable[Package],
    repositories: Iterable[Repository],
    directory: Path,
    reporter: Reporter,
    *,
    cache_only: bool = False,
) -> dict[Package, Path]:
    """Return every package's file in `directory`, named by its checksum, size and SHA-256 checked.

    Files that are there already are checked and kept; a partial one is
    continued. One RepositoryError names all packages that could not be had; with
    `cache_only` those that are not there.
    """
    found = {package: directory / f"{package.checksum}.rpm" for package in packages}
    with explained(directory):
        missing = {package for package, path in found.items() if not _is_intact(path, package)}
        _refuse_missing(missing, cache_only=cache_only)
        plan = _package_downloads(missing, repositories)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for package, download in plan.items():
            download.destination = directory / f"{package.checksum}.rpm.part"
            download.checksum_type, download.checksum = "sha256", package.checksum
            download.is_resumable = True
            # librepo compares the size that is promised with that of the rest alone.
            if _is_begun(download.destination, package):
                download.limit = package.size
            else:
                download.size = package.size
                download.end = package.size + 1  # and no more, whatever the server sends
        perform(plan.values(), reporter)
        for package, download in plan.items():
            if not download.failure and download.destination.stat().st_size != package.size:
                download.failure = f"{package.nevra}: it has not the {package.size} bytes promised"
                download.destination.unlink()
            if not download.failure:
                download.destination.replace(found[package])
    raise_failures(plan.values())
    return found


@spans.phase("download")
def fetch_headers(
    packages: Iterable[Package],
    repositories: Iterable[Repository],
    cache: Path,
    reporter: Reporter,
    *,
    cache_only: bool = False,
) -> dict[Package, Path]:
    """Return for every package a file with the RPM's beginning: lead, signature and header.

    The files are named by the package's checksum (CHECKSUM.header.rpm), which does not vouch for
    them: only the whole package can be checked, and is when it is imported.
    """
    found = {package: cache / f"{package.checksum}.header.rpm" for package in packages}
    with explained(cache):
        missing = {package for package, path in found.items() if not _is_header(path)}
    if not missing:
        return found
    _refuse_missing(missing, cache_only=cache_only)
    plan = _package_downloads(missing, repositories)
    with scratch_in(cache) as scratch:
        for package, download in plan.items():
            download.destination = scratch / package.checksum
            claimed = package.header_range[1] or _HEADER_GUESS
            download.end = min(claimed, LARGEST_HEADER)
        _perform_headers(list(plan.values()), reporter)
        for package, download in plan.items():
            download.destination.replace(found[package])
    return found


def keep_header(package: Package, cache: Path) -> None:
    """Makes the file of `fetch_headers` from a whole package that was fetched before."""
    whole, header = cache / f"packages/{package.checksum}.rpm", f"{package.checksum}.header.rpm"
    if (cache / header).exists() or not whole.is_file() or not _is_intact(whole, package):
        return
    start = whole.read_bytes()[: 2 * LARGEST_HEADER]
    needed = 0
    while (end := _needed_bytes(start[:needed])) > needed:
        needed = end
    (cache / header).write_bytes(start[:needed])


def _refuse_missing(missing: Collection[Package], *, cache_only: bool) -> None:
    if missing and cache_only:
        names = ", ".join(str(package.nevra) for package in sorted(missing, key=lambda p: p.nevra))
        raise RepositoryError(
            f"not fetched yet: {names}",
            "fetch them while there is a network: --download-only in place of --cache-only",
        )


def _package_downloads(
    packages: Iterable[Package], repositories: Iterable[Repository]
) -> dict[Package, Download]:
    by_id = {repository.id: repository for repository in repositories}
    plan = {}
    for package in sorted(packages, key=lambda package: package.nevra):
        repository = by_id.get(package.repository)
        if repository is None:
            raise RepositoryError(
                f"no repository offers {package.nevra} any more",
                "fetch the repositories' metadata again: layer refresh-md",
            )
        refuse_unsupported(repository)
        if not _is_allowed(package.location, repository):
            raise broken(
                repository,
                f"{package.nevra} lies outside of the repository: {package.location!r}",
            )
        plan[package] = Download(repository, package.location, str(package.nevra), Path())
    return plan


def _is_allowed(location: str, repository: Repository) -> bool:
    """A whole URL stands for xml:base; it may not turn a web server's metadata to local files."""
    if not is_base_url(location):
        return is_safe_href(location)
    is_local = any(url.startswith("file:") for url in repository.base_urls)
    base, _, path = location.partition("://")
    return (is_local or base != "file") and is_safe_href(path.lstrip("/"))


def _is_intact(path: Path, package: Package) -> bool:
    try:
        with path.open("rb") as file:
            return (
                path.stat().st_size == package.size
                and hashlib.file_digest(file, "sha256").hexdigest() == package.checksum
            )
    except FileNotFoundError:
        return False


def _is_begun(path: Path, package: Package) -> bool:
    """Whether there is something to go on from; what is too long is removed.

    librepo begins anew by itself where a server has no byte ranges, as
    python3 -m http.server has none, and where the beginning was wrong.
    """
    if path.exists() and path.stat().st_size >= package.size:
        path.unlink()
    return path.exists()


def _perform_headers(downloads: Collection[Download], reporter: Reporter) -> None:
    """Fetch until every file ends where its header ends, going by the RPM's own index.

    Metadata say where that is, but are only a guess: more rounds follow if it was too low.
    """
    pending = list(downloads)
    asked = {id(download): (download.repository, download.end) for download in pending}
    while pending:
        perform(pending, reporter)
        raise_failures(pending)
        short = []
        for download in pending:
            start = download.destination.read_bytes()
            needed = _needed_bytes(start)
            if needed < 0 or len(start) < min(needed, download.end):
                repository, end = asked[id(download)]
                others = download.repository.base_urls[1:]
                if others and not is_base_url(download.path):  # nothing vouched for what came
                    download.repository = replace(repository, base_urls=others)
                    download.end = end
                    short.append(download)
                    continue
                raise broken(
                    repository,
                    f"{download.path} is no RPM package, "
                    f"or one with a header of more than {LARGEST_HEADER >> 20} MB",
                )
            if len(start) < needed:
                download.end = needed
                short.append(download)
            else:
                download.destination.write_bytes(start[:needed])
        pending = short


def _needed_bytes(start: bytes) -> int:
    """How many bytes of an RPM have to be known to go on from its first ones; -1 if it is none.

    An answer that is not above the number given is the end of the header.
    """
    if not start or start[:4] != _LEAD_MAGIC[: len(start)]:
        return -1
    end = _LEAD
    for padding in (8, 1):  # the signature is padded to 8 bytes, the header is not
        if len(start) < end + _INTRO:
            return end + _INTRO
        magic, entries, size = struct.unpack_from(">4s4xII", start, end)
        if magic != _INTRO_MAGIC or 16 * entries + size > LARGEST_HEADER:
            return -1
        end += _INTRO + 16 * entries + size
        end += -end % padding
    return end


def _is_header(path: Path) -> bool:
    try:
        start = path.read_bytes()
    except FileNotFoundError:
        return False
    return len(start) == _needed_bytes(start)
