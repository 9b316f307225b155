"""The nouns of package repositories: what they are, what they offer, who vouches for it."""

from __future__ import annotations

from dataclasses import field, replace
from pathlib import Path

from layer.frozen import dataclass
from layer.words import without_passwords

NEVER = -1


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server proves who it is, and we: files with authorities, a certificate and its key.

    With `asks_status` the server has to show that its certificate was not revoked.
    """

    is_checked: bool = True
    asks_status: bool = False
    authorities: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """How servers are reached. Logins are `user:password`, and never shown.

    `proxy` is a URL, "" for none and None for what the environment says. A server that sends
    fewer than `slowest` bytes a second for `timeout` seconds counts as stalled; none sends more
    than `fastest`, where that is not 0. `family` is 4 or 6 where only one version of IP is
    to be used. `retries` is how often a package's download goes on after its connection broke.
    """

    proxy: str | None = field(default=None, repr=False)
    proxy_login: str = field(default="", repr=False)
    proxy_method: str = "any"
    proxy_tls: Tls = Tls()
    login: str = field(default="", repr=False)
    tls: Tls = Tls()
    timeout: int = 20
    slowest: int = 1000
    fastest: int = 0
    retries: int = 10
    parallel: int = 6
    family: str = ""
    agent: str = ""

    def for_strangers(self) -> Access:
        """The same for a server that is not to learn who we are."""
        return replace(self, login="", tls=replace(self.tls, certificate="", key=""))


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
    Metadata are fetched anew when they are `metadata_expire` seconds old, or NEVER. What
    `may_be_missing` is left out where it cannot be had, as skip_if_unavailable has it.
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
    metadata_expire: int = 0
    may_be_missing: bool = False
    access: Access = Access()

    @property
    def shown_urls(self) -> str:
        """The base URLs for a person, without passwords."""
        return without_passwords(", ".join(self.base_urls))


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
    groups: Path | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """How packages are chosen where there is a choice.

    `excludes` are globs that name packages that no repository is to offer. Where `is_best`, what
    is asked for anew comes in its best version or not at all. `with_recommended`: what packages
    recommend, and what supplements them, comes with them as far as it can.
    """

    excludes: tuple[str, ...] = ()
    is_best: bool = False
    with_recommended: bool = False
