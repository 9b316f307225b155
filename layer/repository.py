"""The nouns of package repositories: what they are, what they offer, who vouches for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Repository:
    """A package repository of a .repo file; `base_urls` are expanded, `file://` or `http(s)://`.

    The lower `priority` is, the more the repository is preferred. `unsupported`
    are the settings, `key=value`, that layer cannot honour yet and that must
    not be ignored: nothing is fetched from a repository that has any. Where it
    `checks_packages`, one of `keys`, which are URLs, must have signed each; where it
    `checks_metadata`, repomd.xml. `metalink` and `mirrorlist` are URLs that name mirrors,
    for one without base URLs. `excludes` and `includes` are globs over packages, as dnf's
    excludepkgs and includepkgs have them: what the first name is not there, and where the
    second are given, what they do not name is not there either. Of repositories with one
    priority and one version of a package the one with the lower `cost` is preferred.
    """

    id: str
    name: str
    base_urls: tuple[str, ...]
    is_enabled: bool = True
    source: str = ""
    priority: int = 99
    unsupported: tuple[str, ...] = ()
    checks_packages: bool = False
    checks_metadata: bool = False
    keys: tuple[str, ...] = ()
    metalink: str = ""
    mirrorlist: str = ""
    excludes: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    cost: int = 1000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An OpenPGP key: its fingerprint, whose it says it is, where it was read, and its packets."""

    fingerprint: str
    user: str
    source: str
    packets: bytes


@dataclass(frozen=True, slots=True)
class RepositoryMetadata:
    """The files of a repository's metadata on disk, each checked against its repomd.xml.

    `repomd_checksum` is the SHA-256 of repomd.xml.
    """

    repository: Repository
    repomd_checksum: str
    primary: Path
    filelists: Path | None = None
