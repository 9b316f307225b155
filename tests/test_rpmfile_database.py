"""The rpm database: what it lists, and that it is the same bytes every time."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from layer.errors import NotFound, StoreError
from layer.model import FileAttributes, Nevra
from layer.rpmdb import change_database, extract_database
from layer.rpmfile import apart
from layer.rpmfile.database import DATABASE_FILE, read_database
from layer.rpmfile.header import read_header
from layer.rpmfile.writing import tool_versions
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree
from testdata.distro.rpmspec import FileSpec, RpmSpec
from testdata.distro.rpmwriter import write_rpm
from tests.databases import write_database

EPOCH = 1_700_000_000


def blob(tmp_path: Path, name: str, version: str = "1") -> bytes:
    spec = RpmSpec(
        name,
        version,
        arch="aarch64" if name == "foreign" else "noarch",
        requires=("nothing-has-this",),
        files=(
            FileSpec(f"/usr/bin/{name}", name.encode()),
            FileSpec("/etc/passwd", b"another\n", config=True),
            FileSpec.directory("/usr/share/doc"),
        ),
    )
    return read_header(write_rpm(spec, tmp_path)).blob


@pytest.fixture
def blobs(tmp_path: Path) -> list[bytes]:
    return [blob(tmp_path, name) for name in ("zebra", "ape", "foreign")]


def written(tmp_path: Path, name: str, blobs: Sequence[bytes], source: Path | None = None) -> Path:
    directory = tmp_path / name
    directory.mkdir()
    write_database(source, directory, blobs, timestamp=EPOCH)
    return directory


def nevra(name: str, arch: str = "noarch") -> Nevra:
    return Nevra(name, 0, "1", "1", arch)


def rpm_query(directory: Path, *options: str) -> str:
    command = ["rpm", "--dbpath", str(directory), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def state() -> tuple[object, ...]:
    """What belongs to the whole process."""
    umask = os.umask(0o22)
    os.umask(umask)
    return (
        Path.cwd(),
        umask,
        len(list(Path("/proc/self/fd").iterdir())),
        signal.getsignal(signal.SIGINT),
        signal.pthread_sigmask(signal.SIG_BLOCK, []),
    )


def test_packages_are_added_to_what_was_there(tmp_path: Path, blobs: list[bytes]) -> None:
    base = written(tmp_path, "base", blobs[:1])
    derived = written(tmp_path, "derived", blobs[1:], base)
    assert read_database(base) == (nevra("zebra"),)
    assert read_database(derived) == (nevra("ape"), nevra("foreign", "aarch64"), nevra("zebra"))


def test_one_name_in_two_architectures_is_two_packages(tmp_path: Path) -> None:
    wide, narrow = (
        read_header(write_rpm(RpmSpec("lib", "1", arch=arch), tmp_path)).blob
        for arch in ("x86_64", "i686")
    )
    both = (nevra("lib", "i686"), nevra("lib", "x86_64"))
    assert read_database(written(tmp_path, "at-once", [wide, narrow])) == both
    base = written(tmp_path, "base", [wide])
    assert read_database(written(tmp_path, "one-by-one", [narrow], base)) == both
    with pytest.raises(StoreError):
        written(tmp_path, "twice", [wide], base)


def test_database_is_one_file_that_rpm_reads_where_it_cannot_write(
    tmp_path: Path, blobs: list[bytes]
) -> None:
    directory = written(tmp_path, "db", blobs)
    assert [path.name for path in directory.iterdir()] == [DATABASE_FILE]
    content = (directory / DATABASE_FILE).read_bytes()
    assert (directory / DATABASE_FILE).stat().st_mode & 0o777 == 0o644
    asked = rpm_query(directory, "-qa", "--qf", "%{name} %{installtime} %{installtid}\n")
    assert asked == (
        f"zebra {EPOCH} {EPOCH}\nape {EPOCH + 1} {EPOCH}\nforeign {EPOCH + 2} {EPOCH}\n"
    )
    assert rpm_query(directory, "-qf", "/usr/bin/ape") == "ape-1-1.noarch\n"
    assert (directory / DATABASE_FILE).read_bytes() == content
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


def test_bytes_depend_on_nothing_but_the_arguments(tmp_path: Path, blobs: list[bytes]) -> None:
    base = written(tmp_path, "base", blobs[:1])
    here = written(tmp_path, "here", blobs[1:], base)
    for position, data in enumerate(blobs[1:]):
        (tmp_path / f"{position}.blob").write_bytes(data)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".rpmmacros").write_text(
        "%_dbpath /nowhere\n%_db_backend bdb\n%_transaction_color 0\n%_netsharedpath /usr\n"
        "%_excludedocs 1\n%_install_langs de\n%_rpmlock_path /nowhere/lock\n"
        "%_pkgverify_level all\n%_pkgverify_flags 0x7fffffff\n%_prefer_color 1\n"
    )
    there = tmp_path / "there"
    there.mkdir()
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path
        os.umask(0o077)
        from tests.databases import write_database
        blobs = [Path({str(tmp_path)!r}, f"{{n}}.blob").read_bytes() for n in range(2)]
        write_database(Path({str(base)!r}), Path({str(there)!r}), blobs, timestamp={EPOCH})
    """)
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        cwd="/",
        env={
            "HOME": str(home),
            "LC_ALL": "de_DE.UTF-8",
            "SOURCE_DATE_EPOCH": "1",
            "TZ": "Asia/Tokyo",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        },
    )
    assert (there / DATABASE_FILE).read_bytes() == (here / DATABASE_FILE).read_bytes()
    assert (there / DATABASE_FILE).stat().st_mode & 0o777 == 0o644


def test_nothing_to_add_is_a_copy(tmp_path: Path, blobs: list[bytes]) -> None:
    base = written(tmp_path, "base", blobs)
    copy = written(tmp_path, "copy", [], base)
    assert (copy / DATABASE_FILE).read_bytes() == (base / DATABASE_FILE).read_bytes()
    assert read_database(written(tmp_path, "empty", [])) == ()


def test_process_is_as_before_even_after_a_failure(
    tmp_path: Path, blobs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    base = written(tmp_path, "base", blobs)
    before = state()
    with pytest.raises(StoreError, match=r"ape-1-1\.noarch is already installed"):
        written(tmp_path, "again", blobs[1:2], base)
    assert os.environ["SOURCE_DATE_EPOCH"] == "7"
    assert state() == before
    assert read_database(written(tmp_path, "more", [blob(tmp_path, "bee")], base))[1].name == "bee"


def test_signal_waits_for_the_end(
    tmp_path: Path, blobs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """rpm would end the process if a handler raised inside of its callback."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    from layer.rpmfile import writing

    add = writing._add

    def interrupted(added: Sequence[bytes]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        add(added)
        assert arrived == []

    monkeypatch.setattr(writing, "_add", interrupted)
    try:
        directory = written(tmp_path, "db", blobs)
    finally:
        signal.signal(signal.SIGINT, before)
    assert arrived == [signal.SIGINT]
    assert len(read_database(directory)) == 3


def test_threads_write_side_by_side(tmp_path: Path, blobs: list[bytes]) -> None:
    threads = [threading.Thread(target=written, args=(tmp_path, f"db{n}", blobs)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(tmp_path / f"db{n}" / DATABASE_FILE).read_bytes() for n in range(4)}) == 1


def test_keys_are_no_packages(tmp_path: Path, blobs: list[bytes]) -> None:
    key = blob(tmp_path, "gpg-pubkey")
    assert read_database(written(tmp_path, "db", [key, blobs[1]])) == (nevra("ape"),)


def test_content_that_waits_in_the_log_is_read_and_nothing_written(
    tmp_path: Path, blobs: list[bytes]
) -> None:
    directory = written(tmp_path, "db", blobs)
    live = tmp_path / "live"
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("DELETE FROM Packages WHERE hnum = 1")
        connection.commit()
        shutil.copytree(directory, live)
    (live / f"{DATABASE_FILE}-shm").unlink()
    before = sorted(path.name for path in live.iterdir())
    assert len(read_database(live)) == 2
    assert sorted(path.name for path in live.iterdir()) == before
    assert read_database(written(tmp_path, "next", [], live)) == read_database(live)


def test_what_is_no_database_is_refused(tmp_path: Path, blobs: list[bytes]) -> None:
    with pytest.raises(NotFound):
        read_database(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / DATABASE_FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError):
        read_database(tmp_path / "bad")
    with pytest.raises(StoreError):
        written(tmp_path, "worse", blobs, tmp_path / "bad")
    assert len(read_database(written(tmp_path, "good", blobs))) == 3


def test_tools_are_named_with_their_versions() -> None:
    assert set(tool_versions()) == {"rpm", "sqlite"}
    assert all(version[0].isdigit() for version in tool_versions().values())


def one_file(tmp_path: Path, name: str, path: str) -> bytes:
    """A package with one file, like no other's."""
    spec = RpmSpec(name, "1", files=(FileSpec(path, name.encode()),))
    return read_header(write_rpm(spec, tmp_path)).blob


def state_of_the_first(tmp_path: Path, name: str, paths: Sequence[str], **options: Any) -> str:
    """What the database says of the first one's file once there is the second, too."""
    first, second = (one_file(tmp_path, f"p{n}", path) for n, path in enumerate(paths))
    source = written(tmp_path, f"{name}-base", [first])
    (tmp_path / name).mkdir()
    write_database(source, tmp_path / name, [second], timestamp=EPOCH, **options)
    return rpm_query(tmp_path / name, "-qs", "p0").split()[0]


def test_links_of_this_machine_do_not_matter(tmp_path: Path) -> None:
    """rpm asks the directories that are there whether two paths are one file."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to("one")
    paths = [str(tmp_path / "one/file"), str(tmp_path / "two/file")]
    assert state_of_the_first(tmp_path, "linked", paths) == "normal"
    (tmp_path / "two").unlink()
    (tmp_path / "two").mkdir()
    assert state_of_the_first(tmp_path, "apart", paths) == "normal"
    found = {(tmp_path / name / DATABASE_FILE).read_bytes() for name in ("linked", "apart")}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("links", "paths", "state"),
    [
        ({"bin": "usr/bin"}, ("/usr/bin/x", "/bin/x"), "replaced"),
        ({"bin": "usr/bin"}, ("/usr/lib/x", "/bin/x"), "normal"),
        ({"bin": "/usr/bin"}, ("/bin/x", "/usr/bin/x"), "replaced"),
        ({"lib64": "usr/lib64", "usr/lib64": "lib"}, ("/lib64/x", "/usr/lib/x"), "replaced"),
        ({"usr/local": "../var/usrlocal"}, ("/usr/local/x", "/var/usrlocal/x"), "replaced"),
        ({"up": "../../../usr"}, ("/up/x", "/usr/x"), "replaced"),
        ({"loop": "loop", "a": "b", "b": "a"}, ("/a/x", "/b/x"), "normal"),
        ({}, ("/usr/bin/x", "/bin/x"), "normal"),
    ],
)
def test_links_of_the_tree_do(
    tmp_path: Path, links: dict[str, str], paths: Sequence[str], state: str
) -> None:
    assert state_of_the_first(tmp_path, "db", paths, links=links) == state


def test_it_is_the_same_where_no_memory_is_to_spare(
    tmp_path: Path, blobs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = written(tmp_path, "memory", blobs)
    monkeypatch.setattr(apart, "_is_in_memory", lambda _: False)
    on_disk = written(tmp_path, "disk", blobs)
    assert (on_disk / DATABASE_FILE).read_bytes() == (in_memory / DATABASE_FILE).read_bytes()
    assert [path.name for path in on_disk.iterdir()] == [DATABASE_FILE]


def test_a_tree_tells_which_links_it_has(tmp_path: Path) -> None:
    store = OstreeStore.create(tmp_path / "repo")
    first, second = (one_file(tmp_path, f"p{n}", f"{p}/x") for n, p in enumerate(("/sbin", "/bin")))
    base = written(tmp_path, "base", [first])
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        for path, target in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("usr/sbin", "bin")):
            editor.put_file(path, store.write_file(FileAttributes(mode=0o120777, target=target)))
        database = store.write_file_of(FileAttributes(), base / DATABASE_FILE)
        editor.put_file(f"usr/share/rpm/{DATABASE_FILE}", database)
        tree = editor.write()
        path = change_database(store, editor, tree, tmp_path, timestamp=EPOCH, blobs=[second])
        changed = editor.write()
    assert path == f"usr/share/rpm/{DATABASE_FILE}"
    (tmp_path / "out").mkdir()
    folder = extract_database(store, changed, tmp_path / "out")
    assert folder is not None
    assert rpm_query(folder, "-qs", "p0").split()[0] == "replaced"
