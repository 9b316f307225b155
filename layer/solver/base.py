"""The base's packages as libsolv has them installed."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import solv

from layer.errors import StoreError
from layer.model import BaseState
from layer.solver.cache import SolvCache

_NAME = "@base"  # no repository's id
_KEPT = 4  # bases: that of each deployment, as a rule


def load_base(pool: solv.Pool, base: BaseState, cache: SolvCache | None) -> None:
    """Reads what the base has, from the cache where that knows its commit."""
    repo = pool.add_repo("@System")
    pool.installed = repo
    is_known = cache is not None and bool(base.checksum)
    if cache and is_known and cache.read(_NAME, base.checksum, lambda f: _take(repo, f)):
        return
    database = base.database() if callable(base.database) else base.database
    if database is None:
        pool.installed = None
        repo.free()
        return
    _read_database(pool, repo, database)
    if cache and is_known:
        cache.write(_NAME, base.checksum, repo.write, kept=_KEPT)


def _take(repo: solv.Repo, file: object) -> bool:
    if repo.add_solv(file, 0) and not repo.isempty():
        return True
    repo.empty()
    return False


def _read_database(pool: solv.Pool, repo: solv.Repo, database: Path) -> None:
    """Read the rpm database in the directory `database` as what is installed.

    libsolv looks below a root at the place that rpm's macro _dbpath names, which
    differs between systems and processes (Debian's is ~/.rpmdb), falls back on
    others, and treats a database that it cannot find as an empty one. So a root
    is made in which every such place leads here, and packages must be found.
    """
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


def base_arch(pool: solv.Pool) -> str:
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
