"""Mirrors of a repository: a list or a metalink names them, librepo reads it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from layer.config import is_base_url
from layer.errors import InvalidInput, Unreachable
from layer.fetch.transfer import CHECKSUMS, Download, broken, perform, raise_failures, scratch_in
from layer.frozen import dataclass
from layer.model import Repository
from layer.report import Reporter

_LARGEST = 4 << 20  # bytes of a list
_FILES = {"metalink": "metalink.xml", "mirrorlist": "mirrorlist"}
LISTS = frozenset(_FILES.values())
_OPTIONS = {"metalink": "LRO_METALINKURL", "mirrorlist": "LRO_MIRRORLISTURL"}  # librepo's


@dataclass(frozen=True, slots=True)
class Located:
    """A repository with its mirrors as base URLs, and what its metalink says of repomd.xml.

    `asked` is the repository as it was before it was located.
    """

    repository: Repository
    asked: Repository
    checksum_type: str = ""
    checksum: str = ""


def locate(
    repository: Repository, directory: Path, reporter: Reporter, *, cache_only: bool = False
) -> Located:
    """Where a repository is: its base URLs, else the mirrors that its metalink or list names.

    The list is kept in `directory`; with `cache_only` the kept one is read. RepositoryError
    where it cannot be had or names no mirror.
    """
    kind = "metalink" if repository.metalink else "mirrorlist"
    url = repository.metalink or repository.mirrorlist
    if repository.base_urls or not url:
        return Located(repository, repository)
    kept = directory / _FILES[kind]
    if cache_only:
        if not kept.is_file():
            raise Unreachable(
                f"repository {repository.id} has no {kind} in {directory}",
                "fetch it while there is a network: layer refresh-md",
            )
        return _read(repository, kind, kept)
    with scratch_in(directory) as scratch:
        new = scratch / kept.name
        # A list is no part of the repository, whose URLs are not known yet.
        source = replace(repository, base_urls=(url.rpartition("/")[0],))
        download = Download(source, url, f"{repository.id}: {kind}", new, end=_LARGEST)
        perform([download], reporter)
        raise_failures([download])
        located = _read(repository, kind, new)
        new.replace(kept)
    return located


def _read(repository: Repository, kind: str, path: Path) -> Located:
    url = repository.metalink if kind == "metalink" else repository.mirrorlist
    named = replace(repository, base_urls=(url,))  # for errors
    if kind == "metalink":
        from layer.fetch.markup import check_markup

        try:
            check_markup(path)
        except InvalidInput as error:
            raise broken(named, f"its metalink {error.message}") from error
    import librepo  # it takes long to load, and most repositories have no list

    handle = librepo.Handle()
    handle.setopt(librepo.LRO_REPOTYPE, librepo.YUMREPO)
    handle.setopt(getattr(librepo, _OPTIONS[kind]), path.as_uri())
    handle.setopt(librepo.LRO_FETCHMIRRORS, True)
    try:
        with _silenced(), tempfile.TemporaryDirectory(prefix="layer-") as scratch:
            # Else librepo makes a directory where we happen to be, and leaves it there.
            handle.setopt(librepo.LRO_DESTDIR, scratch)
            handle.perform(librepo.Result())
    except librepo.LibrepoException as error:
        raise broken(named, f"its {kind} names no mirror") from error
    mirrors = tuple(m for m in handle.mirrors or () if is_base_url(m) and _is_remote(m))
    if not mirrors:
        raise broken(named, f"its {kind} names no mirror that can be used (http:// or https://)")
    found = replace(repository, base_urls=mirrors)
    if kind == "mirrorlist":
        return Located(found, repository)
    hashes = dict((handle.getinfo(librepo.LRI_METALINK) or {}).get("hashes") or ())
    strong = [name for name in ("sha512", "sha384", "sha256") if name in hashes]
    if not strong:
        raise broken(named, "its metalink has no strong checksum of repomd.xml")
    assert strong[0] in CHECKSUMS
    return Located(found, repository, strong[0], hashes[strong[0]])


@contextmanager
def _silenced() -> Iterator[None]:
    """librepo prints what our error says; its own way to be told not to crashes at exit."""
    ours, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(nowhere)


def _is_remote(url: str) -> bool:
    """A list from the network may not lead to this machine's own files."""
    return urlsplit(url).scheme != "file"
