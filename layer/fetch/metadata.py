"""A repository's metadata, kept in a cache that always matches one repomd.xml."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from layer import spans
from layer.errors import InvalidInput, RepositoryError, Unreachable
from layer.fetch.mirrors import LISTS, Located, locate
from layer.fetch.repomd import GROUPS, KINDS, LARGEST, REPOMD, Record, parse_repomd
from layer.fetch.transfer import (
    SCRATCH,
    Download,
    broken,
    perform,
    raise_failures,
    refuse_unsupported,
    scratch_in,
)
from layer.model import Repository, RepositoryMetadata, SigningKey
from layer.report import Reporter
from layer.repository import NEVER

_LARGEST_REPOMD = 4 << 20  # bytes
_MOST_TRIED = 4  # mirrors with something else in place of metadata, one after the other
_SOURCE = "source"  # beside repomd.xml: the URLs that it was asked from, as a checksum


@spans.phase("download")
def fetch_metadata(
    repository: Repository,
    cache: Path,
    reporter: Reporter,
    *,
    cache_only: bool = False,
    refresh: bool = False,
    keys: Sequence[SigningKey] = (),
) -> RepositoryMetadata:
    """Bring `cache`/ID up to date with the repository and return what is in it.

    repomd.xml is fetched anew when it is as old as the repository's `metadata_expire` says,
    and always with `refresh`; other files only where their checksum changed. With
    `cache_only` nothing is fetched. One of `keys` must have signed
    repomd.xml where the repository wants that. RepositoryError leaves the cache as it was.
    """
    refuse_unsupported(repository)
    directory = cache / repository.id
    if not cache_only and _is_unchanged(repository, directory):
        with suppress(RepositoryError):  # what is damaged is fetched again
            found = _read_cache(repository, directory, keys)
            with suppress(OSError):  # it may be another user's
                (directory / "repomd.xml").touch()
            return found
    if not (cache_only or refresh) and is_fresh(repository, directory):
        with suppress(RepositoryError):  # what is damaged is fetched again
            located = locate(repository, directory, reporter, cache_only=True)
            return _read_cache(located.repository, directory, keys)
    located = locate(repository, directory, reporter, cache_only=cache_only)
    if cache_only:
        _check_source(repository, directory)
        return _read_cache(located.repository, directory, keys)
    with scratch_in(directory) as scratch:
        return _update_cache(located, directory, scratch, reporter, keys)


def expiry(repository: Repository, directory: Path) -> float | None:
    """When the metadata in a repository's directory are to be fetched anew, in seconds since 1970.

    NEVER as it says; None where there are none of this repository.
    """
    repomd = directory / "repomd.xml"
    if not repomd.is_file() or not _is_source(repository, directory):
        return None
    if repository.metadata_expire == NEVER:
        return NEVER
    return repomd.stat().st_mtime + repository.metadata_expire


def is_fresh(repository: Repository, directory: Path) -> bool:
    """Whether the metadata there are younger than `metadata_expire`; of files there never are."""
    urls = repository.base_urls
    if repository.metadata_expire == 0 or (urls and all(u.startswith("file:") for u in urls)):
        return False
    until = expiry(repository, directory)
    # What comes from the future was written before a clock was set right.
    is_past = until is not None and (directory / "repomd.xml").stat().st_mtime <= time.time()
    return until is not None and is_past and (until == NEVER or time.time() < until)


def _is_unchanged(repository: Repository, directory: Path) -> bool:
    """Whether the repository is a folder here, with the very repomd.xml that is in the cache."""
    url = urlsplit(repository.base_urls[0] if repository.base_urls else "")
    now, kept = Path(unquote(url.path)) / REPOMD, directory / "repomd.xml"
    try:
        return (
            url.scheme == "file"
            and now.is_file()
            and now.stat().st_size == kept.stat().st_size
            and now.read_bytes() == kept.read_bytes()
            and _is_source(repository, directory)
        )
    except OSError:
        return False


def _read_cache(
    repository: Repository, directory: Path, keys: Sequence[SigningKey]
) -> RepositoryMetadata:
    repomd = directory / "repomd.xml"
    if not repomd.is_file():
        raise Unreachable(
            f"repository {repository.id} has no metadata in {directory}",
            "fetch them while there is a network: layer refresh-md",
        )
    if repository.checks_metadata:
        _verify(repository, repomd, directory / "repomd.xml.asc", keys)
    content = repomd.read_bytes()
    records = parse_repomd(repository, content)
    for record in records:
        if not _matches(directory / record.cache_name, record):
            raise RepositoryError(
                f"repository {repository.id}: {record.cache_name} in {directory} is damaged",
                "fetch it again: layer refresh-md",
            )
    with suppress(OSError):  # it may be another user's
        names = [path.name for path in directory.iterdir()]
        # Nobody locks: an update that goes on, or went on meanwhile, has put its files there.
        if not any(name.startswith(SCRATCH) for name in names) and repomd.read_bytes() == content:
            _sweep(directory, names, records)  # what one that was killed has left
    return _metadata(repository, directory, records)


def _source_of(repository: Repository) -> str:
    urls = (*repository.base_urls, repository.metalink, repository.mirrorlist)
    return hashlib.sha256("\n".join(urls).encode()).hexdigest()


def _is_source(repository: Repository, directory: Path) -> bool:
    try:
        return (directory / _SOURCE).read_text() == _source_of(repository)
    except FileNotFoundError:
        return False


def _check_source(repository: Repository, directory: Path) -> None:
    """Another release's repository may have the same id, and other URLs."""
    if (directory / "repomd.xml").is_file() and not _is_source(repository, directory):
        raise Unreachable(
            f"repository {repository.id} has metadata of another URL in {directory}",
            "fetch them while there is a network: layer refresh-md",
        )


def _update_cache(
    located: Located,
    directory: Path,
    scratch: Path,
    reporter: Reporter,
    keys: Sequence[SigningKey],
) -> RepositoryMetadata:
    """From the first of the repository's URLs that has what is metadata.

    librepo goes on to the next where a file cannot be had or is not what was promised. Of
    repomd.xml nothing is promised where there is no metalink: so what it leads to is tried.
    """
    urls = located.repository.base_urls
    problem: Unreachable | None = None
    for position in range(1 if located.checksum else min(len(urls), _MOST_TRIED)):
        rest = replace(located, repository=replace(located.repository, base_urls=urls[position:]))
        try:
            new_repomd, signature = _fetch_repomd(rest, scratch, reporter)
        except Unreachable as error:
            raise problem or error from None
        if rest.repository.checks_metadata:
            _verify(rest.repository, new_repomd, signature, keys)
        try:
            return _fill_cache(rest, directory, scratch, reporter)
        except Unreachable as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _fetch_repomd(located: Located, scratch: Path, reporter: Reporter) -> tuple[Path, Path]:
    """repomd.xml, and its signature where it is to have one."""
    repository = located.repository
    new_repomd, signature = scratch / "new-repomd.xml", scratch / "new-repomd.xml.asc"
    begin = [(REPOMD, new_repomd)]
    if repository.checks_metadata:
        begin.append((f"{REPOMD}.asc", signature))
    first = [
        Download(repository, href, f"{repository.id}: {Path(href).name}", to, end=_LARGEST_REPOMD)
        for href, to in begin
    ]
    # A mirror that is behind has another one than the metalink says: the next is asked.
    first[0].checksum_type, first[0].checksum = located.checksum_type, located.checksum
    perform(first, reporter)
    raise_failures(first)
    return new_repomd, signature


def _fill_cache(
    located: Located, directory: Path, scratch: Path, reporter: Reporter
) -> RepositoryMetadata:
    """Fetches what the new repomd.xml lists, and puts all in the place of what was there."""
    repository = located.repository
    new_repomd, signature = scratch / "new-repomd.xml", scratch / "new-repomd.xml.asc"
    _check(repository, REPOMD, new_repomd)
    records = parse_repomd(repository, new_repomd.read_bytes())
    missing = [record for record in records if not _matches(directory / record.cache_name, record)]
    downloads = [
        Download(
            repository,
            record.href,
            f"{repository.id}: {record.kind}",
            scratch / record.cache_name,
            checksum_type=record.checksum_type,
            checksum=record.checksum,
            size=record.size,
            end=(record.size or LARGEST) + 1,  # and no more, whatever the server sends
        )
        for record in missing
    ]
    perform(downloads, reporter)
    raise_failures(downloads)
    for record in missing:
        if record.kind in KINDS:  # a list of groups may have a doctype; its reader is careful
            _check(repository, record.href, scratch / record.cache_name)
    for record in missing:
        (scratch / record.cache_name).replace(directory / record.cache_name)
    if repository.checks_metadata:
        signature.replace(directory / "repomd.xml.asc")
    (scratch / _SOURCE).write_text(_source_of(located.asked))
    (scratch / _SOURCE).replace(directory / _SOURCE)
    new_repomd.replace(directory / "repomd.xml")
    _sweep(directory, [path.name for path in directory.iterdir()], records)
    return _metadata(repository, directory, records)


def _sweep(directory: Path, names: Iterable[str], records: Iterable[Record]) -> None:
    """Removes those that are files of former metadata."""
    kept = {"repomd.xml", "repomd.xml.asc", _SOURCE, *LISTS}
    kept |= {record.cache_name for record in records}
    for path in (directory / name for name in names if name not in kept):
        if path.is_file():
            path.unlink()


def _verify(
    repository: Repository, repomd: Path, signature: Path, keys: Sequence[SigningKey]
) -> None:
    from layer.openpgp import verify_detached  # for the repositories that are signed

    try:
        verify_detached(repomd, signature, keys)
    except InvalidInput as error:
        # Unlike what is broken otherwise, this is never passed over.
        raise RepositoryError(
            f"repository {repository.id} ({repository.shown_urls}): "
            f"the signature of {REPOMD} is not good: {error.message}",
            "gpgkey= in the repository's file names the keys that may have signed it",
        ) from error


def _check(repository: Repository, href: str, path: Path) -> None:
    from layer.fetch.markup import check_markup  # for metadata that are new

    try:
        check_markup(path)
    except InvalidInput as error:
        raise broken(repository, f"{href} {error.message}") from error


def _matches(path: Path, record: Record) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, record.checksum_type).hexdigest() == record.checksum
    except FileNotFoundError:
        return False


def _metadata(
    repository: Repository, directory: Path, records: Iterable[Record]
) -> RepositoryMetadata:
    paths = {record.kind: directory / record.cache_name for record in records}
    checksum = hashlib.sha256((directory / "repomd.xml").read_bytes()).hexdigest()
    groups = next((paths[kind] for kind in GROUPS if kind in paths), None)
    return RepositoryMetadata(
        repository, checksum, paths["primary"], paths.get("filelists"), groups
    )
