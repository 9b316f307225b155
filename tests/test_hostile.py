"""Hostile packages and repositories: each is refused in one line, and nothing else happens."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest

from layer.store.objects import OstreeStore
from testdata.distro import (
    hostile_files,
    hostile_headers,
    hostile_metadata,
    hostile_paths,
    hostile_payloads,
)
from testdata.distro.hostile import HostilePackage
from testdata.distro.hostile_metadata import HostileRepository
from testdata.distro.hostile_repository import honest_claim, write_repository
from tests.snapshot import unchanged
from tests.world import Machine, World, remove, write_repo_file

SECONDS = 20
MEMORY = 200_000_000  # bytes
HARD_LIMIT = 4 << 30  # bytes of address space: the machine is to survive a failing test

REFUSED = (
    *hostile_files.TABLE,
    *hostile_headers.TABLE,
    *hostile_paths.TABLE,
    *hostile_payloads.TABLE,
)
ACCEPTED = (
    *hostile_files.ACCEPTED,
    *hostile_headers.ACCEPTED,
    *hostile_paths.ACCEPTED,
    *hostile_payloads.ACCEPTED,
)
# Through the whole program go all files that are none, a fifth of the rest, and what
# would harm the solver or the rpm database.
DANGEROUS = {
    "two-names", "name-dots", "name-long", "arch-dots", "epoch-is-a-list", "long-scriptlet",
    "require-2-1-2", "deep-require", "many-files", "bomb-behind-gzip", "bomb-inside-xz",
    "hungry-zstd", "longest-path", "deep-path", "below-ghost-link", "etc-link", "root-file",
    "escape-name", "user-newline", "file-digest",
}  # fmt: skip
VIA_PROGRAM = [
    case
    for number, case in enumerate(REFUSED)
    if case in hostile_files.TABLE or case.name in DANGEROUS or number % 5 == 0
]

# Starts a program, and writes its exit status and its peak memory to a file. The alarm stays.
MEASURE = """
import os, signal, sys
child = os.fork()
if not child:
    signal.alarm(int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
_, status, usage = os.wait4(child, 0)
open(sys.argv[1], "w").write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss << 10}")
"""


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `status` is negative for a signal, `peak` is memory in bytes."""

    status: int
    stderr: str
    peak: int


def named(case: HostilePackage | HostileRepository) -> str:
    return case.name


def check_refused(outcome: Outcome, name: str, expected: str) -> None:
    """One line says what and why; no other is an error."""
    assert outcome.status == 1, outcome
    assert "Traceback" not in outcome.stderr
    lines = outcome.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1, outcome.stderr
    texts = [line.removeprefix("error: ").strip() for line in lines]
    (cause,) = [text for text in texts if name in text and re.search(expected, text)]
    assert cause.isprintable()
    assert len(cause) < 1000
    assert outcome.peak < MEMORY


def test_the_tables_have_no_case_twice() -> None:
    names = [case.name for case in (*REFUSED, *ACCEPTED)]
    assert len(names) == len(set(names))
    assert set(names) >= DANGEROUS


# --- the importer alone -------------------------------------------------------------------------


@dataclass(frozen=True)
class Importer:
    """tests.importing at work, and its repository."""

    process: subprocess.Popen[str]
    repository: Path
    folder: Path

    def run(self, case: HostilePackage) -> Outcome:
        path = self.folder / f"{case.name}.rpm"
        path.write_bytes(case.data)
        stdin, stdout = self.process.stdin, self.process.stdout
        assert isinstance(stdin, IO) or stdin is not None
        assert stdout is not None
        stdin.write(f"{path}\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        path.unlink()
        return Outcome(answer["status"], answer["stderr"], answer["peak"])

    def contents(self) -> list[str]:
        """All that is in the repository and in the directory of temporary files."""
        return everything(self.repository, self.folder)


def everything(*folders: Path) -> list[str]:
    """All files but for locks, which stay, as empty directories do."""
    paths = (path for folder in folders for path in folder.rglob("*"))
    return sorted(
        str(path)
        for path in paths
        if (path.is_file() or path.is_symlink()) and not path.name.endswith(("lock", ".lck"))
    )


@pytest.fixture(scope="module")
def importer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Importer]:
    path = tmp_path_factory.mktemp("importer")
    OstreeStore.create(path / "repo")
    temporary = path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "tests.importing", path / "repo", SECONDS, HARD_LIMIT]
    with subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        yield Importer(process, path / "repo", temporary)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_hostile_package_is_refused_and_nothing_is_imported(
    importer: Importer, case: HostilePackage
) -> None:
    before = importer.contents()
    check_refused(importer.run(case), case.name, case.expected)
    assert importer.contents() == before


@pytest.mark.parametrize("case", ACCEPTED, ids=named)
def test_what_only_looks_hostile_is_imported(importer: Importer, case: HostilePackage) -> None:
    before = importer.contents()
    outcome = importer.run(case)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.peak < MEMORY
    (ref,) = [path for path in set(importer.contents()) - set(before) if "/refs/heads/" in path]
    assert re.fullmatch(r".*/layer/pkg/[0-9a-f]{64}", ref)
    Path(ref).unlink()


# --- the whole program --------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """A machine, and a directory of its own for each case."""

    machine: Machine
    folder: Path

    def install(self, packages: Path, name: str, *options: str, url: str = "") -> Outcome:
        """Runs `layer install` with the repository in the directory `packages` besides the world's.

        The package is asked for by what it provides, so that it may have any name.
        """
        repos = self.folder / "repos"
        write_repo_file(repos, "hostile", url or packages.as_uri())
        measured = self.folder / "measured"
        machine = self.machine
        words = [sys.executable, "-m", "layer", "install", "--sysroot", machine.path]
        words += ["--repo-dir", machine.world.repo_dir, "--repo-dir", repos]
        words += ["--cachedir", self.folder / "cache", *options, f"hostile({name})"]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", MEASURE, measured, str(SECONDS), *map(str, words)],
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": str(self.folder / "tmp")},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        status, peak = map(int, measured.read_text().split())
        return Outcome(status, done.stderr, peak)

    def objects(self) -> list[str]:
        repository = self.machine.path / "ostree/repo"
        return everything(repository / "objects", repository / "tmp")

    def downloads(self) -> list[str]:
        """What is in the cache but metadata, headers and what was counted, and temporary files."""
        kept = (".xml", ".xml.gz", ".header.rpm", ".solv", "source", "checkout.json")
        found = [p for f in ("cache", "tmp") for p in (self.folder / f).rglob("*")]
        return [str(p) for p in found if p.is_file() and not p.name.endswith(kept)]


@pytest.fixture(scope="module")
def machine_to_attack(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    path = tmp_path_factory.mktemp("attacked") / "machine"
    yield world.machine(path)
    remove([path])


@pytest.fixture
def bench(machine_to_attack: Machine, tmp_path: Path) -> Bench:
    for name in ("repos", "tmp", "packages"):
        (tmp_path / name).mkdir()
    return Bench(machine_to_attack, tmp_path)


@pytest.mark.parametrize("case", VIA_PROGRAM, ids=named)
def test_hostile_package_of_a_repository_is_refused_and_changes_nothing(
    bench: Bench, case: HostilePackage
) -> None:
    packages, data = bench.folder / "packages", case.data
    (packages / f"{case.name}.rpm").write_bytes(data)
    write_repository(packages, [honest_claim(case.name, data, f"{case.name}.rpm")])
    before = bench.objects()
    with unchanged(bench.machine.path):
        check_refused(bench.install(packages, case.name, "-y"), case.name, case.expected)
    assert bench.objects() == before
    assert bench.downloads() == []


@pytest.mark.parametrize("case", hostile_metadata.TABLE, ids=named)
def test_hostile_repository_is_refused_and_changes_nothing(
    bench: Bench, case: HostileRepository
) -> None:
    packages = bench.folder / "packages"
    (packages / "target.rpm").write_bytes(hostile_metadata.package())
    case.write(packages)
    before = bench.objects()
    with unchanged(bench.machine.path):
        check_refused(bench.install(packages, "target", "-y"), "", case.expected)
    assert bench.objects() == before
    assert bench.downloads() == []


@pytest.mark.parametrize("case", hostile_metadata.ACCEPTED, ids=named)
def test_what_metadata_say_of_a_header_is_only_a_guess(
    bench: Bench, case: HostileRepository
) -> None:
    packages = bench.folder / "packages"
    (packages / "target.rpm").write_bytes(hostile_metadata.package())
    case.write(packages)
    with unchanged(bench.machine.path):
        outcome = bench.install(packages, "target", "--dry-run")
    assert outcome.status == 0, outcome.stderr
    assert outcome.peak < MEMORY


# --- a server that never ends -------------------------------------------------------------------


class Endless(SimpleHTTPRequestHandler):
    """Serves a directory, and behind every file whose name has `word` in it zeros for ever."""

    word = ""
    sent = 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def do_GET(self) -> None:
        if self.word not in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Path(self.translate_path(self.path)).read_bytes())
        with contextlib.suppress(ConnectionError):
            while type(self).sent < ENOUGH:
                self.wfile.write(bytes(1 << 16))
                type(self).sent += 1 << 16


ENOUGH = 400 << 20  # bytes, after which the server gives up


@pytest.mark.parametrize("word", ["repomd.xml", "primary.xml", "target.rpm"])
def test_a_server_that_never_ends_is_left(bench: Bench, word: str) -> None:
    packages = bench.folder / "packages"
    (packages / "target.rpm").write_bytes(hostile_metadata.package())
    write_repository(packages, [hostile_metadata.honest()])

    class Handler(Endless):
        pass

    Handler.word = word
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(packages))
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        with unchanged(bench.machine.path):
            outcome = bench.install(packages, "target", "-y", url=url)
        server.shutdown()
    check_refused(outcome, "", "cannot fetch|is not written in UTF-8")
    assert Handler.sent < 40 << 20  # what the kernel's buffers take, and the limit of repomd.xml
    assert bench.downloads() == []
