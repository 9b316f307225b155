"""A machine that rpm-ostree itself layered, taken over from its true base."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.lock import read_record
from layer.model import BootPlan, NewDeployment
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import tiny_rpm
from tests.cli import do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.test_cli_db import db
from tests.test_overrides import run
from tests.world import REF, STATEROOT, Machine, World, layer, make_world, ostree, remove

FILE = "a" * 64
ORIGIN = f"""\
[origin]
baserefspec=tiny:{REF}
custom-url=https://example.com

[packages]
requested=apple;

[overrides]
remove=pager;

[rpmostree]
ex-cliwrap=true
"""


@pytest.fixture(scope="module")
def pagers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has a package that is overridden."""
    pager = tiny_rpm("pager", "/usr/bin/pager", arch="x86_64")
    with make_world(tmp_path_factory.mktemp("pagers"), pager) as world:
        yield world


def take(machine: Machine, origin: str = ORIGIN) -> str:
    """Deploys what is pending as rpm-ostree would have layered it; its checksum."""
    host = machine.host()
    repo = f"--repo={host.store.path}"
    pending = machine.pending()
    base = host.base_commit(pending).checksum
    # The keys and types that rpm-ostree writes (rpmostree-core, rpmostree_context_commit).
    metadata = (
        "rpmostree.clientlayer=true",
        "rpmostree.clientlayer_version=uint32 6",
        "rpmostree.packages=['apple']",
        "rpmostree.removed-base-packages=@av "
        "[<('pager-1-1.x86_64', 'pager', uint64 0, '1', '1', 'x86_64')>]",
        "rpmostree.replaced-base-packages=@a(vv) []",
        "rpmostree.modules=@as []",
        "ostree.bootable=true",
    )
    words = [f"--add-metadata={text}" for text in metadata]
    words += ["--add-metadata-string=version=1", "--add-metadata-string=ostree.linux=6.0"]
    commit = ostree(
        "commit", repo, "--orphan", f"--parent={base}", f"--tree=ref={pending.checksum}", *words
    ).strip()
    ostree("refs", repo, "--create=rpmostree/base/0", base)
    with host.locked():
        new = NewDeployment(STATEROOT, commit, origin, pending, pending.kernel_arguments)
        host.sysroot.write(BootPlan((new,)))
        with host.store.transaction():
            for ref in host.store.refs("layer"):
                host.store.set_ref(ref, None)
    host.sysroot.clean_up()
    return commit


@pytest.fixture
def foreign(pagers: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine with apple layered and pager removed, by rpm-ostree."""
    machine = pagers.machine(tmp_path / "machine")
    machine.install("apple")
    run(machine, "override", "remove", "-y", "pager")
    take(machine)
    yield machine
    remove([tmp_path / "machine"])


def test_status_tells_base_and_layers(foreign: Machine, pagers: World) -> None:
    entry = first(foreign)
    assert entry["base-checksum"] == pagers.base.checksum
    assert entry["packages"] == ["apple"]
    assert entry["requested-packages"] == ["apple"]
    assert entry["base-removals"] == [["pager-1-1.x86_64", "pager", 0, "1", "1", "x86_64"]]
    assert entry["layered-commit-meta"]["rpmostree.clientlayer"] is True
    shown = do(foreign, "status").stdout
    assert f"BaseCommit: {pagers.base.checksum}\n" in shown
    assert "LayeredPackages: apple\n" in shown
    assert "RemovedBasePackages: pager-1-1.x86_64\n" in shown


def test_the_tree_is_made_anew_from_the_true_base(foreign: Machine, pagers: World) -> None:
    do(foreign, "install", "-y", "web")
    pending = foreign.pending()
    commit = foreign.host().store.read_commit(pending.checksum)
    assert commit.metadata["layer.base"] == pagers.base.checksum
    assert foreign.layered() == ["apple", "libseed", "web"]
    assert (pending.path / "usr/bin/apple").exists()
    assert not (pending.path / "usr/bin/pager").exists()
    text = origin_of(foreign)
    for line in ("requested=apple;web;", "remove=pager;", "ex-cliwrap=true"):
        assert line in text
    assert "custom-url=https://example.com" in text
    tree = ["rpm", "--root", str(pending.path), "--dbpath", "/usr/share/rpm", "-qa"]
    said = subprocess.run(tree, capture_output=True, text=True, check=True).stdout.split()
    assert len(said) == len(set(said))
    assert {"apple-1-1.x86_64", "web-1-1.x86_64"} <= set(said)


def test_uninstall_and_reset_know_what_was_asked_for(foreign: Machine, pagers: World) -> None:
    plan = do(foreign, "uninstall", "-n", "apple").stdout
    assert "Removing 2 packages:\n  apple-1-1.x86_64\n  libseed-1-1.x86_64\n" in plan
    do(foreign, "reset", "-y")
    assert foreign.pending().checksum == pagers.base.checksum
    assert "ex-cliwrap=true" in origin_of(foreign)


def test_kernel_arguments_leave_the_tree_to_rpm_ostree(foreign: Machine) -> None:
    before = foreign.pending()
    do(foreign, "kargs", "-y", "--append=debug")
    assert foreign.pending().checksum == before.checksum
    do(foreign, "cleanup", "-b", "-r")
    assert "LayeredPackages: apple\n" in do(foreign, "status").stdout


def test_a_base_that_is_gone_is_one_error_and_upgrade_helps(foreign: Machine) -> None:
    host, repo = foreign.host(), f"--repo={foreign.host().store.path}"
    base = host.base_commit(foreign.pending()).checksum
    ostree("refs", repo, "--delete", "rpmostree/base/0")
    ostree("refs", repo, "--delete", f"tiny:{REF}")
    ostree("prune", repo, "--refs-only", "--depth=0")
    assert first(foreign)["base-checksum"] == base
    assert "Problem: its base" in do(foreign, "status").stdout
    lines = fails(foreign, "install", "-y", "web")
    assert lines[0].endswith(f"its base {base} is not in the repository")
    assert "`layer upgrade`" in lines[1]
    with unchanged(foreign.path):
        do(foreign, "kargs", "-n", "--append=debug")
    do(foreign, "upgrade", "-y")
    assert foreign.layered() == ["apple", "libseed"]
    assert first(foreign)["base-removals"]


def headers_kept(machine: Machine) -> None:
    """Lists once: what is derived from an rpm database is kept."""
    layer("db", "list", "--sysroot", str(machine.path))
    layer("db", "list", "--sysroot", str(machine.path), machine.world.base.checksum, status=None)


def test_lists_and_owners_tell_base_and_layers(foreign: Machine, pagers: World) -> None:
    def listed() -> dict[str, bool]:
        found = json.loads(db(foreign, "list", "--json").stdout)["packages"]
        return {item["nevra"]: item["layered"] for item in found}

    headers_kept(foreign)
    packages = listed()
    assert {nevra for nevra, is_layered in packages.items() if is_layered} == {
        "apple-1-1.x86_64",
        "libseed-1-1.x86_64",
    }
    assert packages["tiny-libc-2.36-1.x86_64"] is False
    assert db(foreign, "owner", "/usr/bin/apple").stdout == "/usr/bin/apple: apple-1-1.x86_64\n"
    # What a trigger of ours wrote into the base is still known as its own.
    written = dict(read_record(foreign.host().store.read_commit(pagers.base.checksum)).written)
    cache, writer = next((p, w) for p, w in sorted(written.items()) if w not in ("layer",))
    said = db(foreign, "owner", "--json", f"/{cache}").stdout
    assert json.loads(said)[0]["owners"][0]["name"] == writer
    # Against the base itself: what came is layers, what went was the base's.
    out = db(foreign, "diff", "--json", pagers.base.checksum, "0").stdout
    found = json.loads(out)
    assert [entry[0] for entry in found["pkgdiff"]] == ["apple", "libseed", "pager"]


def test_lists_work_where_the_base_is_gone(foreign: Machine) -> None:
    repo = f"--repo={foreign.host().store.path}"
    ostree("refs", repo, "--delete", "rpmostree/base/0")
    ostree("refs", repo, "--delete", f"tiny:{REF}")
    ostree("prune", repo, "--refs-only", "--depth=0")
    headers_kept(foreign)
    assert "apple-1-1.x86_64" in db(foreign, "list").stdout
    assert db(foreign, "owner", "/usr/bin/apple").stdout == "/usr/bin/apple: apple-1-1.x86_64\n"


def test_the_file_that_is_needed_is_named(foreign: Machine, tmp_path: Path) -> None:
    """rpm-ostree keeps a tree of it, not the RPM: there is no taking that over."""
    text = ORIGIN.replace("requested=", f"requested-local={FILE}:foo-1-1.x86_64;\nrequested=")
    pending = foreign.pending()
    pending.path.with_name(f"{pending.path.name}.origin").write_text(text)
    lines = fails(foreign, "install", "-y", "web")
    assert lines[0] == "error: these packages came as files, and are not here:"
    assert lines[1] == f"  foo-1-1.x86_64 (SHA-256 {FILE})"
    repo = f"--repo={foreign.host().store.path}"
    ostree("refs", repo, "--create=rpmostree/pkg/foo/1-1.x86__64", pending.checksum)
    lines = fails(foreign, "install", "-y", "web")
    assert lines[1] == "  foo-1-1.x86_64 (rpm-ostree layered it, and keeps no RPM of it)"
    assert "layer install FILE.rpm" in lines[2]
    do(foreign, "kargs", "-y", "--append=debug")
    assert f"requested-local={FILE}:foo-1-1.x86_64;" in origin_of(foreign)
    # The same package again: from now on by the checksum of the whole file.
    file = write_rpm(tiny_rpm("foo", "/usr/bin/foo", arch="x86_64"), tmp_path)
    do(foreign, "install", "-y", str(file), "web")
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"requested-local={checksum}:foo-1-1.x86_64;" in origin_of(foreign)
    assert (foreign.pending().path / "usr/bin/foo").exists()


def test_what_is_layered_keeps_its_version(foreign: Machine) -> None:
    foreign.world.publish(tiny_rpm("apple", "/usr/bin/apple", version="3", arch="x86_64"))
    do(foreign, "install", "-y", "web")
    tree = foreign.pending().path
    assert (tree / "usr/lib/sysimage/packages/apple-1-1.x86_64.rpm").exists()
