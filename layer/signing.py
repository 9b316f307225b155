"""Whether repositories' keys have signed what comes, and which keys are new to a machine."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from layer.errors import InvalidInput, LayerError, PackageRefused, RepositoryError
from layer.fetch.metadata import fetch_metadata
from layer.frozen import dataclass
from layer.importer import find_package, read_package_blob
from layer.model import Package, Repository, RepositoryMetadata, SigningKey
from layer.records import read_record, write_record
from layer.report import Reporter
from layer.repository import Access
from layer.store.objects import OstreeStore

SCHEMA = 1
_TRUSTED = "lib/layer/keys.json"


@dataclass(frozen=True, slots=True)
class Fetching:
    """Where what is fetched is kept, who is told, and whether the network may be used.

    `refresh`: metadata are asked for anew however young they are.
    """

    cache: Path
    reporter: Reporter
    cache_only: bool = False
    refresh: bool = False


def fetch_checked(repository: Repository, fetching: Fetching) -> RepositoryMetadata:
    """The metadata of a repository, signed where it wants that; see `fetch_metadata`."""
    keys = keys_of(repository, fetching) if repository.checks_metadata else ()
    return fetch_metadata(
        repository,
        fetching.cache,
        fetching.reporter,
        cache_only=fetching.cache_only,
        refresh=fetching.refresh,
        keys=keys,
    )


def check_packages(
    store: OstreeStore,
    packages: Iterable[Package],
    fetched: Mapping[Package, Path],
    repositories: Sequence[Repository],
    fetching: Fetching,
) -> tuple[SigningKey, ...]:
    """The keys that may vouch for packages, of the repositories that want it.

    `fetched` are files with the headers of those that are not in the store. One PackageRefused
    names all packages that no key of their repository has signed.
    """
    packages = sorted(packages, key=lambda package: package.nevra)
    keys: dict[str, SigningKey] = {}
    faults: list[str] = []
    for repository in repositories:
        ours = [p for p in packages if p.repository == repository.id]
        if repository.checks_packages and ours:
            named = keys_of(repository, fetching)
            keys.update({key.fingerprint: key for key in named})
            faults += _check(store, ours, fetched, named)
    if faults:
        raise PackageRefused(
            "\n".join(faults),
            f"the keys of the repositories are {', '.join(sorted(keys))}; "
            "gpgcheck=0 takes packages that nobody vouches for",
        )
    return tuple(key for _, key in sorted(keys.items()))


def untrusted(var: Path, keys: Iterable[SigningKey]) -> tuple[SigningKey, ...]:
    """The keys that this machine has not been shown before."""
    known = _trusted(var)
    return tuple(key for key in keys if key.fingerprint not in known)


def trust(var: Path, keys: Sequence[SigningKey]) -> None:
    """Remembers keys that a plan has shown, so that later ones need not."""
    if not keys:
        return
    fingerprints = sorted(_trusted(var) | {key.fingerprint for key in keys})
    write_record(var / _TRUSTED, SCHEMA, {"trusted": fingerprints})


def _trusted(var: Path) -> set[str]:
    """A record that cannot be read shows keys once more, and no harm is done."""
    match read_record(var / _TRUSTED, SCHEMA):
        case {"trusted": [*fingerprints]}:
            return {str(fingerprint) for fingerprint in fingerprints}
    return set()


def _check(
    store: OstreeStore,
    packages: Sequence[Package],
    fetched: Mapping[Package, Path],
    keys: Sequence[SigningKey],
) -> list[str]:
    from layer.rpmfile.signatures import open_keyring  # for packages that are to be signed

    faults = []
    with (
        tempfile.TemporaryDirectory(prefix="layer-") as folder,
        open_keyring(key.packets for key in keys) as ring,
    ):
        for package in packages:
            path = fetched.get(package)
            if path is None:
                path = Path(folder) / f"{package.checksum}.rpm"
                imported = find_package(store, package.checksum)
                assert imported is not None
                path.write_bytes(read_package_blob(store, imported))
            try:
                ring.check(path)
            except PackageRefused as error:
                faults.append(
                    f"{package.nevra} of repository {package.repository}: {error.message}"
                )
    return faults


def keys_of(repository: Repository, fetching: Fetching) -> tuple[SigningKey, ...]:
    """The keys that a repository names; RepositoryError where one cannot be had or used."""
    where = repository.source or "its .repo file"
    if not repository.keys:
        raise RepositoryError(
            f"repository {repository.id} is to be signed and names no key",
            f"name it as gpgkey= in {where}; gpgcheck=0 there takes packages that nobody "
            "vouches for",
        )
    found: list[SigningKey] = []
    for url in repository.keys:
        try:
            found += _read_keys(url, fetching, repository.access.for_strangers())
        except (OSError, LayerError) as error:
            why = error.message if isinstance(error, LayerError) else str(error.strerror)
            why = why.removeprefix(f"{url}: ")  # which is named already
            raise RepositoryError(
                f"repository {repository.id}: the key {url} cannot be used: {why}",
                f"correct gpgkey= in {where}",
            ) from error
    return tuple(found)


def _read_keys(url: str, fetching: Fetching, access: Access) -> tuple[SigningKey, ...]:
    """The keys at a URL; those of the network are fetched once, unless they cannot be used."""
    from layer.fetch.urls import fetch_url  # these two for repositories that have keys
    from layer.openpgp import LARGEST, read_keys

    parts = urlsplit(url)
    if parts.scheme == "file":
        return read_keys(Path(unquote(parts.path)), url)
    folder = fetching.cache / "keys" / hashlib.sha256(url.encode()).hexdigest()
    path = next(iter(folder.glob("*")), None) if folder.is_dir() else None
    if path is None:
        if fetching.cache_only:
            raise InvalidInput("it was not fetched yet")
        path = fetch_url(url, folder, fetching.reporter, largest=LARGEST, access=access)
    try:
        return read_keys(path, url)
    except InvalidInput:
        path.unlink()  # else a network's page to log in would be the key for good
        raise
