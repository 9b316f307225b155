"""Each fault of a repository: what is printed, and whether another mirror helps."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from layer.errors import RepositoryError
from layer.fetch.metadata import fetch_metadata
from layer.fetch.packages import fetch_headers, fetch_packages
from layer.model import Nevra, Package
from layer.report import SILENT
from layer.repository import Access, Repository
from testdata.distro import hostile_metadata
from testdata.distro.hostile_repository import (
    honest_claim,
    primary_of,
    write_primary,
    write_repository,
)
from tests.faulty import faulty, nginx
from tests.snapshot import unchanged
from tests.test_hostile import MEASURE, MEMORY
from tests.test_mirrors import METALINK
from tests.test_signing import Keys
from tests.world import Machine

_DOCS = Path(__file__).parent.parent / "docs/repositories.md"
_HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>\n"
_RPM = "target.rpm"
_REPOMD = "repodata/repomd.xml"
_PRIMARY = "repodata/primary.xml"


@dataclass(frozen=True)
class Case:
    """A fault of one mirror: what its files are like, or what its server does with some of them."""

    name: str
    spoil: Callable[[Path], object] = lambda _: None
    which: str = ""
    fault: str = ""
    is_metalink: bool = False


def _change(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


def _html(_: bytes) -> bytes:
    return _HTML


def _primary(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """A list of packages that its repomd.xml vouches for."""
    return lambda folder: write_primary(folder, change(primary_of([hostile_metadata.honest()])))


def _claim(**changed: str) -> Callable[[Path], object]:
    claim = replace(hostile_metadata.honest(), **changed)  # type: ignore[arg-type]
    return lambda folder: write_repository(folder, [claim])


def _href(href: str) -> Callable[[Path], object]:
    return lambda folder: write_primary(folder, primary_of([hostile_metadata.honest()]), href=href)


def _bomb(folder: Path) -> None:
    part = gzip.compress(b"<a></a>" * (1 << 20), 9)
    write_primary(folder, part * 40, name="primary.xml.gz")


def _entities(content: bytes) -> bytes:
    return content.replace(b"?>\n", b'?>\n<!DOCTYPE m [<!ENTITY a "lol">]>', 1)


CASES = (
    Case("`repomd.xml` cut off", _change(_REPOMD, _half)),
    Case("a web page in place of `repomd.xml`", _change(_REPOMD, _html)),
    Case(
        "`repomd.xml` not the metalink's",
        _change(_REPOMD, lambda text: text + b"\n"),
        is_metalink=True,
    ),
    Case("`primary.xml` cut off", _change(_PRIMARY, _half)),
    Case("a web page in place of `primary.xml`", _change(_PRIMARY, _html)),
    Case("the same, and `repomd.xml` vouches for it", _primary(_html)),
    Case("`primary.xml` not `repomd.xml`'s", _change(_PRIMARY, _flipped)),
    Case("`..` in an href of `repomd.xml`", _href("../../etc/passwd")),
    Case("an absolute href in `repomd.xml`", _href("/etc/passwd")),
    Case("entities in XML", _primary(_entities)),
    Case("a gzip bomb", _bomb),
    Case("`..` in the href of a package", _claim(location="../target.rpm")),
    Case("an absolute href of a package", _claim(location="/etc/passwd")),
    Case("a slash in a package's name", _claim(name="../../n")),
    Case("a web page in place of a package", _change(_RPM, _html)),
    Case("a package not `primary.xml`'s", _change(_RPM, _flipped)),
    Case("a package cut off", _change(_RPM, lambda data: data[:-10])),
    Case("metadata stall", which="repomd", fault="stall"),
    Case("a package stalls", which="rpm", fault="stall"),
    Case("metadata shorter than the server says", which="primary", fault="short"),
    Case("a package shorter than the server says", which="rpm", fault="short"),
    Case("metadata longer than `repomd.xml` says", which="primary", fault="long"),
    Case("a package longer than `primary.xml` says", which="rpm", fault="long"),
    Case("`repomd.xml` without end", which="repomd", fault="endless"),
    Case("`primary.xml` without end", which="primary", fault="endless"),
    Case("a package without end", which="rpm", fault="endless"),
)


@dataclass(frozen=True)
class Bench:
    """A machine, a good mirror, and places for a case."""

    machine: Machine
    folder: Path
    good: str

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def install(self, *settings: str, status: int = 1, under: Sequence[str] = ()) -> list[str]:
        """Runs `layer install`; what it says that is no step. Little memory is used."""
        repos, measured = self.folder / "repos", self.folder / "measured"
        repos.mkdir(exist_ok=True)
        text = "\n".join(["[faulty]", "gpgcheck=0", "timeout=1", "retries=0", *settings, ""])
        (repos / "faulty.repo").write_text(text)
        words = [*under, sys.executable, "-m", "layer", "install", "-y", "hostile(target)"]
        words += ["--repo=faulty", f"--sysroot={self.machine.path}", f"--cachedir={self.cache}"]
        words += [f"--repo-dir={self.machine.world.repo_dir}", f"--repo-dir={repos}"]
        words += [] if status else ["-n"]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", MEASURE, str(measured), "30", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        ended, peak = map(int, measured.read_text().split())
        assert ended == status, done.stderr
        assert peak < MEMORY
        assert "Traceback" not in done.stderr
        return [line for line in done.stderr.splitlines() if not line.endswith("...")]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A mirror that is all right, which nginx serves."""
    folder = tmp_path_factory.mktemp("good")
    make(folder / "www")
    with nginx(folder / "nginx", folder / "www") as url:
        yield folder / "www", url


@pytest.fixture
def bench(machine_kept: Machine, tmp_path: Path, good: tuple[Path, str]) -> Bench:
    return Bench(machine_kept, tmp_path, good[1])


def make(folder: Path) -> Path:
    """A repository in which everything is right."""
    folder.mkdir()
    (folder / _RPM).write_bytes(hostile_metadata.package())
    write_repository(folder, [hostile_metadata.honest()])
    return folder


def metalink(folder: Path, *mirrors: str) -> str:
    """One that wants the good repomd.xml; its URL."""
    repomd = (make(folder / "wanted") / _REPOMD).read_bytes()
    hashes = f'<hash type="sha256">{hashlib.sha256(repomd).hexdigest()}</hash>'
    urls = "".join(
        f'<url protocol="http" type="http" preference="{100 - i}">{mirror}{_REPOMD}</url>'
        for i, mirror in enumerate(mirrors)
    )
    file = folder / "metalink"
    file.write_text(METALINK.format(size=len(repomd), hashes=hashes, mirrors=urls))
    return file.as_uri()


def told(line: str, url: str, folder: Path) -> str:
    """A line as the docs have it."""
    line = line.replace(url, "URL/").replace(str(folder / "cache"), "CACHE")
    line = line.replace(str(folder), "DIR")
    line = re.sub(r"\b[0-9a-f]{64}\b", "CHECKSUM", line)
    line = re.sub(r"\d+ (bytes, |MB|were)", r"N \1", line)
    return re.sub(r"\b[0-9A-Fa-f]{16,40}\b", "KEY", line)


def show(fault: str, lines: Sequence[str], mirror: str) -> None:
    """A row of what `make test-repositories` prints: all that the program said, as it said it."""
    print(f"\n{fault} | next mirror: {mirror}", *lines, sep="\n    ")


def table() -> dict[str, tuple[str, str]]:
    """What the docs say of each fault."""
    section = _DOCS.read_text().partition("## Faults")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    return {fault: (line.strip("`"), mirror) for fault, line, mirror in rows[2:]}


def test_the_docs_have_every_fault() -> None:
    assert sorted(table()) == sorted([*(case.name for case in CASES), *OTHERS])


def _params() -> Iterator[object]:
    """librepo asks again a mirror that stalls, whatever it is told."""
    for case in CASES:
        marks = [pytest.mark.slow] if case.name == "a package stalls" else []
        yield pytest.param(case, id=case.name.replace("`", ""), marks=marks)


@pytest.mark.parametrize("case", [*_params()])
def test_a_fault_is_told_in_one_line_and_changes_nothing(bench: Bench, case: Case) -> None:
    bad = make(bench.folder / "bad")
    case.spoil(bad)
    expected, mirror = table()[case.name]
    with faulty(bad, case.which, case.fault) as url:
        links = metalink(bench.folder, url)
        setting = f"metalink={links}" if case.is_metalink else f"baseurl={url}"
        with unchanged(bench.machine.path):
            lines = bench.install(setting)
        assert told(lines[0], url, bench.folder) == f"error: {expected}"
        assert len(lines) == 2 and lines[1].startswith("hint: ")
        assert mirror == ("yes" if helps(bench, case, url) else "no")
    show(case.name, lines, mirror)


def helps(bench: Bench, case: Case, url: str) -> bool:
    """Whether all can be had where the good mirror comes after the bad one."""
    access = Access(timeout=1, retries=0)
    repository = Repository("faulty", "faulty", (url, bench.good), access=access)
    if case.is_metalink:
        (bench.folder / "two").mkdir()
        links = metalink(bench.folder / "two", url, bench.good)
        repository = replace(repository, base_urls=(), metalink=links)
    data = hostile_metadata.package()
    checksum = hashlib.sha256(data).hexdigest()
    nevra = Nevra.parse("target-1-1.noarch")
    package = Package(nevra, checksum, len(data), 0, "faulty", _RPM)
    cache = bench.folder / "mirrored"
    try:
        found = fetch_metadata(repository, cache, SILENT)
        if found.primary.read_bytes() != primary_of([hostile_metadata.honest()]):
            return False  # which is told when it is read
        fetch_headers([package], [found.repository], cache, SILENT)
        fetch_packages([package], [found.repository], cache / "packages", SILENT)
    except RepositoryError:
        return False
    return (cache / f"packages/{checksum}.rpm").read_bytes() == data


# --- keys, the cache and the disk ---


@dataclass(frozen=True)
class Signed:
    """Keys beside a repository: ours, another one, and one that expired long ago."""

    keys: Keys
    folder: Path

    @property
    def settings(self) -> tuple[str, ...]:
        return ("gpgcheck=1", f"gpgkey={(self.folder / 'ours.asc').as_uri()}")

    def sign(self, repository: Path, user: str) -> None:
        """Signs its metadata."""
        self.keys.gpg("--armor", "--detach-sign", "-u", user, str(repository / _REPOMD))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o700)
    keys = Keys(folder)
    for name in ("ours", "theirs"):
        fingerprint = keys.make(f"{name} <{name}@example.org>")
        (folder / f"{name}.asc").write_bytes(keys.gpg("--armor", "--export", fingerprint))
    past = ("--faked-system-time", "20200101T000000")
    keys.gpg(*past, "--quick-generate-key", "old <old@example.org>", "rsa2048", "sign", "1d")
    (folder / "expired.asc").write_bytes(keys.gpg("--armor", "--export", "old@example.org"))
    return Signed(keys, folder)


def _metadata_of_another(bad: Path, signed: Signed) -> tuple[str, ...]:
    signed.sign(bad, "theirs@example.org")
    return ("repo_gpgcheck=1", *signed.settings)


def _package_of_another(bad: Path, signed: Signed) -> tuple[str, ...]:
    signed.keys.sign_package(bad / _RPM, "theirs@example.org")
    claim = honest_claim("target", (bad / _RPM).read_bytes(), _RPM)
    write_repository(bad, [claim])
    return signed.settings


def _package_of_nobody(_: Path, signed: Signed) -> tuple[str, ...]:
    return signed.settings


def _expired(_: Path, signed: Signed) -> tuple[str, ...]:
    return ("gpgcheck=1", f"gpgkey={(signed.folder / 'expired.asc').as_uri()}")


SIGNATURES = {
    "metadata signed with another key": _metadata_of_another,
    "a package signed with another key": _package_of_another,
    "a package that is not signed": _package_of_nobody,
    "a key that has expired": _expired,
}
FOREIGN, FULL = "a `.solv` file of another user", "no space for the cache"
QUOTA = "no quota left for the cache"
OTHERS = (*SIGNATURES, FOREIGN, FULL, QUOTA)


@pytest.mark.parametrize("name", SIGNATURES)
def test_no_other_mirror_is_tried_where_a_signature_is_wrong(
    bench: Bench, signed: Signed, name: str
) -> None:
    """Whoever can sign nothing may have all mirrors but one."""
    bad = make(bench.folder / "bad")
    settings = SIGNATURES[name](bad, signed)
    twin = make(bench.folder / "twin")
    signed.sign(twin, "ours@example.org")
    expected, mirror = table()[name]
    assert mirror == "no"
    with faulty(bad) as url, faulty(twin) as other, unchanged(bench.machine.path):
        for urls in (url, f"{url} {other}"):
            lines = bench.install(f"baseurl={urls}", *settings)
            line = told(lines[0].replace(f"{url}, {other}", url), url, bench.folder)
            line = line.replace(str(signed.folder), "DIR")
            assert (line, len(lines)) == (f"error: {expected}", 2)
    show(name, lines, mirror)


def test_a_solver_file_of_another_user_is_made_anew(bench: Bench) -> None:
    expected, _ = table()[FOREIGN]
    bench.install(f"baseurl={bench.good}", status=0)
    (file,) = bench.cache.glob(".solv/faulty=*")
    os.chown(file, 1234, 0)
    (line,) = bench.install(f"baseurl={bench.good}", status=0)
    assert told(line.replace(file.name, "FILE"), bench.good, bench.folder) == f"note: {expected}"
    show(FOREIGN, [line], "-")
    assert file.stat().st_uid == 0


def test_a_quota_that_is_used_up_is_one_error(bench: Bench) -> None:
    """No quota holds for root here: the system call is told to refuse."""
    expected, _ = table()[QUOTA]
    bad = make(bench.folder / "bad")
    next(case for case in CASES if case.name == "`primary.xml` not `repomd.xml`'s").spoil(bad)
    quota = [
        shutil.which("strace") or "",
        "-D",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=fallocate:error=EDQUOT",
    ]
    with faulty(bad) as url, unchanged(bench.machine.path):
        lines = bench.install(f"baseurl={url}", under=quota)
    assert told(lines[0], url, bench.folder) == f"error: {expected}"
    assert len(lines) == 2
    show(QUOTA, lines, "-")


def test_a_full_disk_is_one_error(bench: Bench) -> None:
    expected, _ = table()[FULL]
    bench.cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", bench.cache], check=True)
    try:
        with unchanged(bench.machine.path):
            lines = bench.install(f"baseurl={bench.good}")
    finally:
        subprocess.run(["umount", bench.cache], check=True)
    assert told(lines[0], bench.good, bench.folder) == f"error: {expected}"
    assert len(lines) == 2
    show(FULL, lines, "-")
