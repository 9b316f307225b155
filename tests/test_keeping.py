"""What must never be lost, and what must never be trusted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import verbs
from layer.errors import RepositoryError
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from tests.world import REF, STATEROOT, Machine, World, ostree, remove


def test_no_cleanup_prunes_a_deployments_base(machine: Machine, world: World) -> None:
    """The remote's ref may go or move on; reset still finds the base, without a network."""
    machine.install("apple")
    repo = f"--repo={machine.host().store.path}"
    ostree(repo, "refs", "--delete", f"tiny:{REF}")
    ostree("admin", f"--sysroot={machine.path}", "cleanup")
    ostree(repo, "prune", "--refs-only", "--depth=0")
    assert machine.reset().checksum == world.base.checksum


def test_no_prune_takes_a_new_deployments_commit(machine: Machine) -> None:
    """Deploying leaves clean-up, and with it libostree's own refs, for later."""
    deployed = machine.install("apple")
    repo = f"--repo={machine.host().store.path}"
    ostree(repo, "prune", "--refs-only", "--depth=0")
    ostree(repo, "fsck", "--quiet")
    assert machine.host().store.read_commit(deployed.checksum).checksum == deployed.checksum


def test_cleanup_keeps_what_deployments_need_and_drops_the_rest(machine: Machine) -> None:
    machine.install("pear")
    machine.uninstall("pear")
    machine.install("apple")
    machine.uninstall("apple")
    machine.install("web")
    checksum = machine.pending().checksum
    before = {ref for ref in machine.host().store.refs("layer") if "/pkg/" in ref}
    machine.layer("cleanup", "-b")
    after = {ref for ref in machine.host().store.refs("layer") if "/pkg/" in ref}
    assert len(before) == 4
    assert len(after) == 1
    ostree(f"--repo={machine.host().store.path}", "fsck", "--quiet")
    machine.reset()
    assert machine.install("web").checksum == checksum


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Path]:
    """A GPG home with one key; its public half is `public.asc` beside it."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    environment = {**os.environ, "GNUPGHOME": str(home)}
    generate = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "layer@example.org"]
    subprocess.run(generate, env=environment, check=True, capture_output=True)
    export = subprocess.run(["gpg", "--export"], env=environment, check=True, capture_output=True)
    (tmp_path / "public.asc").write_bytes(export.stdout)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)


def test_cleanup_keeps_what_was_mirrored_from_other_collections(
    machine: Machine, tmp_path: Path
) -> None:
    """The ostree program lists such refs apart from the others."""
    repo, tree = machine.path / "ostree/repo", tmp_path / "tree/usr"
    tree.mkdir(parents=True)
    made = ostree("commit", f"--repo={repo}", "--orphan", f"--tree=dir={tree.parent}", "-s", "x")
    place = repo / "refs/mirrors/org.example.Other/stable"
    place.parent.mkdir(parents=True)
    place.write_text(made)
    machine.layer("cleanup", "-b", "-p", "-r")
    assert ostree("show", f"--repo={repo}", made.strip())


def test_only_a_signed_base_is_pulled(own_world: World, signer: Path, tmp_path: Path) -> None:
    path = tmp_path / "machine"
    initialize(path, STATEROOT)
    machine = Machine(path, own_world)
    keys = tmp_path / "public.asc"
    add_remote(machine.host().store, "tiny", own_world.url, verify=True, keys=keys)
    with pytest.raises(RepositoryError, match=r"(?i)gpg|sign"):
        machine.apply(lambda host: verbs.rebase(host, f"tiny:{REF}"))
    assert machine.host().pending() is None

    keyid = subprocess.run(
        ["gpg", "--list-keys", "--with-colons"],
        env={**os.environ, "GNUPGHOME": str(signer)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    fingerprint = next(line for line in keyid.splitlines() if line.startswith("fpr")).split(":")[9]
    repo = f"--repo={own_world.path}/served"
    ostree(repo, "gpg-sign", f"--gpg-homedir={signer}", own_world.base.checksum, fingerprint)
    deployed = machine.apply(lambda host: verbs.rebase(host, f"tiny:{REF}"))
    assert deployed.checksum == own_world.base.checksum
    remove([path])
