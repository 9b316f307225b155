"""Files by URL, of no repository: packages and keys."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from layer.errors import InvalidInput, RepositoryError
from layer.fetch.transfer import Download, explained, perform, scratch_in
from layer.model import Repository
from layer.report import Reporter
from layer.repository import Access
from layer.words import without_passwords

_PLAIN = Access()
_SCHEMES = ("http", "https")
_LARGEST = 8 << 30  # bytes; no package is larger, whatever a server sends


def fetch_url(
    url: str,
    directory: Path,
    reporter: Reporter,
    *,
    largest: int = _LARGEST,
    access: Access = _PLAIN,
) -> Path:
    """Fetches a file to `directory`, where it is named by its checksum.

    No more than `largest` bytes come and one, whatever the server sends. Nothing vouches for the
    file but what it says of itself, and TLS where the URL has it.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        shown = without_passwords(url)
        raise InvalidInput(f"not a URL that can be fetched: {shown}", "it begins with https://")
    folder, _, name = url.rpartition("/")
    source = Repository(parts.hostname, parts.hostname, (folder,), access=access)
    with scratch_in(directory) as scratch:
        download = Download(source, url, name, scratch / "package.rpm", end=largest + 1)
        perform([download], reporter)
        if download.failure:
            raise RepositoryError(
                f"cannot fetch {download.failure}", "check the URL, or fetch the file by hand"
            )
        with explained(directory):
            with download.destination.open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
            return download.destination.replace(directory / f"{checksum}.rpm")
