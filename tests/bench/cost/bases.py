"""Bases of 25,000 to 200,000 files, made of the full set once and kept."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import rpm

from layer.compose import compose_tree
from layer.report import Reporter
from layer.repos import read_repositories
from layer.store.objects import OstreeStore
from layer.store.trees import files_of
from layer.treefile import Treefile, parse_treefile
from testdata.distro.cache import default_cache, locked, remove_old_builds
from testdata.distro.full import FullRepository
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm
from tests.bench.cost.selection import Graph, Member, alternatives, grown
from tests.world import write_repo_file

TREEFILE = Path(__file__).parents[3] / "testdata/distro/demo-tree.toml"
SIZES = (25_000, 50_000, 100_000, 200_000)
EPOCH = 1_700_000_000
SMALL, LARGE = "strace", "libreoffice-writer"
# With these in it every base has what LibreOffice Writer shares with any desktop; 47 packages
# of its own are left to layer.
DESKTOP = [
    "fontconfig",
    "fonts-dejavu-core",
    "gstreamer1.0-plugins-base",
    "iso-codes",
    "libabsl20220623",
    "libboost-filesystem1.74.0",
    "libboost-thread1.74.0",
    "libcups2",
    "libdw1",
    "libgtk-3-0",
    "libharfbuzz-icu0",
    "libhunspell-1.7-0",
    "libice6",
    "liblcms2-2",
    "libltdl7",
    "libnss3",
    "libopenjp2-7",
    "libpoppler126",
    "libsm6",
    "libx11-6",
    "libx11-xcb1",
    "libxslt1.1",
    "libyajl2",
    "sensible-utils",
    "sysvinit-utils",
    "ucf",
    "x11-common",
]
# A tree has one kernel, and what is made to be refused is in none.
NEVER = frozenset(["linux-image-amd64", "linux-image-6.1.0-56-amd64", "demo-newglibc"])
_SWAPPED = 5  # packages that one version of a base has and the other has not
_PADDING = "bench-padding"
_TOLERATED = 0.02  # of its files that a base may lack
_FORM = 1  # of what is kept


@dataclass(frozen=True, slots=True)
class Base:
    """Two versions of a base in a bare repository, and how many files the first one has."""

    repository: Path
    size: int
    files: int
    versions: tuple[str, str]  # checksums

    @property
    def name(self) -> str:
        """Its size in words."""
        return f"{self.size // 1000}k"


def ensure_bases(full: FullRepository, sizes: Sequence[int], reporter: Reporter) -> list[Base]:
    """The bases of these sizes, those made that are not there: minutes, and 8 GB for all."""
    members = read_members(full.path)
    key = sha256(repr((_FORM, full.path.parent.name, DESKTOP)).encode()).hexdigest()[:16]
    folder = default_cache() / f"bench-{key}"
    with locked(default_cache(), "bench-lock"):
        folder.mkdir(exist_ok=True)
        remove_old_builds(folder, "bench-????????????????", 1)
        known = folder / "bases.json"
        bases = json.loads(known.read_text()) if known.exists() else {}
        missing = [size for size in sizes if str(size) not in bases]
        if missing:
            chosen = choose(full, Graph(members), SIZES)
        # The largest first: its packages are all of them.
        for size in sorted(missing, reverse=True):
            bases[str(size)] = _make(full, folder, size, chosen[size], reporter)
            known.write_text(json.dumps(bases))
    return [
        Base(folder / "repo", size, bases[str(size)]["files"], tuple(bases[str(size)]["versions"]))
        for size in sizes
    ]


def choose(
    full: FullRepository, graph: Graph, sizes: Sequence[int]
) -> Mapping[int, tuple[str, ...]]:
    """The packages of a base of each size; none needs what is to be layered."""
    treefile = _treefile()
    core: set[str] = set()
    for name in sorted({*treefile.packages, *DESKTOP}):
        core |= graph.closure(name, core, set(NEVER))
    layered = graph.closure(LARGE, core, set(NEVER)) | {SMALL}
    assert not layered & core, sorted(layered & core)
    without = graph.tainted({*layered, *NEVER})
    return grown(graph, core, without, sizes)


def read_members(rpms: Path) -> list[Member]:
    """The packages of the set, from their headers."""
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm._RPMVSF_NODIGESTS)
    return [_member(transaction, path) for path in sorted(rpms.glob("*.rpm"))]


def _member(transaction: rpm.TransactionSet, path: Path) -> Member:
    with path.open("rb") as file:
        header = transaction.hdrFromFdno(file.fileno())
    return Member(
        name=header[rpm.RPMTAG_NAME],
        provides=frozenset(header[rpm.RPMTAG_PROVIDENAME]),
        requires=tuple(alternatives(text) for text in header[rpm.RPMTAG_REQUIRENAME]),
        files=sum(not stat.S_ISDIR(mode & 0xFFFF) for mode in header[rpm.RPMTAG_FILEMODES]),
    )


def _treefile() -> Treefile:
    return parse_treefile(TREEFILE.read_text(), str(TREEFILE))


def _make(
    full: FullRepository, folder: Path, size: int, names: Sequence[str], reporter: Reporter
) -> dict[str, object]:
    """Composes both versions of a base, with padding where the set has not enough files."""
    graph = Graph(read_members(full.path))
    wanted = {*_treefile().packages, *DESKTOP}
    leaves = [name for name in graph.leaves(set(names)) if name not in wanted]
    swapped = leaves[: 2 * _SWAPPED]
    kitchen = _Kitchen(full, folder, size, reporter)
    first = kitchen.compose(1, set(names) - set(swapped[:_SWAPPED]))
    missing = size - kitchen.files(first)
    padding = set()
    if missing > _TOLERATED * size:
        kitchen.pad(missing)
        padding = {_PADDING}
        first = kitchen.compose(1, set(names) - set(swapped[:_SWAPPED]) | padding)
    second = kitchen.compose(2, set(names) - set(swapped[_SWAPPED:]) | padding)
    return {"files": kitchen.files(first), "versions": [first, second]}


class _Kitchen:
    """Where the bases of one size are composed."""

    def __init__(self, full: FullRepository, folder: Path, size: int, reporter: Reporter) -> None:
        self._folder = folder
        self._size = size
        self._reporter = reporter
        self._store = OstreeStore.create(folder / "repo")
        self._repos = folder / f"repos-{size}"
        self._repos.mkdir(exist_ok=True)
        write_repo_file(self._repos, "demo", full.path.as_uri())

    def compose(self, version: int, names: Iterable[str]) -> str:
        """The checksum of a base of these packages."""
        repositories = read_repositories([self._repos], {})
        treefile = replace(
            _treefile(),
            ref=f"bench/{self._size}",
            version=None,
            packages=tuple(sorted(names)),
            repositories=tuple(repository.id for repository in repositories),
        )
        began = time.monotonic()
        composed = compose_tree(
            treefile,
            self._store,
            repositories,
            self._folder / "cache",
            self._reporter,
            timestamp=EPOCH + version,
        )
        took = time.monotonic() - began
        self._reporter.note(f"{treefile.ref}: {composed.packages} packages, {took:.0f} s")
        return composed.checksum

    def files(self, checksum: str) -> int:
        """How many files a base has."""
        return sum(1 for _ in files_of(self._store, self._store.read_commit(checksum).root))

    def pad(self, number: int) -> None:
        """Offers a package of so many small files."""
        paths = (f"/usr/share/{_PADDING}/{n // 100:03}/{n % 100:02}" for n in range(number))
        files = [FileSpec(path, path.encode()) for path in paths]
        packages = self._folder / f"padding-{self._size}"
        tiny_repository(packages, tiny_rpm(_PADDING, *files))
        write_repo_file(self._repos, "padding", packages.as_uri())
