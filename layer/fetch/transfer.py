"""Transfers in parallel with librepo, and what can go wrong with them in our words."""

from __future__ import annotations

import errno
import os
import re
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from layer.config import is_base_url
from layer.errors import CacheRefused, RepositoryError, Unreachable
from layer.frozen import dataclass
from layer.interrupts import heard
from layer.model import Repository
from layer.report import Reporter
from layer.scratch import scratch_directory
from layer.words import without_passwords

if TYPE_CHECKING:
    import librepo

SCRATCH = ".fetch-"  # what names of temporary directories begin with
# By librepo's names for them: it takes long to load, and is needed for transfers alone.
_FAMILIES = {"4": "IPRESOLVE_V4", "6": "IPRESOLVE_V6"}
_METHODS = {
    "any": "AUTH_ANY",
    "none": "AUTH_NONE",
    "basic": "AUTH_BASIC",
    "digest": "AUTH_DIGEST",
    "negotiate": "AUTH_NEGOTIATE",
    "ntlm": "AUTH_NTLM",
    "digest_ie": "AUTH_DIGEST_IE",
    "ntlm_wb": "AUTH_NTLM_WB",
}
# md5 and sha1 are not accepted: who can forge them can replace the packages.
CHECKSUMS = {"sha224": "SHA224", "sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}
_UNWRITTEN = "Curl error (23)"  # CURLE_WRITE_ERROR, in librepo's words
_AGENT = "layer"  # many servers turn away who does not say
_NETWORK_HINT = "check the network and the repository's baseurl, or disable the repository"
_BROKEN_HINT = "try again later: the repository may be in the middle of an update"


@dataclass(slots=True)
class Download:
    """One transfer and, afterwards, why it failed, if it did.

    `path` is relative to the repository or a whole URL; where `end` is set, no
    more than that many bytes are fetched; `name` is what progress calls it. One
    that `is_resumable` goes on from what a killed process left at `destination`; no more than
    `limit` bytes of it come, where that is not 0.
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
    limit: int = 0
    failure: str | None = None


def perform(downloads: Iterable[Download], reporter: Reporter) -> None:
    """Transfer all in parallel; what failed says so in `failure`.

    A resumable one whose connection broke goes on, as often as its repository's `retries` and
    as long as each time more of it came. OSError where there is no room.
    """
    pending = list(downloads)
    had = {id(download): -1 for download in pending}
    tries = 0
    while pending:
        _perform_once(pending, reporter)
        tries += 1
        again = []
        for download in pending:
            now = _bytes_of(download)
            most = download.limit or download.size
            may_retry = download.is_resumable and tries <= download.repository.access.retries
            is_too_much = 0 < most < now  # and goes on to be
            is_more = now > max(had[id(download)], 0) and not is_too_much
            if download.failure and may_retry and is_more:
                had[id(download)] = now
                download.limit = most
                download.size = download.end = 0  # librepo would compare them with the rest alone
                again.append(download)
        pending = again


def _bytes_of(download: Download) -> int:
    try:
        return download.destination.stat().st_size
    except FileNotFoundError:
        return 0


def _perform_once(downloads: Iterable[Download], reporter: Reporter) -> None:
    import librepo

    handles: dict[tuple[str, bool], librepo.Handle] = {}
    targets = []
    for download in downloads:
        key = download.repository.id, _is_of_stranger(download)
        if key not in handles:
            handles[key] = _handle(download.repository, is_stranger=key[1])
        download.failure = None
        if not download.is_resumable:
            # Of one that never began librepo says on standard error that it cannot be removed.
            download.destination.touch()
        targets.append((download, _target(download, handles[key], reporter)))
    if not targets:
        return
    error = ""
    try:
        # librepo heeds Ctrl-C alone.
        with reporter.downloading(), heard(lambda: os.kill(os.getpid(), signal.SIGINT)):
            librepo.download_packages([target for _, target in targets])
    except librepo.LibrepoException as failure:
        error = failure.args[1]
    for download, target in targets:
        why = error or target.err
        # Once it is there, what single mirrors did is of no interest any more.
        found = (download.failure or f"{_url(download)}: {_cause(why)}") if why else None
        if found:
            _refuse_full(download)
            if _UNWRITTEN in why:  # which is no fault of the repository's, to be passed over
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        download.failure = found and without_passwords(found)


def _refuse_full(download: Download) -> None:
    """OSError where there is no room, or no quota: librepo blames the checksum.

    It may have emptied the file since, so room is asked for as much as was to come.
    """
    missing = (download.size or download.limit) - _bytes_of(download)
    with tempfile.TemporaryFile(dir=download.destination.parent) as probe:
        try:
            os.posix_fallocate(probe.fileno(), 0, max(missing, 1))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise


def _is_of_stranger(download: Download) -> bool:
    """Whether metadata lead to another server than those of the repository's own URLs."""
    if not is_base_url(download.path):
        return False
    ours = {urlsplit(url).netloc for url in download.repository.base_urls}
    return urlsplit(download.path).netloc not in ours


def _target(
    download: Download, handle: librepo.Handle, reporter: Reporter
) -> librepo.PackageTarget:
    import librepo

    def progress(_: object, total: float, done: float) -> int:
        if done:
            reporter.progress(download.name, int(done), int(total) or download.size)
        if not reporter.goes_on():
            return int(librepo.LR_CB_ABORT)
        is_too_much = 0 < download.limit < done
        return int(librepo.LR_CB_ERROR if is_too_much else librepo.LR_CB_OK)

    def mirror_failed(_: object, message: str, url: str) -> None:
        download.failure = f"{url}: {_cause(message)}"

    return librepo.PackageTarget(
        download.path,
        dest=str(download.destination),
        checksum_type=getattr(librepo, CHECKSUMS.get(download.checksum_type, "CHECKSUM_UNKNOWN")),
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


def _handle(repository: Repository, *, is_stranger: bool) -> librepo.Handle:
    import librepo

    access = repository.access.for_strangers() if is_stranger else repository.access
    options = {
        librepo.LRO_REPOTYPE: librepo.YUMREPO,
        librepo.LRO_URLS: list(repository.base_urls),
        # Without it a Ctrl-C is noticed at the end; what a callback raises may get lost.
        librepo.LRO_INTERRUPTIBLE: True,
        librepo.LRO_CONNECTTIMEOUT: access.timeout,
        librepo.LRO_LOWSPEEDTIME: access.timeout,
        librepo.LRO_LOWSPEEDLIMIT: access.slowest,
        librepo.LRO_MAXPARALLELDOWNLOADS: access.parallel,
        librepo.LRO_MAXDOWNLOADSPERMIRROR: access.parallel,
        librepo.LRO_PROXY: access.proxy,
        librepo.LRO_PROXYUSERPWD: access.proxy_login or None,
        librepo.LRO_PROXYAUTHMETHODS: getattr(librepo, _METHODS[access.proxy_method]),
        librepo.LRO_USERPWD: access.login or None,
        librepo.LRO_IPRESOLVE: getattr(librepo, _FAMILIES.get(access.family, "IPRESOLVE_WHATEVER")),
        librepo.LRO_USERAGENT: access.agent or _AGENT,
        librepo.LRO_SSLVERIFYPEER: access.tls.is_checked,
        librepo.LRO_SSLVERIFYHOST: 2 if access.tls.is_checked else 0,
        librepo.LRO_SSLVERIFYSTATUS: access.tls.asks_status,
        librepo.LRO_SSLCACERT: access.tls.authorities or None,
        librepo.LRO_SSLCLIENTCERT: access.tls.certificate or None,
        librepo.LRO_SSLCLIENTKEY: access.tls.key or None,
        librepo.LRO_PROXY_SSLVERIFYPEER: access.proxy_tls.is_checked,
        librepo.LRO_PROXY_SSLVERIFYHOST: 2 if access.proxy_tls.is_checked else 0,
        librepo.LRO_PROXY_SSLCACERT: access.proxy_tls.authorities or None,
        librepo.LRO_PROXY_SSLCLIENTCERT: access.proxy_tls.certificate or None,
        librepo.LRO_PROXY_SSLCLIENTKEY: access.proxy_tls.key or None,
    }
    if access.fastest:
        # Each of several downloads at once has its share; librepo wants more than the slowest.
        options[librepo.LRO_LOWSPEEDLIMIT] = min(access.slowest, access.fastest)
        options[librepo.LRO_MAXSPEED] = access.fastest
    handle = librepo.Handle()
    for option, value in options.items():
        if value is not None:
            handle.setopt(option, value)
    return handle


def _cause(message: str) -> str:
    """What happened, without librepo's wording: the server's status or curl's own words."""
    status = re.match(r"Status code: (\d+) for ", message)
    if status:
        return f"the server answers {status[1]}"
    sums = re.match(r"Downloading .* Calculated: (\w+)\((\w+)\)\s+Expected: (\w+)", message)
    if sums:
        return f"its {sums[2]} checksum is {sums[1]}, and {sums[3]} was promised"
    sizes = re.search(r"Content-Length: (\d+), repository metadata states .*: (\d+)", message)
    if sizes:
        return f"the server says that it has {sizes[1]} bytes, and {sizes[2]} were promised"
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
        raise Unreachable("\n".join(lines), _NETWORK_HINT)


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


def broken(repository: Repository, fact: str) -> Unreachable:
    """The error for a repository that answers, but not with what it should."""
    urls = repository.shown_urls
    return Unreachable(f"repository {repository.id} ({urls}): {fact}", _BROKEN_HINT)


@contextmanager
def scratch_in(directory: Path) -> Iterator[Path]:
    """A temporary directory beside what it will replace."""
    with explained(directory):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with scratch_directory(directory, SCRATCH) as folder:
            yield folder


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn the operating system's refusals in `directory` into an error with a hint."""
    try:
        yield
    except OSError as error:
        raise CacheRefused(
            f"cannot keep downloads in {directory}: {error.strerror}",
            "make room, or choose another cache directory",
        ) from error
