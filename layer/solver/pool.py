"""Everything that can be installed and all that the base has, in one pool of libsolv."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field

import solv

from layer.config import is_base_url, is_safe_href
from layer.errors import InvalidInput, RepositoryError
from layer.frozen import dataclass
from layer.model import Nevra, Package, Repository
from layer.words import shown

PRETENDED = "layer:pretended"
SOURCE_ARCHES = ("src", "nosrc")
_EVR = re.compile(r"(?:([0-9]{1,10}):)?(.*)-([^-]*)", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_NEVRA = 220  # characters; no package that is longer can be imported
_LARGEST = 1 << 40  # bytes; what metadata say beyond is no size
_BROKEN_HINT = "fetch the metadata again: layer refresh-md; or disable the repository"


@dataclass(slots=True)
class Offer:
    """A loaded pool. `locked` are the checksums, by solvable, of those known from headers alone.

    `missing_files` stands for packages that filelists would name: it provides
    every file that is required and that no metadata read so far has. `gone` are
    the packages of the base that are to be taken away. `excluded` says of packages that
    nobody is to have who wants that.
    """

    pool: solv.Pool
    arch: str
    repositories: dict[int, Repository]
    locked: dict[int, str]
    lacks_filelists: bool = False
    missing_files: solv.XSolvable | None = None
    gone: frozenset[int] = frozenset()
    excluded: dict[int, str] = field(default_factory=dict)
    _accepts_others: bool = False

    @property
    def has_base(self) -> bool:
        """Whether anything is installed."""
        return self.pool.installed is not None

    def is_in_base(self, solvable: solv.XSolvable) -> bool:
        """Whether the base has this very package."""
        return bool(solvable.isinstalled()) and solvable.id not in self.gone

    def stands_in(self, solvable: solv.XSolvable) -> bool:
        """Whether this is no package, but `missing_files`."""
        return self.missing_files is not None and bool(solvable.id == self.missing_files.id)

    def pretend(self, dependencies: Iterable[int]) -> solv.XSolvable:
        """Add what is no package and provides these."""
        stand_in = self.pool.add_repo("@pretended").add_solvable()
        stand_in.name, stand_in.evr, stand_in.arch = PRETENDED, "0-0", "noarch"
        for each in dependencies:
            stand_in.add_provides(each)
        self.pool.createwhatprovides()
        return stand_in

    def forget(self, pretended: solv.XSolvable) -> None:
        """Take away again what `pretend` added last."""
        pretended.repo.free(True)
        self.pool.createwhatprovides()

    def named(self, name: str) -> list[solv.XSolvable]:
        """All packages of this name that fit the base's architecture, the base's own included."""
        name_id = self.pool.str2id(name, False)
        if not name_id:
            return []
        return [each for each in self.pool.whatprovides(name_id) if each.nameid == name_id]

    def checksum(self, solvable: solv.XSolvable) -> str:
        """The SHA-256 of the package's file, "" where nobody says one."""
        if solvable.id in self.locked:
            return self.locked[solvable.id]
        checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
        if checksum is None or checksum.type != solv.REPOKEY_TYPE_SHA256:
            return ""
        return str(checksum.hex())

    def accept_own_arch(self) -> None:
        """Make installable what is of the architecture itself, and nothing beside it."""
        # With a policy of its own name alone, i686 does not count as installable on x86_64.
        self.pool.setarch(f"{self.arch}:{self.arch}")
        self._accepts_others = False

    def accept_other_arches(self) -> None:
        """Make installable what the architecture can run beside its own, such as i686 on x86_64."""
        self.pool.setarch(self.arch)
        self.pool.createwhatprovides()
        self._accepts_others = True

    def start_again(self) -> None:
        """Make the pool what it was before the last question."""
        self.gone = frozenset()
        if self._accepts_others:
            self.accept_own_arch()
            self.pool.createwhatprovides()


def nevra(solvable: solv.XSolvable) -> Nevra:
    """The package's name as our noun; InvalidInput where metadata made one up that rpm has not."""
    found = _EVR.fullmatch(solvable.evr)
    if found is None:
        raise InvalidInput(f"not a package's version: {solvable.evr!r}")
    result = Nevra(solvable.name, int(found[1] or 0), found[2], found[3], solvable.arch)
    text = str(result)
    if len(text) > _LONGEST_NEVRA or not text.isprintable() or Nevra.parse(text) != result:
        raise InvalidInput(f"not a package's NEVRA: {text[:_LONGEST_NEVRA]!r}")
    return result


def package(offer: Offer, solvable: solv.XSolvable) -> Package:
    """The package as our noun, from the most preferred repository that has this very file."""
    checksum = offer.checksum(solvable)
    twins = [
        twin
        for twin in offer.named(solvable.name)
        if (twin.evr, twin.arch, offer.checksum(twin)) == (solvable.evr, solvable.arch, checksum)
        and twin.repo.id in offer.repositories
    ]
    if not twins:
        return Package(
            nevra(solvable), checksum, 0, _size(solvable), "", "", summary=_summary(solvable)
        )
    source = min(twins, key=lambda twin: _preference(offer.repositories[twin.repo.id]))
    repository = offer.repositories[source.repo.id]
    try:
        name = nevra(source)
    except InvalidInput as error:
        raise broken(repository, error.message) from error
    if not _SHA256.fullmatch(checksum):
        raise broken(repository, f"{name} comes without a SHA-256 checksum")
    size = int(source.lookup_num(solv.SOLVABLE_DOWNLOADSIZE))
    if max(size, _size(source)) > _LARGEST:
        raise broken(repository, f"{name} comes with a size that no package has")
    return Package(
        nevra=name,
        checksum=checksum,
        size=size,
        installed_size=_size(source),
        repository=repository.id,
        location=_location(source, repository, name),
        header_range=(0, int(source.lookup_num(solv.SOLVABLE_HEADEREND))),
        summary=_summary(source),
    )


def _preference(repository: Repository) -> tuple[int, int, str]:
    return repository.priority, repository.cost, repository.id


def _size(solvable: solv.XSolvable) -> int:
    return int(solvable.lookup_num(solv.SOLVABLE_INSTALLSIZE))


def _summary(solvable: solv.XSolvable) -> str:
    return str(solvable.lookup_str(solv.SOLVABLE_SUMMARY) or "")


def _location(solvable: solv.XSolvable, repository: Repository, name: Nevra) -> str:
    """Below the repository, or below the URL that `xml:base` names."""
    href, _ = solvable.lookup_location()
    base = solvable.lookup_str(solv.SOLVABLE_MEDIABASE)
    if not href or not is_safe_href(href) or (base and not is_base_url(base)):
        where = shown(f"{base or ''}{href or ''}")
        raise broken(repository, f"{name} lies outside of the repository: {where}")
    return f"{base.rstrip('/')}/{href}" if base else str(href)


def broken(repository: Repository, fact: str) -> RepositoryError:
    """The error that names a repository and what is wrong with it."""
    where = f"repository {repository.id} ({repository.shown_urls})"
    return RepositoryError(f"{where}: {fact}", _BROKEN_HINT)
