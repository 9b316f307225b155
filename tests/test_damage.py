"""Damage is found, named, healed where the source is at hand, and never built upon."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from layer.importer import find_package
from layer.model import Tree
from layer.recording import read_history
from layer.store.trees import lookup
from tests.cli import do
from tests.test_architecture import ROOT
from tests.world import STATEROOT, Machine, World, ostree, remove

Hurt = Callable[[Machine], None]


def flip(path: Path) -> None:
    """Changes one byte, in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:  # the same inode: its hardlinks are damaged, too
        file.write(data)


def object_of(
    machine: Machine, path: str, *, package: str = "", is_directory: bool = False
) -> Path:
    """The object of a path in what boots next, or in an imported package."""
    host = machine.host()
    root = host.store.read_commit(machine.pending().checksum).root
    if package:
        (found,) = [p for p in host.lock_of(machine.pending()).packages if p.nevra.name == package]
        imported = find_package(host.store, found.checksum)
        assert imported is not None
        root = imported.root
    found = lookup(host.store, root, path)
    if isinstance(found, Tree):
        assert is_directory
        return (
            machine.path / f"ostree/repo/objects/{found.contents[:2]}/{found.contents[2:]}.dirtree"
        )
    assert isinstance(found, str)
    return machine.path / f"ostree/repo/objects/{found[:2]}/{found[2:]}.file"


def header_of(machine: Machine) -> Path:
    """The object of the header of an imported package."""
    return object_of(machine, "usr/lib/sysimage/packages/apple-1-1.x86_64.rpm", package="apple")


def commit_of(machine: Machine) -> Path:
    """The object of the pending commit, where its id exceptions and its lock are."""
    checksum = machine.pending().checksum
    return machine.path / f"ostree/repo/objects/{checksum[:2]}/{checksum[2:]}.commit"


def cached(machine: Machine, pattern: str) -> Path:
    """A file of the cache that is there after a plan."""
    do(machine, "install", "-n", "web")
    (found,) = machine.host().cache.glob(pattern)
    return found


def checkout(machine: Machine, path: str) -> Path:
    """A path of the pending deployment."""
    return machine.pending().path / path


def replaced(path: Path) -> None:
    """As an editor does it: another file in its place."""
    path.unlink()
    path.write_bytes(b"something else\n")


def var(machine: Machine, name: str) -> Path:
    """A record in /var."""
    place = machine.host().sysroot.var(STATEROOT) / "lib/layer" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


@dataclass(frozen=True)
class Case:
    """What is damaged and how, a verb on it, what this says, and what becomes of it.

    `status` is the verb's. `became`: "anew" at once, "healed" by `layer fsck --repair`, or "stays".
    """

    name: str
    hurt: Hurt
    words: tuple[str, ...]
    status: int
    said: str
    became: str


PLAN, FSCK = ("install", "-n", "web"), ("fsck",)
CASES = (
    Case(
        "byte of a package's file",
        lambda m: flip(object_of(m, "usr/bin/apple")),
        FSCK,
        1,
        "/usr/bin/apple is damaged in the repository (object ",
        "healed",
    ),
    Case(
        "file of a package, missing",
        lambda m: object_of(m, "usr/bin/apple").unlink(),
        FSCK,
        1,
        "/usr/bin/apple is missing in the repository (object ",
        "healed",
    ),
    Case(
        "byte of a package's header",
        lambda m: flip(header_of(m)),
        PLAN,
        1,
        "in the repository is damaged",
        "healed",
    ),
    Case(
        "byte of a file of the base",
        lambda m: flip(object_of(m, "usr/lib/libtiny.so.1")),
        FSCK,
        1,
        "/usr/lib/libtiny.so.1 is damaged in the repository (object ",
        "healed",
    ),
    Case(
        "file of the base, missing",
        lambda m: object_of(m, "usr/lib/libtiny.so.1").unlink(),
        FSCK,
        1,
        "/usr/lib/libtiny.so.1 is missing in the repository (object ",
        "healed",
    ),
    Case(
        "byte of a directory of the base",
        lambda m: flip(object_of(m, "usr/lib/modules", is_directory=True)),
        PLAN,
        1,
        "in the repository is damaged",
        "healed",
    ),
    Case(
        "map of ids in the base",
        lambda m: flip(object_of(m, "usr/share/layer/ids.json")),
        ("install", "-y", "daemon"),
        1,
        "in the repository is damaged",
        "healed",
    ),
    Case(
        "commit with the id exceptions",
        lambda m: flip(commit_of(m)),
        PLAN,
        1,
        "in the repository is damaged",
        "healed",
    ),
    Case(
        "commit with the id exceptions, missing",
        lambda m: commit_of(m).unlink(),
        FSCK,
        1,
        "commit / is missing in the repository (object",
        "healed",
    ),
    Case(
        "commit with the id exceptions, and its copy",
        lambda m: (flip(commit_of(m)), flip(commit_of(m).with_suffix(".commitmeta"))),
        PLAN,
        1,
        "in the repository is damaged",
        "stays",
    ),
    Case(
        "file of a deployment, replaced",
        lambda m: replaced(checkout(m, "usr/bin/apple")),
        FSCK,
        1,
        "/usr/bin/apple of deployment 0 is not what its commit says",
        "healed",
    ),
    Case(
        "file of a deployment, missing",
        lambda m: checkout(m, "usr/lib/libtiny.so.1").unlink(),
        FSCK,
        1,
        "/usr/lib/libtiny.so.1 of deployment 0 is not what its commit says",
        "healed",
    ),
    Case(
        "mode of a directory in a deployment",
        lambda m: checkout(m, "usr/bin").chmod(0o777),
        FSCK,
        1,
        "/usr/bin of deployment 0 is not what its commit says",
        "healed",
    ),
    Case(
        "byte in the solver's cache",
        lambda m: flip(cached(m, ".solv/tiny=*")),
        PLAN,
        0,
        "is made anew: it is damaged",
        "anew",
    ),
    Case(
        "byte in cached metadata",
        lambda m: flip(cached(m, "tiny/*primary.xml*")),
        PLAN,
        0,
        "web",
        "anew",
    ),
    Case(
        "live journal, cut short",
        lambda m: _write(var(m, "live.json"), b'{"schema": 1, "boot"'),
        ("kargs", "-y", "--append=x"),
        1,
        "live.json is damaged: what is live cannot be told",
        "stays",
    ),
    Case(
        "line of the history",
        lambda m: _write(var(m, "history.jsonl"), b'{"schema": 1, "ti\n'),
        ("history",),
        0,
        "of the history cannot be read by this version",
        "stays",
    ),
)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.fixture(scope="module")
def worn(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with layers that every test leaves whole."""
    path = tmp_path_factory.mktemp("worn") / "machine"
    machine = world.machine(path)
    machine.install("apple")
    yield machine
    remove([path])


@pytest.fixture
def whole(worn: Machine) -> Iterator[Machine]:
    """It, as it was before: a copy with its hardlinks comes back."""
    copy = worn.path.with_name("copy")
    subprocess.run(["cp", "-a", worn.path, copy], check=True)
    yield worn
    remove([worn.path])
    copy.rename(worn.path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_named_and_healed(whole: Machine, case: Case) -> None:
    before = whole.pending().checksum
    case.hurt(whole)
    done = do(whole, case.words[0], *case.words[1:], status=case.status)
    said = done.stdout + done.stderr
    assert case.said in said, said
    assert said.count("error: ") <= 1
    if case.became == "healed":
        repaired = whole.layer("fsck", "--repair", *options(whole))
        assert ": healed\n" in repaired.stdout, repaired.stdout + repaired.stderr
        assert whole.layer("fsck", *options(whole)).stdout == "No damage.\n"
        assert checkout(whole, "usr/lib/libtiny.so.1").read_bytes() == b"not really a library\n"
        ostree("fsck", f"--repo={whole.path}/ostree/repo", "--quiet")
        do(whole, "install", "-n", "web")
    elif case.became == "anew":
        again = do(whole, case.words[0], *case.words[1:])
        assert case.said not in again.stderr
    if case.words[0] != "install" or case.became != "stays":
        assert whole.pending().checksum == before


def options(machine: Machine) -> list[str]:
    """Where packages come from."""
    return ["--repo-dir", str(machine.world.repo_dir)]


def test_the_docs_have_every_row_of_damage() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| `layer ([^|]+)` \| ([^|]+) \| (\w+)", read("docs/damage.md"), re.MULTILINE
    )
    assert rows == [(c.name, " ".join(c.words), said(c), c.became) for c in CASES]


def said(case: Case) -> str:
    """As the table has it."""
    return f"`{case.said.strip()}`"


def read(name: str) -> str:
    return (ROOT / name).read_text()


def test_what_cannot_be_healed_is_said(whole: Machine) -> None:
    """Neither repository nor server: what is lacking has a name, and nothing else changes."""
    object_of(whole, "usr/bin/apple").unlink()
    done = whole.layer("fsck", "--repair", "--cachedir", f"{whole.path}/none", status=1)
    assert "/usr/bin/apple is missing in the repository" in done.stdout
    assert "what is layered could not be made anew: " in done.stdout
    assert checkout(whole, "usr/bin/apple").exists()


def test_damage_is_not_copied_into_new_objects(whole: Machine) -> None:
    """A copy with another owner would have a checksum of its own, that fits what is damaged."""
    do(whole, "install", "-y", "daemon")
    flip(object_of(whole, "usr/bin/daemon", package="daemon"))
    ostree("refs", f"--repo={whole.path}/ostree/repo", "--delete", "layer/copies")
    done = do(whole, "install", "-y", "web", status=1)
    assert re.search(r"error: the file [0-9a-f]{64} in the repository is damaged", done.stderr)
    entries, _ = read_history(whole.host())
    assert len(entries) == 3
