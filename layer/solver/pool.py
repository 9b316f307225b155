"""Everything that can be installed and all that the base has, in one pool of libsolv."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import solv

from layer.config import is_base_url, is_safe_href
from layer.errors import InvalidInput, RepositoryError, StoreError
from layer.model import BaseState, LockedPackage, Nevra, Package, Repository, RepositoryMetadata
from layer.words import shown

PRETENDED = "layer:pretended"
SOURCE_ARCHES = ("src", "nosrc")
_EVR = re.compile(r"(?:([0-9]{1,10}):)?(.*)-([^-]*)", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_NEVRA = 220  # characters; no package that is longer can be imported
_LARGEST = 1 << 40  # bytes; what metadata say beyond is no size
_MAGIC = {
    ".gz": b"\x1f\x8b",
    ".xz": b"\xfd7zXZ\x00",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".bz2": b"BZh",
    ".xml": b"<?xml",
}
_BROKEN_HINT = "fetch the metadata again: layer refresh-md; or disable the repository"


@dataclass(slots=True)
class Offer:
    """A loaded pool. `locked` are the checksums, by solvable, of those known from headers alone.

    `missing_files` stands for packages that filelists would name: it provides
    every file that is required and that no metadata read so far has. `gone` are
    the packages of the base that are to be taken away.
    """

    pool: solv.Pool
    arch: str
    repositories: dict[int, Repository]
    locked: dict[int, str]
    lacks_filelists: bool = False
    missing_files: solv.XSolvable | None = None
    gone: frozenset[int] = frozenset()

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

    def accept_other_arches(self) -> None:
        """Make installable what the architecture can run beside its own, such as i686 on x86_64."""
        self.pool.setarch(self.arch)
        self.pool.createwhatprovides()


def load(
    base: BaseState,
    metadata: Sequence[RepositoryMetadata],
    lock: Iterable[LockedPackage],
    locked_headers: Mapping[str, Path],
    *,
    with_filelists: bool,
) -> Offer:
    """Read all into a fresh pool, in an order that does not depend on the arguments' order."""
    pool = solv.Pool()
    # Debian's build thinks in .deb; noarch packages are then not installable.
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    # As rpm does: foo.i686 neither replaces nor obsoletes foo.x86_64.
    pool.set_flag(solv.Pool.POOL_FLAG_IMPLICITOBSOLETEUSESCOLORS, 1)
    pool.set_flag(solv.Pool.POOL_FLAG_OBSOLETEUSESCOLORS, 1)
    if base.database is not None:
        _load_base(pool, base.database)
    arch = base.arch or _base_arch(pool)
    # With a policy of its own name alone, i686 does not count as installable on x86_64.
    pool.setarch(f"{arch}:{arch}")
    lacks_filelists = not with_filelists and any(each.filelists for each in metadata)
    offer = Offer(pool, arch, {}, {}, lacks_filelists)
    for each in sorted(metadata, key=lambda each: each.repository.id):
        repository = _load_repository(pool, each, with_filelists=with_filelists)
        offer.repositories[repository.id] = each.repository
    _load_locked(offer, lock, locked_headers)
    required_files = pool.addfileprovides_queue()
    pool.createwhatprovides()
    if lacks_filelists:
        _stand_in_for_filelists(offer, required_files)
    return offer


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
        raise _broken(repository, error.message) from error
    if not _SHA256.fullmatch(checksum):
        raise _broken(repository, f"{name} comes without a SHA-256 checksum")
    size = int(source.lookup_num(solv.SOLVABLE_DOWNLOADSIZE))
    if max(size, _size(source)) > _LARGEST:
        raise _broken(repository, f"{name} comes with a size that no package has")
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


def _preference(repository: Repository) -> tuple[int, str]:
    return repository.priority, repository.id


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
        raise _broken(repository, f"{name} lies outside of the repository: {where}")
    return f"{base.rstrip('/')}/{href}" if base else str(href)


def _broken(repository: Repository, fact: str) -> RepositoryError:
    urls = ", ".join(repository.base_urls)
    return RepositoryError(f"repository {repository.id} ({urls}): {fact}", _BROKEN_HINT)


# --- the base -----------------------------------------------------------------------------------


def _load_base(pool: solv.Pool, database: Path) -> None:
    """Read the rpm database in the directory `database` as what is installed.

    libsolv looks below a root at the place that rpm's macro _dbpath names, which
    differs between systems and processes (Debian's is ~/.rpmdb), falls back on
    others, and treats a database that it cannot find as an empty one. So a root
    is made in which every such place leads here, and packages must be found.
    """
    repo = pool.add_repo("@System")
    pool.installed = repo
    with tempfile.TemporaryDirectory(prefix="layer-") as name:
        root = Path(name)
        places = ["usr/share/rpm", "var/lib/rpm", "usr/lib/sysimage/rpm"]
        places.append(str(Path("~/.rpmdb").expanduser()).lstrip("/"))
        for place in places:
            _link(root / place, database)
        pool.set_rootdir(name)
        is_read = repo.add_rpmdb(solv.Repo.REPO_USE_ROOTDIR)
        if is_read and repo.isempty():
            # Another macro: rpm has just made a new database at its place.
            for made in _made_databases(root):
                _link(made, database)
            is_read = repo.add_rpmdb(solv.Repo.REPO_USE_ROOTDIR)
        pool.set_rootdir(None)
    if not is_read or repo.isempty():
        raise StoreError(
            f"the base's rpm database in {database} cannot be read or has no packages",
            "the base must be built from packages",
        )


def _link(place: Path, database: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        place.rename(place.with_name(place.name + ".unused"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(database.absolute())


def _made_databases(root: Path) -> Iterator[Path]:
    # rglob does not follow the links.
    return (path.parent for path in list(root.rglob("rpmdb.sqlite")))


def _base_arch(pool: solv.Pool) -> str:
    """The architecture that all of the base's packages run on; never the host's."""
    if pool.installed is None:
        raise StoreError("a system without a base has no architecture of its own", "name one")
    counts = Counter(each.arch for each in pool.installed.solvables if each.arch != "noarch")
    fitting = []
    for arch in counts:
        pool.setarch(arch)
        if all(pool.isknownarch(pool.str2id(other)) for other in counts):
            fitting.append(arch)
    if not fitting:
        raise StoreError(
            f"the base's packages share no architecture: {', '.join(sorted(counts)) or 'noarch'}",
            "the base must hold packages of one machine",
        )
    return str(max(sorted(fitting), key=lambda arch: counts[arch]))


# --- repositories and the lock ------------------------------------------------------------------


def _load_repository(
    pool: solv.Pool, metadata: RepositoryMetadata, *, with_filelists: bool
) -> solv.Repo:
    repo = pool.add_repo(metadata.repository.id)
    repo.priority = -metadata.repository.priority  # for libsolv more is better
    _read(repo, metadata, metadata.primary, None, 0)
    # A page that is not metadata at all reads as a repository without packages.
    if repo.isempty() and not _looks_like_metadata(metadata.primary):
        raise _broken(metadata.repository, "its package list is no metadata")
    if with_filelists and metadata.filelists is not None:
        flags = solv.Repo.REPO_EXTEND_SOLVABLES | solv.Repo.REPO_LOCALPOOL
        _read(repo, metadata, metadata.filelists, "FL", flags)
    return repo


def _read(
    repo: solv.Repo, metadata: RepositoryMetadata, path: Path, language: str | None, flags: int
) -> None:
    file = solv.xfopen(str(path))
    if file is None:
        raise _broken(metadata.repository, f"{path} cannot be read")
    try:
        # False for truncated XML; the packages before the break are in the pool then.
        is_read = repo.add_rpmmd(file, language, flags)
    finally:
        file.close()
    if not is_read:
        raise _broken(metadata.repository, f"{path.name} is damaged")


def _looks_like_metadata(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(_MAGIC.get(path.suffix, b"\0"))


def _load_locked(
    offer: Offer, lock: Iterable[LockedPackage], locked_headers: Mapping[str, Path]
) -> None:
    repo = offer.pool.add_repo("@lock")  # priority 0: no repository comes before it
    for locked in sorted(lock):
        path = locked_headers.get(locked.checksum)
        if path is None:
            continue
        solvable = repo.add_rpm(str(path))
        if solvable is None:
            raise StoreError(f"the header of {locked.nevra} in {path} cannot be read")
        offer.locked[solvable.id] = locked.checksum


def _stand_in_for_filelists(offer: Offer, required_files: Iterable[int]) -> None:
    """Let every required file that nobody has be had, so that a solution shows if it matters.

    Reading the filelists of 60,000 packages takes seconds; leaving packages out
    because of them would choose others silently.
    """
    pool = offer.pool
    unknown = [each for each in required_files if not pool.whatprovides(each)]
    if not unknown:
        return
    offer.missing_files = offer.pretend(unknown)
