"""Transfers in parallel with librepo, and what can go wrong with them in our words."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import librepo

from layer.config import is_base_url
from layer.errors import RepositoryError
from layer.model import Repository
from layer.report import Reporter

# Seconds until a server counts as unreachable or stalled (below 1,000 bytes a second).
_TIMEOUT = 20
_PARALLEL = 6
# md5 and sha1 are not accepted: who can forge them can replace the packages.
CHECKSUMS = {
    "sha224": librepo.SHA224,
    "sha256": librepo.SHA256,
    "sha384": librepo.SHA384,
    "sha512": librepo.SHA512,
}
_NETWORK_HINT = "check the network and the repository's baseurl, or disable the repository"
_BROKEN_HINT = "try again later: the repository may be in the middle of an update"


@dataclass(slots=True)
class Download:
    """One transfer and, afterwards, why it failed, if it did.

    `path` is relative to the repository or a whole URL; where `end` is set, no
    more than that many bytes are fetched; `name` is what progress calls it. One
    that `is_resumable` goes on from what a killed process left at `destination`.
    """

    repository: Repository
    path: str
    name: str
    destination: Path
    checksum_type: str = ""
    checksum: str = ""
    size: int = 0
    end: int = 0
    is_resumable: bool = False
    failure: str | None = None


def perform(downloads: Iterable[Download], reporter: Reporter) -> None:
    """Transfer all in parallel; what failed says so in `failure`."""
    handles: dict[str, librepo.Handle] = {}
    targets = []
    for download in downloads:
        repository = download.repository
        if repository.id not in handles:
            handles[repository.id] = _handle(repository)
        download.failure = None
        targets.append((download, _target(download, handles[repository.id], reporter)))
    if not targets:
        return
    try:
        librepo.download_packages([target for _, target in targets])
    except librepo.LibrepoException as error:
        for download, _ in targets:
            download.failure = download.failure or f"{_url(download)}: {error.args[1]}"
        return
    for download, target in targets:
        if not target.err:
            download.failure = None  # what single mirrors did is of no interest any more
        elif not download.failure:
            download.failure = f"{_url(download)}: {target.err}"


def _target(
    download: Download, handle: librepo.Handle, reporter: Reporter
) -> librepo.PackageTarget:
    def progress(_: object, total: float, done: float) -> None:
        if done:
            reporter.progress(download.name, int(done), int(total) or download.size)

    def mirror_failed(_: object, message: str, url: str) -> None:
        download.failure = f"{url}: {_cause(message)}"

    return librepo.PackageTarget(
        download.path,
        dest=str(download.destination),
        checksum_type=CHECKSUMS.get(download.checksum_type, librepo.CHECKSUM_UNKNOWN),
        checksum=download.checksum or None,
        expectedsize=download.size,
        resume=download.is_resumable,
        handle=handle,
        progresscb=progress,
        mirrorfailurecb=mirror_failed,
        # librepo asks for the whole file and hangs up after this byte, which works
        # with every web server (python3 -m http.server knows no ranges).
        byterangeend=max(download.end - 1, 0),
    )


def _handle(repository: Repository) -> librepo.Handle:
    handle = librepo.Handle()
    handle.setopt(librepo.LRO_REPOTYPE, librepo.YUMREPO)
    handle.setopt(librepo.LRO_URLS, list(repository.base_urls))
    # Without it a Ctrl-C is noticed at the end; what a callback raises may get lost.
    handle.setopt(librepo.LRO_INTERRUPTIBLE, True)
    handle.setopt(librepo.LRO_CONNECTTIMEOUT, _TIMEOUT)
    handle.setopt(librepo.LRO_LOWSPEEDTIME, _TIMEOUT)
    handle.setopt(librepo.LRO_MAXPARALLELDOWNLOADS, _PARALLEL)
    handle.setopt(librepo.LRO_MAXDOWNLOADSPERMIRROR, _PARALLEL)
    return handle


def _cause(message: str) -> str:
    """What happened, without librepo's wording: the server's status or curl's own words."""
    status = re.match(r"Status code: (\d+) for ", message)
    if status:
        return f"the server answers {status[1]}"
    curl = re.match(r"Curl error \(\d+\): (.*) for \S+ \[(.*)\]", message)
    if curl:
        return curl[2] or curl[1]
    return message


def raise_failures(downloads: Iterable[Download]) -> None:
    """One error for all that failed, naming each with its repository."""
    lines = [
        f"repository {download.repository.id}: cannot fetch {download.failure}"
        for download in downloads
        if download.failure
    ]
    if lines:
        raise RepositoryError("\n".join(lines), _NETWORK_HINT)


def _url(download: Download) -> str:
    if is_base_url(download.path):
        return download.path
    return f"{download.repository.base_urls[0].rstrip('/')}/{download.path}"


def refuse_unsupported(repository: Repository) -> None:
    """RepositoryError where the repository's file asks for what is not honoured."""
    if repository.unsupported:
        settings = "; ".join(repository.unsupported)
        raise RepositoryError(
            f"repository {repository.id} asks for what layer cannot do yet: {settings}",
            f"change it in {repository.source or 'its .repo file'}, or disable the repository",
        )


def broken(repository: Repository, fact: str) -> RepositoryError:
    """The error for a repository that answers, but not with what it should."""
    urls = ", ".join(repository.base_urls)
    return RepositoryError(f"repository {repository.id} ({urls}): {fact}", _BROKEN_HINT)


@contextmanager
def scratch_in(directory: Path) -> Iterator[Path]:
    """A temporary directory beside what it will replace."""
    with explained(directory):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-") as scratch:
            yield Path(scratch)


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn the operating system's refusals in `directory` into an error with a hint."""
    try:
        yield
    except OSError as error:
        raise RepositoryError(
            f"cannot keep downloads in {directory}: {error.strerror}",
            "make room, or choose another cache directory",
        ) from error
