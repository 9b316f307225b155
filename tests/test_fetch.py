"""Downloads over HTTP on the loopback and from directories, from good servers and bad ones."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import librepo
import pytest

from layer.errors import RepositoryError
from layer.fetch.metadata import fetch_metadata
from layer.fetch.packages import fetch_headers, fetch_packages
from layer.fetch.repomd import parse_repomd
from layer.fetch.transfer import Download, perform
from layer.model import Nevra, Package, Repository
from layer.report import SILENT, Reporter
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm


@dataclass
class Server:
    """A web server of a directory and what it was asked for."""

    url: str
    directory: Path
    requests: list[str] = field(default_factory=list)
    ranges: list[int] = field(default_factory=list)
    sent: int = 0
    has_ranges: bool = False
    stalls_after: int | None = None

    def repository(self, name: str = "r") -> Repository:
        return Repository(name, name, (self.url,))


class Handler(http.server.SimpleHTTPRequestHandler):
    """python3 -m http.server, which can be told to know byte ranges."""

    def __init__(self, *args: object, state: Server) -> None:
        self.state = state
        super().__init__(*args, directory=str(state.directory))  # type: ignore[arg-type]

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.state.requests.append(self.path.lstrip("/"))
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.state.ranges.append(int(wanted[1]) if wanted else 0)
        if not self.state.has_ranges or not wanted:
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        start = int(wanted[1])
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.copyfile(io.BytesIO(content[start:]), self.wfile)

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        limit = self.state.stalls_after
        rest = source.read(limit if limit is not None else -1)
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(rest), 16384):
                chunk = rest[start : start + 16384]
                outputfile.write(chunk)
                self.state.sent += len(chunk)
            while self.state.stalls_after is not None:
                time.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serves tmp_path/www, in which two packages are."""
    directory = tiny_repository(
        tmp_path / "www",
        tiny_rpm("big", FileSpec("/usr/share/big", os.urandom(3_000_000))),
        tiny_rpm("small", "/usr/bin/small"),
    )
    state = Server("", directory)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, state=state)
    ) as served:
        state.url = f"http://127.0.0.1:{served.server_port}/"
        thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        state.stalls_after = None
        served.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "source"  # which says whence it came
    }


def failure(call: Callable[[], object]) -> RepositoryError:
    with pytest.raises(RepositoryError) as caught:
        call()
    assert caught.value.hint
    return caught.value


def package_of(server: Server, name: str) -> Package:
    (file,) = server.directory.glob(f"{name}-*.rpm")
    content = file.read_bytes()
    nevra = Nevra.parse(file.name.removesuffix(".rpm"))
    checksum = hashlib.sha256(content).hexdigest()
    return Package(nevra, checksum, len(content), 0, "r", file.name, (0, 1000))


# --- metadata -----------------------------------------------------------------------------------


def test_metadata_come_the_same_from_a_server_and_a_directory(server: Server, cache: Path) -> None:
    over_http = fetch_metadata(server.repository(), cache, SILENT)
    local = Repository("local", "", (server.directory.as_uri(),))
    from_files = fetch_metadata(local, cache, SILENT)
    for metadata in (over_http, from_files):
        assert metadata.filelists
        assert metadata.primary.parent == cache / metadata.repository.id
        for path in (metadata.primary, metadata.filelists):
            (original,) = (server.directory / "repodata").glob(path.name.replace("-", "*"))
            assert path.read_bytes() == original.read_bytes()
    repomd = (server.directory / "repodata/repomd.xml").read_bytes()
    assert over_http.repomd_checksum == hashlib.sha256(repomd).hexdigest()
    assert snapshot(cache / "r") == snapshot(cache / "local")


def test_only_repomd_is_fetched_again_while_nothing_changes(server: Server, cache: Path) -> None:
    first = fetch_metadata(server.repository(), cache, SILENT)
    server.requests.clear()
    assert fetch_metadata(server.repository(), cache, SILENT) == first
    assert server.requests == ["repodata/repomd.xml"]


def test_changed_metadata_replace_the_old(server: Server, cache: Path) -> None:
    first = fetch_metadata(server.repository(), cache, SILENT)
    tiny_repository(server.directory, tiny_rpm("more"))
    second = fetch_metadata(server.repository(), cache, SILENT)
    assert second.primary != first.primary
    assert second.filelists
    assert sorted(snapshot(cache)) == sorted(
        ["r/repomd.xml", f"r/{second.primary.name}", f"r/{second.filelists.name}"]
    )


def test_what_a_killed_update_left_goes_with_the_next_reading(server: Server, cache: Path) -> None:
    local = Repository("r", "", (f"{server.directory.as_uri()}/",))
    first = fetch_metadata(local, cache, SILENT)
    stale = first.primary.with_name("former-primary.xml.gz")
    stale.touch()
    going_on = first.primary.with_name(".fetch-another")
    going_on.mkdir()
    assert fetch_metadata(local, cache, SILENT) == first
    assert stale.exists()  # it may be of the update that goes on
    going_on.rmdir()
    assert fetch_metadata(local, cache, SILENT) == first
    assert not stale.exists()
    assert first.primary.exists()


def test_what_the_disk_does_not_take_is_no_fault_of_the_repository(
    server: Server, tmp_path: Path
) -> None:
    """Else a repository that may be missing would be passed over."""
    (tmp_path / "out").symlink_to("/dev/full")
    location = package_of(server, "big").location
    download = Download(server.repository(), location, "big", tmp_path / "out")
    with pytest.raises(OSError, match="Input/output error"):
        perform([download], SILENT)


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, cache: Path) -> None:
    metadata = fetch_metadata(server.repository(), cache, SILENT)
    whole = metadata.primary.read_bytes()
    metadata.primary.write_bytes(whole[:-1])
    assert fetch_metadata(server.repository(), cache, SILENT) == metadata
    assert metadata.primary.read_bytes() == whole


def test_the_second_url_serves_where_the_first_fails(server: Server, cache: Path) -> None:
    urls = (f"{server.url}nosuch/", server.url)
    metadata = fetch_metadata(Repository("r", "", urls), cache, SILENT)
    assert metadata.primary.is_file()


def _html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body><p>Please log in</body></html>")


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n" * 100_000)


FAULTS = [Path.unlink, _html, _truncated, _flipped, _empty, _longer]


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
@pytest.mark.parametrize("name", ["repomd.xml", "primary", "filelists"])
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_whatever_is_wrong_with_metadata_leaves_the_cache_as_it_was(
    server: Server,
    cache: Path,
    scheme: str,
    name: str,
    fault: Callable[[Path], None],
    is_cached: bool,
) -> None:
    if name == "repomd.xml" and fault in (_flipped, _longer):
        pytest.skip("without a signature, nobody can tell")
    url = server.url if scheme == "http" else server.directory.as_uri()
    repository = Repository("r", "", (url,))
    if is_cached:
        fetch_metadata(repository, cache, SILENT)
        tiny_repository(server.directory, tiny_rpm("more"))
    before = snapshot(cache)
    (path,) = (server.directory / "repodata").glob(f"*{name}*")
    fault(path)
    error = failure(lambda: fetch_metadata(repository, cache, SILENT))
    assert error.message.startswith("repository r")
    assert url.rstrip("/") in error.message
    assert snapshot(cache) == before
    assert not list((cache / "r").glob(".fetch-*"))
    if is_cached:
        fetch_metadata(repository, cache, SILENT, cache_only=True)


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x/repodata/repomd.xml: Failed to connect"),
        ("http://nosuch.invalid/", "http://nosuch.invalid/repodata/repomd.xml: Could not resolve"),
        ("file:///no/such", "file:///no/such/repodata/repomd.xml: Couldn't open file"),
    ],
)
def test_an_unreachable_repository_is_named_with_its_url(cache: Path, url: str, fact: str) -> None:
    error = failure(lambda: fetch_metadata(Repository("r", "", (url,)), cache, SILENT))
    assert error.message.startswith(f"repository r: cannot fetch {fact}")
    assert "\n" not in error.message


def test_the_servers_status_is_told(server: Server, cache: Path) -> None:
    shutil.rmtree(server.directory / "repodata")
    error = failure(lambda: fetch_metadata(server.repository(), cache, SILENT))
    assert error.message == (
        f"repository r: cannot fetch {server.url}repodata/repomd.xml: the server answers 404"
    )


@pytest.mark.parametrize(
    ("pattern", "new", "fact"),
    [
        (r'href="repodata/', 'href="../repodata/', "names a file outside of the repository"),
        (r'href="repodata/', 'href="/etc/', "names a file outside of the repository"),
        (r'href="repodata/', 'href="repodata/%2e%2e/%2e%2e/', "names a file outside"),
        (r'href="repodata/', 'href="http://evil.example/', "names a file outside"),
        (r'"sha256"', '"md5"', "has no strong checksum"),
        (r"<checksum (.*)>[0-9a-f]*<", r"<checksum \1>../../x<", "has no strong checksum"),
        (r"primary.xml.gz", "primary.xml.zck", "is compressed in a way that layer cannot read"),
        (r'type="primary"', 'type="secondary"', "lists no packages"),
    ],
)
def test_a_hostile_repomd_is_refused(
    server: Server, cache: Path, pattern: str, new: str, fact: str
) -> None:
    repomd = server.directory / "repodata/repomd.xml"
    text = repomd.read_text()
    changed = re.sub(pattern, new, text)
    assert changed != text
    repomd.write_text(changed)
    error = failure(lambda: fetch_metadata(server.repository(), cache, SILENT))
    assert error.message.startswith(f"repository r ({server.url}): ")
    assert fact in error.message
    assert snapshot(cache) == {}


_ODD_RECORDS = """\
<data type="primary"><location href="repodata/older.xml"/></data>
<data type="primary"><!-- the one that counts -->
  <checksum type="sha256">{digest}</checksum><open-checksum type="sha256">0</open-checksum>
  <location xml:base="http://r.example/" href="repodata/odd.xml.gz"/>
  <size>
    12 </size><open-size>99</open-size></data>
<data type="other"><location href="other.xml"/><size>none</size></data>
<data type="group"><checksum type="sha512">{digest}</checksum><location href="c.xml"/></data>
"""


@pytest.mark.parametrize("records", ["", _ODD_RECORDS], ids=["as made", "odd ones"])
def test_a_repomd_is_read_as_librepo_reads_it(server: Server, tmp_path: Path, records: str) -> None:
    repomd = server.directory / "repodata/repomd.xml"
    text = repomd.read_text()
    odd = records.format(digest="0123456789abcdef" * 4)
    repomd.write_text(text.replace("</repomd>", f"{odd}</repomd>"))
    handle, result = librepo.Handle(), librepo.Result()
    handle.setopt(librepo.LRO_REPOTYPE, librepo.YUMREPO)
    handle.setopt(librepo.LRO_URLS, [str(server.directory)])
    handle.setopt(librepo.LRO_LOCAL, True)
    handle.setopt(librepo.LRO_YUMDLIST, librepo.LR_YUM_REPOMDONLY)
    handle.perform(result)
    listed = result.getinfo(librepo.LRR_YUM_REPOMD)
    found = parse_repomd(server.repository(), repomd.read_bytes())
    assert [record.kind for record in found][:2] == ["primary", "filelists"]
    for record in found:
        theirs = listed[record.kind]
        assert (record.href, record.checksum_type, record.checksum, record.size) == (
            theirs["location_href"],
            theirs["checksum_type"],
            theirs["checksum"],
            theirs["size"],
        )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<repomd><data type='primary'>",
        b"<!DOCTYPE r [<!ENTITY a 'aaaa'>]><repomd>&a;</repomd>",
        b"<repomd>\xff</repomd>",
    ],
)
def test_what_is_no_repomd_is_none(content: bytes) -> None:
    repository = Repository("r", "", ("http://r.example/",))
    error = failure(lambda: parse_repomd(repository, content))
    assert error.message.endswith("repodata/repomd.xml is no repository metadata")


@pytest.mark.parametrize("size", ["-1", "many", "9" * 400, str((4 << 30) + 1)])
def test_a_size_that_no_file_has_is_refused(server: Server, size: str) -> None:
    text = (server.directory / "repodata/repomd.xml").read_text()
    changed = re.sub(r"<size>\d+<", f"<size>{size}<", text).encode()
    error = failure(lambda: parse_repomd(server.repository(), changed))
    assert "says no size of" in error.message


def test_a_folder_is_read_again_only_where_its_repomd_changes(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = Repository("r", "", (f"{server.directory.as_uri()}/",))
    first = fetch_metadata(local, cache, SILENT)
    repomd = first.primary.parent / "repomd.xml"
    os.utime(repomd, (0, 0))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "librepo", None)
        assert fetch_metadata(local, cache, SILENT, refresh=True) == first
        assert repomd.stat().st_mtime > 0  # it was asked for just now
        _flipped(first.primary)
        with pytest.raises(ImportError):
            fetch_metadata(local, cache, SILENT)
    assert fetch_metadata(local, cache, SILENT) == first
    tiny_repository(server.directory, tiny_rpm("more"))
    assert fetch_metadata(local, cache, SILENT).primary != first.primary


def test_the_cache_alone_serves_when_told_so(server: Server, cache: Path) -> None:
    error = failure(lambda: fetch_metadata(server.repository(), cache, SILENT, cache_only=True))
    assert error.message == f"repository r has no metadata in {cache / 'r'}"
    fresh = fetch_metadata(server.repository(), cache, SILENT)
    server.requests.clear()
    assert fetch_metadata(server.repository(), cache, SILENT, cache_only=True) == fresh
    assert server.requests == []
    _flipped(fresh.primary)
    error = failure(lambda: fetch_metadata(server.repository(), cache, SILENT, cache_only=True))
    assert error.message.startswith("repository r: ")
    assert error.message.endswith("is damaged")


def test_a_cache_that_others_own_can_be_read(server: Server, cache: Path) -> None:
    fresh = fetch_metadata(server.repository(), cache, SILENT)
    assert not set(snapshot(cache)) - {
        "r/repomd.xml",
        f"r/{fresh.primary.name}",
        f"r/{fresh.filelists.name if fresh.filelists else ''}",
    }
    for path in [cache, *cache.rglob("*")]:
        assert path.stat().st_mode & 0o444 == 0o444


def test_what_cannot_be_honoured_is_refused_before_anything_is_fetched(
    server: Server, cache: Path
) -> None:
    repository = replace(
        server.repository(), unsupported=("gpgcheck=1 (x)",), source="/etc/yum.repos.d/r.repo"
    )
    error = failure(lambda: fetch_metadata(repository, cache, SILENT))
    assert error.message == "repository r asks for what layer cannot do yet: gpgcheck=1 (x)"
    assert error.hint and "/etc/yum.repos.d/r.repo" in error.hint
    package = package_of(server, "small")
    assert failure(lambda: fetch_packages([package], [repository], cache, SILENT))
    assert failure(lambda: fetch_headers([package], [repository], cache, SILENT))
    assert server.requests == []


def test_a_cache_that_cannot_be_written_is_named(server: Server, cache: Path) -> None:
    cache.write_text("in the way")
    package = package_of(server, "small")
    for call in (
        lambda: fetch_metadata(server.repository(), cache, SILENT),
        lambda: fetch_packages([package], [server.repository()], cache, SILENT),
        lambda: fetch_headers([package], [server.repository()], cache, SILENT),
    ):
        assert failure(call).message.startswith(f"cannot keep downloads in {cache}")


# --- packages -----------------------------------------------------------------------------------


def fetched(server: Server, directory: Path, *packages: Package) -> dict[Package, bytes]:
    paths = fetch_packages(packages, [server.repository()], directory, SILENT)
    return {package: path.read_bytes() for package, path in paths.items()}


def originals(server: Server, *packages: Package) -> dict[Package, bytes]:
    return {package: (server.directory / package.location).read_bytes() for package in packages}


def test_packages_are_fetched_once_and_checked(server: Server, cache: Path) -> None:
    packages = [package_of(server, name) for name in ("big", "small")]
    assert fetched(server, cache, *packages) == originals(server, *packages)
    assert sorted(server.requests) == ["big-1-1.noarch.rpm", "small-1-1.noarch.rpm"]
    assert sorted(snapshot(cache)) == sorted(f"{each.checksum}.rpm" for each in packages)
    server.requests.clear()
    assert fetched(server, cache, *packages) == originals(server, *packages)
    assert server.requests == []
    _flipped(cache / f"{packages[0].checksum}.rpm")
    assert fetched(server, cache, *packages) == originals(server, *packages)
    assert server.requests == ["big-1-1.noarch.rpm"]


def test_progress_tells_the_bytes_of_each_package(server: Server, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    class Recorder(Reporter):
        def progress(self, name: str, done: int, total: int) -> None:
            seen.append((name, done, total))

    package = package_of(server, "big")
    fetch_packages([package], [server.repository()], cache, Recorder())
    assert seen[-1] == ("big-1-1.noarch", package.size, package.size)
    assert {total for _, _, total in seen} == {package.size}


_FETCH_PACKAGE = """
import sys
from pathlib import Path
from layer.fetch.repomd import parse_repomd
from layer.fetch.packages import fetch_packages
from layer.fetch.transfer import Download, perform
from layer.model import Nevra, Package, Repository
from layer.report import SILENT
url, cache, checksum, size = sys.argv[1:]
nevra = Nevra.parse("big-1-1.noarch")
package = Package(nevra, checksum, int(size), 0, "r", "big-1-1.noarch.rpm")
fetch_packages([package], [Repository("r", "", (url,))], Path(cache), SILENT)
"""


def kill_midway(server: Server, cache: Path, package: Package) -> Path:
    """Kill a download at about two thirds; the file that it leaves."""
    server.stalls_after = 2_000_000
    part = cache / f"{package.checksum}.rpm.part"
    arguments = [server.url, str(cache), package.checksum, str(package.size)]
    with subprocess.Popen([sys.executable, "-c", _FETCH_PACKAGE, *arguments]) as process:
        while not part.exists() or part.stat().st_size < 1_900_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    server.stalls_after = None
    server.ranges.clear()
    return part


@pytest.mark.parametrize("has_ranges", [False, True])
def test_a_killed_download_is_continued_where_the_server_can(
    server: Server, cache: Path, has_ranges: bool
) -> None:
    package = package_of(server, "big")
    begun = kill_midway(server, cache, package).stat().st_size
    server.has_ranges = has_ranges
    assert fetched(server, cache, package) == originals(server, package)
    assert sorted(snapshot(cache)) == [f"{package.checksum}.rpm"]
    assert server.ranges == ([begun] if has_ranges else [begun, 0])


def test_what_changed_on_the_server_is_not_glued_to_what_was_there(
    server: Server, cache: Path
) -> None:
    package = package_of(server, "big")
    kill_midway(server, cache, package)
    server.has_ranges = True
    path = server.directory / package.location
    original = path.read_bytes()
    path.write_bytes(bytes(255 - byte for byte in original))
    error = failure(lambda: fetched(server, cache, package))
    assert "checksum" in error.message
    assert not (cache / f"{package.checksum}.rpm").exists()
    path.write_bytes(original)
    assert fetched(server, cache, package) == {package: original}


def test_no_more_than_the_rest_comes_to_what_was_begun(server: Server, cache: Path) -> None:
    package = package_of(server, "big")
    kill_midway(server, cache, package)
    server.has_ranges = True
    with (server.directory / package.location).open("ab") as file:
        file.write(bytes(100_000_000))
    server.sent = 0
    assert failure(lambda: fetched(server, cache, package))
    time.sleep(0.1)  # what the server still writes into sockets
    assert server.sent < 40_000_000
    assert not (cache / f"{package.checksum}.rpm").exists()
    assert sum(path.stat().st_size for path in cache.iterdir()) < 40_000_000


@pytest.mark.parametrize("has_ranges", [False, True])
@pytest.mark.parametrize("size", [1000, 5_000_000, None])
def test_a_wrong_beginning_is_thrown_away(
    server: Server, cache: Path, has_ranges: bool, size: int | None
) -> None:
    server.has_ranges = has_ranges
    package = package_of(server, "big")
    cache.mkdir()
    part = cache / f"{package.checksum}.rpm.part"
    part.write_bytes(b"x" * (package.size if size is None else size))
    os.setxattr(part, "user.Librepo.DownloadInProgress", b"")  # else librepo begins anew
    assert fetched(server, cache, package) == originals(server, package)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_package_that_is_not_what_was_promised_is_not_kept(
    server: Server, cache: Path, scheme: str, fault: Callable[[Path], None]
) -> None:
    package, small = package_of(server, "big"), package_of(server, "small")
    url = server.url if scheme == "http" else server.directory.as_uri() + "/"
    fault(server.directory / package.location)
    repository = Repository("r", "", (url,))
    error = failure(lambda: fetch_packages([package, small], [repository], cache, SILENT))
    assert error.message.startswith(f"repository r: cannot fetch {url}big-1-1.noarch.rpm: ")
    assert not (cache / f"{package.checksum}.rpm").exists()
    assert (cache / f"{small.checksum}.rpm").exists()  # what was right need not come again


def test_all_packages_that_cannot_be_had_are_named_at_once(server: Server, cache: Path) -> None:
    packages = [package_of(server, name) for name in ("big", "small")]
    for package in packages:
        (server.directory / package.location).unlink()
    error = failure(lambda: fetched(server, cache, *packages))
    assert error.message.splitlines() == [
        f"repository r: cannot fetch {server.url}{name}-1-1.noarch.rpm: the server answers 404"
        for name in ("big", "small")
    ]


def test_of_many_that_cannot_be_had_nobody_but_the_error_speaks(
    server: Server, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """librepo gives a server up after some, and then wants to remove what never came."""
    whole = package_of(server, "small")
    many = [replace(whole, checksum=f"{n:064}", location=f"gone-{n:02}.rpm") for n in range(20)]
    error = failure(lambda: fetch_headers(many, [server.repository()], cache, SILENT))
    assert len(error.message.splitlines()) == 20
    assert capfd.readouterr() == ("", "")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "location",
    ["../x.rpm", "/etc/passwd", "a/%2e%2e/%2e%2e/x.rpm", "file:///etc/passwd", "http://h/../x.rpm"],
)
def test_a_hostile_location_is_refused(server: Server, cache: Path, location: str) -> None:
    package = replace(package_of(server, "small"), location=location)
    for fetch in (fetch_packages, fetch_headers):
        error = failure(lambda fetch=fetch: fetch([package], [server.repository()], cache, SILENT))
        assert "lies outside of the repository" in error.message
    assert server.requests == []


def test_a_location_of_another_server_is_followed(server: Server, cache: Path) -> None:
    package = package_of(server, "small")
    elsewhere = replace(package, location=server.url + package.location)
    repository = Repository("r", "", ("http://127.0.0.1:1/",))
    paths = fetch_packages([elsewhere], [repository], cache, SILENT)
    assert paths[elsewhere].read_bytes() == originals(server, package)[package]


def test_a_package_of_an_unknown_repository_is_named(server: Server, cache: Path) -> None:
    error = failure(lambda: fetch_packages([package_of(server, "small")], [], cache, SILENT))
    assert error.message == "no repository offers small-1-1.noarch any more"


# --- headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed_end", [0, 1, 200, 900, 100_000, 100_000_000])
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_header_is_the_packages_beginning_whatever_metadata_claim(
    server: Server, cache: Path, scheme: str, claimed_end: int
) -> None:
    package = replace(package_of(server, "big"), header_range=(0, claimed_end))
    url = server.url if scheme == "http" else server.directory.as_uri()
    path = fetch_headers([package], [Repository("r", "", (url,))], cache, SILENT)[package]
    header = path.read_bytes()
    assert originals(server, package)[package].startswith(header)
    text = (server.directory / "repodata").glob("*primary.xml.gz")
    primary = subprocess.check_output(["gzip", "-dc", *text], text=True)
    end = re.search(r'header-range start="\d+" end="(\d+)"', primary)
    assert end and len(header) == int(end[1])
    assert subprocess.check_output(["rpm", "-qp", "--nosignature", path], text=True) == (
        "big-1-1.noarch\n"
    )


def test_the_rest_of_the_package_stays_where_it_is(server: Server, cache: Path) -> None:
    package = package_of(server, "big")
    whole = bytes(30_000_000)
    with (server.directory / package.location).open("ab") as file:
        file.write(whole)
    fetch_headers([package], [server.repository()], cache, SILENT)
    time.sleep(0.1)  # what the server still writes into the socket
    assert server.sent < 20_000_000


def test_headers_are_fetched_once(server: Server, cache: Path) -> None:
    packages = [package_of(server, name) for name in ("big", "small")]
    first = fetch_headers(packages, [server.repository()], cache, SILENT)
    assert sorted(snapshot(cache)) == sorted(f"{each.checksum}.header.rpm" for each in packages)
    server.requests.clear()
    assert fetch_headers(packages, [server.repository()], cache, SILENT) == first
    assert server.requests == []
    whole = first[packages[1]].read_bytes()
    first[packages[1]].write_bytes(whole[:500])
    fetch_headers(packages, [server.repository()], cache, SILENT)
    assert first[packages[1]].read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\xed\xab", b"<html>" * 500, b"\xed\xab\xee\xdb" * 500])
def test_what_is_no_package_has_no_header(server: Server, cache: Path, content: bytes) -> None:
    package = package_of(server, "small")
    (server.directory / package.location).write_bytes(content)
    error = failure(lambda: fetch_headers([package], [server.repository()], cache, SILENT))
    assert error.message.startswith(f"repository r ({server.url}): small-1-1.noarch.rpm is no RPM")
    assert snapshot(cache) == {}


def test_a_truncated_header_is_refused(server: Server, cache: Path) -> None:
    package = package_of(server, "small")
    path = server.directory / package.location
    path.write_bytes(path.read_bytes()[:700])
    assert failure(lambda: fetch_headers([package], [server.repository()], cache, SILENT))
    assert snapshot(cache) == {}


# --- interruption -------------------------------------------------------------------------------

_FETCH = """
import sys
from pathlib import Path
from layer.fetch.metadata import fetch_metadata
from layer.fetch.transfer import Download, perform
from layer.model import Repository
from layer.report import SILENT
print("ready", flush=True)
try:
    fetch_metadata(Repository("r", "", (sys.argv[1],)), Path(sys.argv[2]), SILENT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_stalled_download_and_leaves_nothing(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with subprocess.Popen(
            [sys.executable, "-c", _FETCH, url, str(cache)], stdout=subprocess.PIPE, text=True
        ) as process:
            connection, _ = listener.accept()  # and never an answer
            with connection:
                time.sleep(0.1)
                started = time.monotonic()
                process.send_signal(signal.SIGINT)
                output, _ = process.communicate(timeout=10)
    assert output == "ready\ninterrupted\n"
    assert time.monotonic() - started < 5
    assert list((cache / "r").iterdir()) == []
