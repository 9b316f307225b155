"""What libsolv has read once is not read again, and nobody else's file is believed."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from layer.errors import RepositoryError
from layer.model import BaseState, RepositoryMetadata, Request, RequestKind, Resolution
from layer.scratch import SOLV_CACHE
from layer.solver.cache import open_cache
from layer.solver.loading import Loader
from layer.solver.resolve import resolve
from testdata.distro.tiny import tiny_rpm
from tests.solving import Notes, added, installed, offered

WANTED = [Request(RequestKind.PACKAGE, "app")]
BASE = "b" * 64


class Shelf:
    """A repository, a base and a cache for them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reporter = Notes()
        self.reads = 0
        self.metadata = offered(
            path,
            tiny_rpm("app", requires=["lib", "in-base"]),
            tiny_rpm("lib", "/usr/share/lib/data"),
            tiny_rpm("far", requires=["/usr/share/lib/data"]),
        )
        self.database = installed(path, tiny_rpm("in-base", arch="x86_64"))

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.path / "cache" / SOLV_CACHE

    def file(self, name: str = "r") -> Path:
        """The one file of a name."""
        (found,) = self.folder.glob(f"{name}=*")
        return found

    def names(self) -> list[str]:
        """What there is, without keys."""
        return sorted(path.name.partition("=")[0] for path in self.folder.iterdir())

    def base(self, checksum: str = BASE) -> BaseState:
        """A base that counts how often it is read."""

        def read() -> Path:
            self.reads += 1
            return self.database

        return BaseState(read, checksum=checksum)

    def blind(self) -> RepositoryMetadata:
        """The same metadata, of which neither list can be read."""
        damaged = self.path / "damaged.xml"
        damaged.write_text("<metadata")
        return replace(self.metadata, primary=damaged, filelists=damaged)

    def solve(
        self, metadata: RepositoryMetadata | None = None, wanted: list[Request] = WANTED
    ) -> Resolution:
        """What is added, in a process of its own as far as the solver is concerned."""
        loader = Loader(open_cache(self.path / "cache", self.reporter))
        return resolve(self.base(), [metadata or self.metadata], wanted, loader=loader)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_what_was_read_once_is_not_read_again(shelf: Shelf) -> None:
    first = shelf.solve()
    assert (added(first), shelf.reads) == (["app-1-1.noarch", "lib-1-1.noarch"], 1)
    assert shelf.names() == ["@base", "r"]
    assert shelf.solve(shelf.blind()) == first
    assert shelf.reads == 1
    assert shelf.reporter.notes == []


def test_filelists_are_kept_once_they_were_asked_for(shelf: Shelf) -> None:
    wanted = [Request(RequestKind.PACKAGE, "far")]
    shelf.solve()
    with pytest.raises(RepositoryError):
        shelf.solve(shelf.blind(), wanted)
    first = shelf.solve(wanted=wanted)
    assert added(first) == ["far-1-1.noarch", "lib-1-1.noarch"]
    assert shelf.names() == ["@base", "r", "r+filelists"]
    assert shelf.solve(shelf.blind(), wanted) == first
    assert shelf.reporter.notes == []


def test_only_its_owner_can_read_or_write_the_cache(shelf: Shelf) -> None:
    old = os.umask(0)
    try:
        shelf.solve()
    finally:
        os.umask(old)
    modes = {path.lstat().st_mode & 0o7777 for path in shelf.folder.iterdir()}
    assert (shelf.folder.lstat().st_mode & 0o7777, modes) == (0o700, {0o600})


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(path: Path) -> None:
    """Whole, and in the place of another."""
    (base,) = path.parent.glob("@base=*")
    path.write_bytes(base.read_bytes())


DAMAGE = [truncate, empty, flip, swap]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_a_damaged_file_is_made_anew(shelf: Shelf, damage: Callable[[Path], None]) -> None:
    first = shelf.solve()
    file = shelf.file()
    whole = file.read_bytes()
    damage(file)
    assert shelf.solve() == first
    assert shelf.reporter.notes == [f"{file} is made anew: it is damaged"]
    assert file.read_bytes() == whole


@pytest.mark.parametrize("name", ["r", "@base"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: path.chmod(0o602), "can be written by others"),
        (lambda path: path.chmod(0o620), "can be written by others"),
        (lambda path: os.chown(path, 1234, 0), "belongs to user 1234"),
    ],
)
def test_a_file_that_others_could_have_written_is_made_anew(
    shelf: Shelf, name: str, change: Callable[[Path], None], problem: str
) -> None:
    first = shelf.solve()
    file = shelf.file(name)
    change(file)
    assert shelf.solve() == first
    assert shelf.reporter.notes == [f"{file} is made anew: {problem}"]
    found = file.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)


def test_a_link_in_the_place_of_a_file_is_not_followed(shelf: Shelf) -> None:
    first = shelf.solve()
    file, elsewhere = shelf.file(), shelf.path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert shelf.solve() == first
    assert not file.is_symlink()


def test_a_directory_that_others_can_write_is_made_anew(shelf: Shelf) -> None:
    first = shelf.solve()
    shelf.folder.chmod(0o775)
    (shelf.folder / "planted").touch()
    assert shelf.solve() == first
    assert shelf.reporter.notes == [f"{shelf.folder} is made anew: it can be written by others"]
    assert shelf.names() == ["@base", "r"]
    assert shelf.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["writable", "foreign"])
def test_below_a_directory_of_others_there_is_no_cache(shelf: Shelf, kind: str) -> None:
    first = shelf.solve()
    before = shelf.file().read_bytes()
    if kind == "writable":
        shelf.path.chmod(0o777)
    else:
        os.chown(shelf.path, 1234, 1234)
    flip(shelf.file())
    assert shelf.solve() == first
    (note,) = shelf.reporter.notes
    why = "can be written by others" if kind == "writable" else "belongs to user 1234"
    assert note == f"packages are read without {shelf.folder}: {shelf.path} {why}"
    assert shelf.file().read_bytes() != before
    shelf.path.chmod(0o1777)
    if kind == "writable":  # as /tmp is
        shelf.solve()
        assert shelf.file().read_bytes() == before


def test_newer_metadata_take_the_place_of_older_ones(shelf: Shelf) -> None:
    shelf.solve()
    old = shelf.file()
    stale = shelf.folder / ".new-killed"
    stale.touch()
    os.utime(stale, (0, 0))
    shelf.metadata = offered(shelf.path, tiny_rpm("app", version="2"))
    assert added(shelf.solve()) == ["app-2-1.noarch"]
    assert shelf.file() != old
    assert shelf.names() == ["@base", "r"]


def test_a_repository_whose_name_begins_alike_keeps_its_own(shelf: Shelf) -> None:
    shelf.solve()
    shelf.solve(offered(shelf.path, tiny_rpm("app"), name="r-updates"))
    assert shelf.names() == ["@base", "r", "r-updates"]


def test_the_four_newest_bases_are_kept(shelf: Shelf) -> None:
    for number in range(6):
        loader = Loader(open_cache(shelf.path / "cache", shelf.reporter))
        resolve(shelf.base(f"{number}" * 64), [shelf.metadata], WANTED, loader=loader)
        os.utime(next(shelf.folder.glob(f"@base={number}*")), (number, number))
    kept = sorted(path.name[6] for path in shelf.folder.glob("@base=*"))
    assert kept == ["2", "3", "4", "5"]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100])
def test_without_room_all_goes_on_without_a_cache(shelf: Shelf, size: int) -> None:
    first = shelf.solve(wanted=[Request(RequestKind.PACKAGE, "lib")])
    for path in shelf.folder.iterdir():
        path.unlink()
    with files_no_larger_than(size):
        assert shelf.solve(wanted=[Request(RequestKind.PACKAGE, "lib")]) == first
    assert shelf.names() == []
    assert [note.partition("=")[2].partition(".solv ")[2] for note in shelf.reporter.notes] == [
        "cannot be written: libsolv could not write it"
    ] * 2


def test_damaged_metadata_are_not_kept(shelf: Shelf) -> None:
    with pytest.raises(RepositoryError):
        shelf.solve(shelf.blind())
    assert shelf.names() == ["@base"]


def test_one_pool_answers_several_questions_alike(shelf: Shelf) -> None:
    loader = Loader()
    base = shelf.base()
    requests = [
        [Request(RequestKind.PACKAGE, name)] for name in ("app", "far", "app.i686", "app", "lib")
    ]
    for wanted in requests[:2] + requests[3:]:
        alone = resolve(base, [shelf.metadata], wanted)
        assert resolve(base, [shelf.metadata], wanted, loader=loader) == alone
