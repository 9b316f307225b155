"""Several packages at once: in order, in bounded memory, and gone without a trace on failure."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from layer.errors import InvalidInput, PackageRefused
from layer.importer import import_package, import_packages
from layer.model import FileAttributes, PackageHeader
from layer.rpmfile.header import read_header
from layer.store.contract import ObjectStore
from layer.store.objects import OstreeStore
from testdata.distro.large import write_large_rpm
from testdata.distro.rpmspec import FileSpec, RpmSpec
from testdata.distro.rpmwriter import write_rpm
from tests.bench.memory import peak_memory
from tests.directory_store import DirectoryStore

THREADS = min(4, len(os.sched_getaffinity(0)))
MOST_MEMORY = 150_000_000  # bytes
MANY = 3 * THREADS + 5

Asked = tuple[Path, PackageHeader, str]
MakeStore = Callable[[Path], ObjectStore]


@pytest.fixture(params=[OstreeStore.create, DirectoryStore.create], ids=["ostree", "directory"])
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    make: MakeStore = request.param
    return make


def asked(path: Path) -> Asked:
    return path, read_header(path), hashlib.sha256(path.read_bytes()).hexdigest()


def write(folder: Path, name: str, *files: FileSpec) -> Asked:
    own = FileSpec(f"/usr/share/{name}", name.encode())
    return asked(write_rpm(RpmSpec(name, files=(own, *files)), folder))


def several(folder: Path) -> list[Asked]:
    """Packages that share directories and a file, the first by far the largest."""
    shared = FileSpec("/usr/share/doc/shared", b"the same everywhere")
    first = [FileSpec(f"/usr/share/doc/{n}", b"%d" % n * 1000) for n in range(500)]
    packages = [write(folder, "p00", shared, *first)]
    packages += [write(folder, f"p{n:02}", shared) for n in range(1, MANY)]
    return packages


def test_the_same_comes_of_it_as_one_by_one(make_store: MakeStore, tmp_path: Path) -> None:
    packages = several(tmp_path)
    together, alone = make_store(tmp_path / "together"), make_store(tmp_path / "alone")
    with together.transaction():
        trees = import_packages(together, packages)
    with alone.transaction():
        expected = tuple(
            import_package(alone, path, header, checksum=checksum)
            for path, header, checksum in packages
        )
    assert trees == expected
    assert together.refs("layer") == alone.refs("layer")
    assert [tree.nevra for tree in trees] == [header.nevra for _, header, _ in packages]


def test_nothing_is_imported_of_nothing(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    with store.transaction():
        assert import_packages(store, []) == ()


@pytest.mark.skipif(THREADS < 2, reason="there is one processor")
def test_packages_are_imported_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=30)

    class Meeting(DirectoryStore):
        def write_commit(self, *arguments, **words) -> str:  # type: ignore[no-untyped-def]
            together.wait()
            return super().write_commit(*arguments, **words)

    DirectoryStore.create(tmp_path / "store")
    store = Meeting(tmp_path / "store")
    with store.transaction():
        import_packages(store, [write(tmp_path, "one"), write(tmp_path, "two")])


def test_a_package_is_asked_for_when_a_thread_is_free(
    make_store: MakeStore, tmp_path: Path
) -> None:
    packages = several(tmp_path)[1:]
    store = make_store(tmp_path / "store")
    ahead = []

    def one_by_one() -> Iterator[Asked]:
        for number, package in enumerate(packages):
            ahead.append(number - len(imported))
            yield package

    imported: list[str] = []
    original = store.set_ref
    store.set_ref = lambda ref, commit: (original(ref, commit), imported.append(ref))  # type: ignore
    with store.transaction():
        import_packages(store, one_by_one())
    assert max(ahead) <= THREADS + 1


def test_of_several_refused_the_first_is_named(make_store: MakeStore, tmp_path: Path) -> None:
    late = refused_late(tmp_path)
    early = write(tmp_path, "early", FileSpec("/usr/local/x"))
    store = make_store(tmp_path / "store")
    with pytest.raises(PackageRefused, match=r"late-1-1\.x86_64: /usr/share/more/z"):
        failing(store, [late, early, *several(tmp_path)])
    assert store.refs("layer") == {}


def test_a_refused_package_goes_before_the_bad_header_of_a_later_one(
    make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store")

    def with_bad_header(*packages: Asked) -> Iterator[Asked]:
        yield from packages
        raise InvalidInput("the header of the last one")

    with pytest.raises(PackageRefused, match=r"late-1-1\.x86_64: /usr/share/more/z"):
        failing(store, with_bad_header(refused_late(tmp_path)))
    with pytest.raises(InvalidInput, match="the header of the last one"):
        failing(store, with_bad_header(write(tmp_path, "good")))
    assert store.refs("layer") == {}


def refused_late(folder: Path) -> Asked:
    """A package that is bad at its very end."""
    more = [FileSpec(f"/usr/share/more/{n}", b"%d" % n * 10000) for n in range(300)]
    return write(folder, "late", *more, FileSpec("/usr/share/more/z", b"z", digest="0" * 64))


def failing(store: ObjectStore, packages: Iterable[Asked]) -> None:
    with store.transaction():
        import_packages(store, packages)


def test_what_comes_after_a_refused_package_is_not_imported(tmp_path: Path) -> None:
    store = OstreeStore.create(tmp_path / "store")
    packages = [write(tmp_path, "bad", FileSpec("/usr/local/x"))]
    packages += [write(tmp_path, f"p{n:02}") for n in range(MANY)]
    asked_for = []

    def one_by_one() -> Iterator[Asked]:
        for package in packages:
            asked_for.append(package)
            yield package

    with pytest.raises(PackageRefused, match="bad"):
        failing(store, one_by_one())
    assert len(asked_for) <= THREADS + 2
    assert_untouched(store)


def test_ctrl_c_ends_the_threads_and_leaves_nothing(tmp_path: Path) -> None:
    chunks_after = []
    began = threading.Event()

    class Watched(OstreeStore):
        def write_file(self, attributes: FileAttributes, chunks: Iterable[bytes] = ()) -> str:
            return super().write_file(attributes, self._watched(chunks))

        def _watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
            for number, chunk in enumerate(chunks):
                # Past what is kept in memory, so that there is a file on the disk as well.
                if number == 40 and not began.is_set():
                    began.set()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                elif began.is_set():
                    chunks_after.append(len(chunk))
                    time.sleep(0.01)
                yield chunk

    packages = [asked(write_large_rpm(tmp_path, 300_000_000)), *several(tmp_path)]
    store = Watched.open(OstreeStore.create(tmp_path / "store").path)
    with pytest.raises(KeyboardInterrupt), store.transaction():
        import_packages(store, packages)
    assert began.is_set()
    assert sum(chunks_after) < 200_000_000  # it did not go on to the end
    assert_untouched(store)


def assert_untouched(store: OstreeStore) -> None:
    assert not [t.name for t in threading.enumerate() if t.name.startswith("import")]
    assert store.refs("layer") == {}
    assert list((store.path / "objects").rglob("*.*")) == []
    # libostree keeps the locks of its staging directories.
    left = [path for path in (store.path / "tmp").rglob("*") if path.is_file()]
    assert [path.name for path in left if not path.name.endswith("-lock")] == []


@pytest.mark.parametrize(
    "size", [300_000_000, pytest.param(2 << 30, marks=pytest.mark.slow)], ids=["300MB", "2GB"]
)
def test_memory_does_not_grow_with_a_file(tmp_path: Path, size: int) -> None:
    package = write_large_rpm(tmp_path, size)
    assert package.stat().st_size < size
    assert peak_memory(package, tmp_path / "store") < MOST_MEMORY
    (large,) = (p for p in (tmp_path / "store").rglob("*.file") if p.stat().st_size == size)
    digest = read_header(package).files[0].digest
    with large.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest


def test_memory_does_not_grow_with_the_number_of_packages(tmp_path: Path) -> None:
    sizes: Sequence[int] = [10, 200]
    peaks = []
    for count in sizes:
        folder = tmp_path / str(count)
        folder.mkdir()
        noise = hashlib.shake_256(b"x").digest(1 << 20)
        for n in range(count):
            write(folder, f"p{n:03}", FileSpec("/usr/share/noise", noise[n:]))
        peaks.append(peak_memory(folder, tmp_path / f"store-{count}"))
    assert peaks[1] - peaks[0] < 20_000_000
