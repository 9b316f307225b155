"""`layer db`: the packages of commits, what differs, and whose a path is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layer import querying, verbs
from layer.headers import headers_ref, list_packages
from layer.layout import HEADERS
from layer.model import Nevra
from layer.packages import ListedPackage, PackageChange, PackageDiff, diff
from layer.rpmfile.header import parse_header
from layer.rpmfile.version import compare_versions
from layer.store.trees import TreeEditor, files_of, lookup
from testdata.distro.tiny import tiny_rpm
from tests.snapshot import unchanged
from tests.world import REF, STATEROOT, Machine, World, base_packages, layer, remove

BASE = [
    "tiny-kernel-1-1.x86_64",
    "tiny-libc-2.36-1.x86_64",
    "tiny-release-1-1.x86_64",
    "tiny-tools-1-1.x86_64",
]
LAYERS = ["apple-1-1.x86_64", "libseed-1-1.x86_64"]
NOBODY = 65534


def db(machine: Machine, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`layer db VERB`, which changes nothing that boots."""
    with unchanged(machine.path):
        return layer("db", words[0], "--sysroot", str(machine.path), *words[1:], status=status)


def from_json(machine: Machine, *words: str) -> Any:
    return json.loads(db(machine, *words, "--json").stdout)


# --- list ----------------------------------------------------------------------------------------


def test_list_tells_base_and_layers_apart(machine_kept: Machine) -> None:
    checksum = machine_kept.pending().checksum
    lines = [f" {n}" for n in BASE] + ["layered:"] + [f" {n}" for n in LAYERS]
    assert db(machine_kept, "list").stdout.splitlines() == [
        f"ostree commit: pending deployment ({checksum})",
        *lines,
    ]


def test_list_as_json(machine_kept: Machine) -> None:
    printed = from_json(machine_kept, "list")
    assert printed["ostree-commit"] == machine_kept.pending().checksum
    assert [p["nevra"] for p in printed["packages"] if p["layered"]] == LAYERS
    assert [p["nevra"] for p in printed["packages"] if not p["layered"]] == BASE
    assert printed["packages"][0] == {
        "nevra": "apple-1-1.x86_64",
        "name": "apple",
        "evr": "1-1",
        "arch": "x86_64",
        "layered": True,
    }


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("1", "base"),
        (f"tiny:{REF}", "base"),
        ("{base}", "base"),
        ("0", "derived"),
        (f"{STATEROOT}-{{derived}}.0", "derived"),
        ("layer/derived/{derived}", "derived"),
    ],
)
def test_a_commit_has_many_names(machine_kept: Machine, name: str, of: str) -> None:
    derived = machine_kept.pending().checksum
    checksums = {"base": machine_kept.world.base.checksum, "derived": derived}
    printed = from_json(machine_kept, "list", name.format(**checksums))
    assert printed["ostree-commit"] == checksums[of]
    assert len(printed["packages"]) == len(BASE) + (len(LAYERS) if of == "derived" else 0)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("apple",), LAYERS[:1]),
        (("tiny-l*", "lib*"), ["libseed-1-1.x86_64", "tiny-libc-2.36-1.x86_64"]),
        (("a", "apple"), LAYERS[:1]),
        (("0", "*.x86_64", "*.noarch"), sorted(BASE + LAYERS)),
        (("1", "tiny-libc-2.36-1"), ["tiny-libc-2.36-1.x86_64"]),
    ],
)
def test_list_takes_patterns(
    machine_kept: Machine, words: tuple[str, ...], found: list[str]
) -> None:
    packages = from_json(machine_kept, "list", *words)["packages"]
    assert [package["nevra"] for package in packages] == found


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("list", "nosuch"), "error: there is no deployment, ref, commit or package nosuch"),
        (("list", "0", "x", "y*"), "error: there is no package x, y*"),
        (("list", "0" * 64), f"error: no commit {'0' * 64}"),
        (("list", "a/b:c"), "error: there is no deployment, ref, commit or package a/b:c"),
        (("list", ""), "error: there is no deployment, ref, commit or package "),
        (("diff", "nosuch"), "error: there is no deployment, ref or commit nosuch"),
        (("diff", "0", "2"), "error: there is no deployment, ref or commit 2"),
        (("version", "^"), "error: there is no deployment, ref or commit ^"),
        (("owner", "--commit", "nosuch", "/x"), "error: there is no deployment, ref or commit"),
        (("owner", "/no", "/usr/no", "/usr"), "error: pending deployment (CHECKSUM) has no /no, "),
    ],
)
def test_what_is_unknown_is_one_error(
    machine_kept: Machine, words: tuple[str, ...], error: str
) -> None:
    done = db(machine_kept, *words, status=1)
    expected = error.replace("CHECKSUM", machine_kept.pending().checksum)
    assert (done.stdout, done.stderr[: len(expected)]) == ("", expected)
    assert done.stderr.count("error: ") == 1


def test_version_is_a_digest_of_all_names(machine_kept: Machine) -> None:
    lines = db(machine_kept, "version", "0", "1").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ostree", "commit:"],
        ["rpmdbv", "is:"],
    ] * 2
    digest = subprocess.run(
        ["sha1sum"], input="".join(BASE), capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert lines[3].split()[2] == f"{len(BASE)}:{digest}"
    assert lines[1].split()[2] != lines[3].split()[2]


# --- diff ----------------------------------------------------------------------------------------


def test_diff_shows_what_an_upgrade_did(own_world: World, tmp_path: Path) -> None:
    machine = own_world.machine(tmp_path / "machine")
    machine.install("apple", "old-and-new")
    before = machine.pending().checksum
    own_world.publish(*base_packages("2"), tiny_rpm("old-and-new", version="1.10"))
    own_world.compose()
    machine.apply(verbs.upgrade)
    machine.uninstall("apple")
    machine.install("web")
    after = machine.pending().checksum
    layered = [
        "Layers upgraded:",
        "  old-and-new 1-1 -> 1.10-1",
        "Layers removed:",
        "  apple-1-1.x86_64",
        "  libseed-1-1.x86_64",
        "Layers added:",
        "  web-1-1.x86_64",
    ]
    head = [f"ostree diff commit from: {before}", f"ostree diff commit to:   {after}"]
    upgraded = ["Upgraded:", "  tiny-release 1-1 -> 2-1"]
    assert db(machine, "diff", before, after).stdout.splitlines() == [*head, *upgraded, *layered]
    back = db(machine, "diff", after, before).stdout.splitlines()
    assert back[2:4] == ["Downgraded:", "  tiny-release 2-1 -> 1-1"]
    as_rpm_ostree = db(machine, "diff", "--format=json", before, after).stdout
    assert json.loads(as_rpm_ostree) == from_json(machine, "diff", before, after)
    assert from_json(machine, "diff", before, after) == {
        "ostree-commit-from": before,
        "ostree-commit-to": after,
        "pkgdiff": [
            _entry("apple", 1, old=["apple", "1-1", "x86_64"]),
            _entry("libseed", 1, old=["libseed", "1-1", "x86_64"]),
            _entry(
                "old-and-new",
                2,
                old=["old-and-new", "1-1", "noarch"],
                new=["old-and-new", "1.10-1", "noarch"],
            ),
            _entry(
                "tiny-release",
                2,
                layered=False,
                old=["tiny-release", "1-1", "x86_64"],
                new=["tiny-release", "2-1", "x86_64"],
            ),
            _entry("web", 0, new=["web", "1-1", "x86_64"]),
        ],
        "rebuilt": [],
    }
    remove([machine.path])


def _entry(name: str, kind: int, *, layered: bool = True, **packages: list[str]) -> list[Any]:
    keys = {"old": "PreviousPackage", "new": "NewPackage"}
    return [name, kind, {"layered": layered, **{keys[k]: v for k, v in packages.items()}}]


def test_diff_compares_what_boots_next_with_what_was_before(machine_kept: Machine) -> None:
    base, derived = machine_kept.world.base.checksum, machine_kept.pending().checksum
    shown = db(machine_kept, "diff").stdout.splitlines()
    assert shown[:2] == [
        f"ostree diff commit from: rollback deployment ({base})",
        f"ostree diff commit to:   pending deployment ({derived})",
    ]
    assert shown[2:] == ["Layers added:", *(f"  {nevra}" for nevra in LAYERS)]
    assert from_json(machine_kept, "diff", "1")["ostree-commit-from"] == derived
    assert db(machine_kept, "diff", "0", "0").stdout.splitlines()[2:] == []


@pytest.mark.parametrize(
    ("booted", "words", "names"),
    [
        (1, [], ("booted deployment", "pending deployment")),
        (0, [], ("rollback deployment", "booted deployment")),
        (None, [], ("rollback deployment", "pending deployment")),
        (1, ["0"], ("booted deployment", "deployment 0")),
        (None, ["1"], ("pending deployment", "deployment 1")),
    ],
)
def test_diff_begins_with_what_runs(
    machine_kept: Machine,
    monkeypatch: pytest.MonkeyPatch,
    booted: int | None,
    words: list[str],
    names: tuple[str, str],
) -> None:
    there = machine_kept.host().sysroot.deployments()
    marked = tuple(replace(d, is_booted=d.index == booted) for d in there)
    monkeypatch.setattr("layer.store.sysroot.Sysroot.deployments", lambda _: marked)
    old, new, _ = querying.package_diff(machine_kept.host(), words)
    assert (old.name, new.name) == names
    numbers = {"booted": booted, "rollback": 1, "pending": 0}
    for subject in (old, new):
        first, _, last = subject.name.partition(" ")
        index = numbers.get(first, int(last) if last.isdigit() else None)
        assert subject.commit.checksum == there[index or 0].checksum


def test_diff_wants_two_deployments(machine: Machine) -> None:
    assert db(machine, "diff", status=1).stderr.splitlines() == [
        f"error: {STATEROOT} has one deployment only",
        "hint: say what to compare: layer db diff FROM TO",
    ]


def listed(*nevras: str, **rest: bool) -> list[ListedPackage]:
    return [ListedPackage(Nevra.parse(nevra), f"header of {nevra}", **rest) for nevra in nevras]


def pair(old: str, new: str) -> PackageChange:
    return PackageChange(listed(old)[0], listed(new)[0])


def test_versions_are_compared_as_rpm_does() -> None:
    old = listed("a-9-1.x86_64", "b-1:1-1.x86_64", "c-1.0~rc1-1.x86_64", "d-1.0-1.x86_64")
    new = listed("a-10-1.x86_64", "b-2-1.x86_64", "c-1.0-1.x86_64", "d-1.00-1.x86_64")
    assert diff(old, new, compare_versions) == PackageDiff(
        upgraded=(
            pair("a-9-1.x86_64", "a-10-1.x86_64"),
            pair("c-1.0~rc1-1.x86_64", "c-1.0-1.x86_64"),
            pair("d-1.0-1.x86_64", "d-1.00-1.x86_64"),
        ),
        downgraded=(pair("b-1:1-1.x86_64", "b-2-1.x86_64"),),
    )


def test_several_of_one_name_are_paired_by_architecture_or_not_at_all() -> None:
    old = listed("lib-1-1.i686", "lib-1-1.x86_64", "k-1-1.x86_64", "k-2-1.x86_64", "n-1-1.noarch")
    new = listed("lib-2-1.i686", "lib-2-1.x86_64", "k-2-1.x86_64", "k-3-1.x86_64", "n-2-1.x86_64")
    more = listed("many-1-1.x86_64", "many-2-1.x86_64")
    last = listed("many-3-1.x86_64")
    assert diff(old + more, new + last, compare_versions) == PackageDiff(
        upgraded=(
            pair("k-1-1.x86_64", "k-3-1.x86_64"),
            pair("lib-1-1.i686", "lib-2-1.i686"),
            pair("lib-1-1.x86_64", "lib-2-1.x86_64"),
            pair("n-1-1.noarch", "n-2-1.x86_64"),
        ),
        removed=tuple(PackageChange(p, None) for p in more),
        added=tuple(PackageChange(None, p) for p in last),
    )


def test_another_build_of_the_same_version_is_told() -> None:
    (old,) = listed("a-1-1.x86_64")
    new = ListedPackage(old.nevra, "another header")
    derived = ListedPackage(old.nevra, "another header", is_derived=True)
    assert diff([old], [new], compare_versions) == PackageDiff(rebuilt=(PackageChange(old, new),))
    assert diff([old], [derived], compare_versions) == PackageDiff()


# --- a base that ships no headers ----------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["with our metadata", "a stranger's"])
def stripped(machine: Machine, request: pytest.FixtureRequest) -> str:
    """The base without its headers, as a commit of a ref `stripped`."""
    store = machine.host().store
    base = store.read_commit(machine.world.base.checksum)
    with store.transaction():
        editor = TreeEditor(store, base.root)
        editor.remove(HEADERS)
        metadata = {k: v for k, v in base.metadata.items() if request.param or "layer." not in k}
        checksum = store.write_commit(
            editor.write(),
            parent=None,
            timestamp=base.timestamp + 1,
            subject="without headers",
            metadata=metadata,
        )
        store.set_ref("stripped", checksum)
    return checksum


def test_a_base_without_headers_has_the_same_list(machine: Machine, stripped: str) -> None:
    expected = from_json(machine, "list", machine.world.base.checksum)["packages"]
    words = ("db", "list", "--sysroot", str(machine.path), "--json", "stripped")
    assert json.loads(layer(*words).stdout) == {"ostree-commit": stripped, "packages": expected}
    store = machine.host().store
    kept = store.find_commit(headers_ref(stripped))
    assert kept is not None
    root = store.read_commit(kept).root
    folder = lookup(store, root, HEADERS)
    for name, checksum in files_of(store, folder):  # type: ignore[arg-type]
        with store.open_file(checksum) as file:
            read = parse_header(file.read(), name)
        shipped = lookup(store, store.read_commit(machine.world.base.checksum).root, HEADERS)
        original = lookup(store, shipped, name)  # type: ignore[arg-type]
        with store.open_file(str(original)) as file:
            assert read.files == parse_header(file.read(), name).files
    assert db(machine, "diff", "stripped", "0").stdout.splitlines()[2:] == []
    assert store.find_commit(headers_ref(stripped)) == kept


def test_headers_are_derived_once(
    machine: Machine, stripped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine.host().store
    commit = store.read_commit(stripped)
    assert len(list_packages(store, commit)) == len(BASE)
    monkeypatch.setattr("layer.headers.open_stored", None)
    assert len(list_packages(store, commit)) == len(BASE)


def test_layers_over_it_are_listed_with_it_and_cleanup_keeps_the_headers(
    machine: Machine, stripped: str
) -> None:
    for words in (["rebase", "-y", "stripped"], ["install", "-y", "apple"]):
        machine.layer(words[0], "--repo-dir", str(machine.world.repo_dir), *words[1:])
    assert machine.host().store.find_commit(headers_ref(stripped)) is None, "on the hot path"
    layer("db", "list", "--sysroot", str(machine.path))
    packages = from_json(machine, "list")["packages"]
    assert [p["nevra"] for p in packages if p["layered"]] == LAYERS
    assert [p["nevra"] for p in packages if not p["layered"]] == BASE
    machine.layer("cleanup", "-b")
    assert machine.host().store.find_commit(headers_ref(stripped)) is not None
    for ref in (f"tiny:{REF}", f"tiny:{REF}"):
        machine.layer("rebase", "--repo-dir", str(machine.world.repo_dir), "-y", ref)
        machine.uninstall(*machine.layered()[:1])
    machine.layer("cleanup", "-b")
    assert machine.host().store.find_commit(headers_ref(stripped)) is None


@pytest.fixture
def unprivileged(machine: Machine, stripped: str) -> Iterator[Callable[..., str]]:
    """`layer` as another user, who may read the sysroot and no more."""
    folders = (machine.path, *machine.path.parents)
    opened = [(f, f.stat().st_mode) for f in folders if f.stat().st_mode & 0o005 != 0o005]
    for folder, mode in opened:
        folder.chmod(mode | 0o055)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "layer", *words],
            capture_output=True,
            text=True,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env={**os.environ, "HOME": "/nonexistent"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    for folder, mode in opened:
        folder.chmod(mode)


def test_it_needs_no_root(
    machine: Machine, stripped: str, unprivileged: Callable[..., str]
) -> None:
    words = ("--sysroot", str(machine.path), "--json", "stripped")
    with unchanged(machine.path):
        printed = json.loads(unprivileged("db", "list", *words))
    assert [package["nevra"] for package in printed["packages"]] == BASE


def test_a_commit_without_any_list_is_one_error(machine: Machine) -> None:
    store = machine.host().store
    base = store.read_commit(machine.world.base.checksum)
    with store.transaction():
        editor = TreeEditor(store, base.root)
        editor.remove(HEADERS)
        editor.remove("usr/share/rpm")
        bare = store.write_commit(
            editor.write(), parent=None, timestamp=0, subject="bare", metadata={}
        )
        store.set_ref("bare", bare)
    error = db(machine, "list", "bare", status=1).stderr
    assert error.startswith(f"error: commit {bare} lists no packages: it has no /{HEADERS}")
