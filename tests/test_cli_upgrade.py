"""`layer upgrade`, `rebase` and `remote`: where the base comes from, and what moves with it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.tiny import tiny_rpm
from tests.cli import REBOOT, do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import REF, Machine, World, base_packages, layer, ostree, remove

NO_UPGRADE = "No upgrade available.\n"


@pytest.fixture
def moving(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine in a world of the test's own, which may move on."""
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def next_base(world: World) -> None:
    """A newer base with one newer package."""
    world.publish(*base_packages(version="2"))
    world.compose()


def test_without_anything_new_there_is_no_upgrade(machine_kept: Machine) -> None:
    with unchanged(machine_kept.path):
        assert do(machine_kept, "upgrade", "-y").stdout == NO_UPGRADE
        assert do(machine_kept, "upgrade", "-n").stdout == NO_UPGRADE
        words = ("-y", "--unchanged-exit-77")
        assert do(machine_kept, "upgrade", *words, status=77).stdout == NO_UPGRADE


def test_an_upgrade_carries_the_layers_along(moving: Machine) -> None:
    do(moving, "install", "-y", "apple", "daemon")
    (moving.pending().path / "etc/daemon.conf").write_text("setting=mine\n")
    next_base(moving.world)
    with unchanged(moving.path):
        plan = do(moving, "upgrade", "-n").stdout
    old, new = (
        moving.world.base.checksum,
        ostree("rev-parse", f"--repo={moving.world.path}/served", REF).strip(),
    )
    assert plan.startswith(
        f"Base: tiny:{REF}, version 2, {new[:12]}\n  was: tiny:{REF}, version 1, {old[:12]}\n"
        "\nPackages of the base: 1 upgraded.\n"
    )
    done = do(moving, "upgrade", "-y", "--unchanged-exit-77")
    assert done.stdout == f"{plan}{REBOOT}\n"
    entry = first(moving)
    assert (entry["base-checksum"], entry["version"]) == (new, "2")
    assert entry["packages"] == ["apple", "daemon"]
    assert moving.layered() == ["apple", "daemon", "libseed"]
    assert (moving.pending().path / "etc/daemon.conf").read_text() == "setting=mine\n"
    assert ostree("rev-parse", f"--repo={moving.path}/ostree/repo", f"tiny:{REF}").strip() == new
    assert do(moving, "upgrade", "-y").stdout == NO_UPGRADE


def test_a_preview_is_the_plan_with_what_changes_in_the_base(moving: Machine) -> None:
    assert do(moving, "upgrade", "--check", status=77).stdout == NO_UPGRADE
    assert do(moving, "upgrade", "--preview", status=77).stdout == NO_UPGRADE
    do(moving, "install", "-y", "apple")
    next_base(moving.world)
    with unchanged(moving.path / "boot"), unchanged(moving.path / "ostree/deploy"):
        checked = do(moving, "upgrade", "--check").stdout
        preview = do(moving, "upgrade", "--preview").stdout
    counted = "Packages of the base: 1 upgraded.\n"
    assert counted in checked
    named = f"{counted}  upgraded: tiny-release 1-1 -> 2-1\n"
    assert preview == checked.replace(counted, named)
    assert do(moving, "upgrade", "-y").stdout == f"{checked}{REBOOT}\n"


def test_a_refused_upgrade_moves_no_ref(moving: Machine) -> None:
    next_base(moving.world)
    assert fails(moving, "upgrade")[0] == "error: nobody is here to say yes; nothing has changed"


def test_only_an_upgrade_moves_layers_to_newer_versions(moving: Machine) -> None:
    do(moving, "install", "-y", "old-and-new")
    moving.world.publish(tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="2"))
    program = "usr/bin/old-and-new"
    do(moving, "install", "-y", "apple")
    assert (moving.pending().path / program).read_text() == "old-and-new 1\n"
    do(moving, "uninstall", "-y", "apple")
    assert (moving.pending().path / program).read_text() == "old-and-new 1\n"
    plan = do(moving, "upgrade", "-y").stdout
    assert "Changing 1 package:\n  old-and-new  1-1  ->  2-1\n" in plan
    assert (moving.pending().path / program).read_text() == "old-and-new 2\n"
    do(moving, "uninstall", "-y", "old-and-new")
    do(moving, "install", "-y", "old-and-new-1")
    assert do(moving, "upgrade", "-y").stdout == NO_UPGRADE  # a version was asked for


def test_an_older_base_is_refused_unless_allowed(moving: Machine) -> None:
    next_base(moving.world)
    do(moving, "upgrade", "-y")
    old = moving.world.base.checksum
    served = f"--repo={moving.world.path}/served"
    ostree("refs", served, "--delete", REF)
    ostree("refs", served, f"--create={REF}", old)
    ostree("summary", served, "-u")
    (error, hint) = fails(moving, "upgrade", "-y")
    assert error.startswith(f"error: tiny:{REF} is older than what is deployed: {old[:12]} of ")
    assert hint == "hint: --allow-downgrade takes it all the same"
    do(moving, "upgrade", "-y", "--allow-downgrade")
    assert moving.pending().checksum == old


def test_an_upgrade_lets_go_of_a_pinned_commit(moving: Machine) -> None:
    path = moving.pending().path
    origin = path.with_name(f"{path.name}.origin")
    origin.write_text(f"{origin.read_text()}override-commit={moving.world.base.checksum}\n")
    do(moving, "install", "-y", "web")
    assert f"override-commit={moving.world.base.checksum}\n" in origin_of(moving)
    next_base(moving.world)
    do(moving, "upgrade", "-y")
    assert "override-commit" not in origin_of(moving)


# --- rebase ---


def test_a_rebase_carries_the_layers_to_another_ref(moving: Machine) -> None:
    do(moving, "install", "-y", "apple")
    served = f"--repo={moving.world.path}/served"
    ostree("refs", served, "--create=tiny/2/x86_64/base", REF)
    ostree("summary", served, "-u")
    do(moving, "rebase", "-y", "tiny:tiny/2/x86_64/base")
    assert origin_of(moving).startswith("[origin]\nbaserefspec=tiny:tiny/2/x86_64/base\n")
    assert moving.layered() == ["apple", "libseed"]


def test_a_rebase_to_where_one_is_changes_nothing(machine_kept: Machine) -> None:
    with unchanged(machine_kept.path):
        words = ("-y", "--unchanged-exit-77", f"tiny:{REF}")
        assert do(machine_kept, "rebase", *words, status=77).stdout == "No change.\n"


def test_a_first_rebase_may_say_the_kernel_arguments(world: World, tmp_path: Path) -> None:
    path = tmp_path / "fresh"
    layer("init", "--sysroot", str(path), "--stateroot", "tiny")
    options = ["--sysroot", str(path)]
    layer("remote", "add", *options, "tiny", world.url, "--no-gpg-verify")
    words = ["--karg", "root=LABEL=x", "--karg", "quiet", f"tiny:{REF}"]
    with unchanged(path):
        layer("rebase", *options, "-n", *words)
    layer("rebase", *options, "-y", *words)
    machine = Machine(path, world)
    assert machine.pending().kernel_arguments == ("root=LABEL=x", "quiet")
    machine.install("web")
    assert machine.pending().kernel_arguments == ("root=LABEL=x", "quiet")
    remove([path])


@pytest.mark.parametrize("text", ["", ":", "tiny:", ":x", "a b:c", "tiny:x y", "tiny:../x"])
def test_a_refspec_that_is_none_is_one_error(machine_kept: Machine, text: str) -> None:
    assert fails(machine_kept, "rebase", "-y", text)[0].startswith("error: ")


# --- remotes ---


def test_an_unknown_remote_is_one_error(machine_kept: Machine) -> None:
    assert fails(machine_kept, "rebase", "-y", f"nosuch:{REF}") == [
        "error: there is no remote nosuch (there is: tiny)",
        "hint: add it: layer remote add nosuch URL --gpg-import FILE",
    ]
    assert fails(machine_kept, "rebase", "-y", "some/ref")[0] == (
        "error: the sysroot's repository has no ref some/ref"
    )
    with unchanged(machine_kept.path):
        error = remote(machine_kept, "delete", "nosuch", status=1)
    assert error == ("error: there is no remote nosuch\nhint: `layer remote list` shows all\n")


def test_an_unknown_ref_is_one_error(machine_kept: Machine, world: World) -> None:
    error, hint = fails(machine_kept, "rebase", "-y", "tiny:no/such/ref")
    assert error.startswith(f"error: cannot pull no/such/ref from remote tiny ({world.url}): ")
    assert hint == "hint: is the server up, and does it have that ref?"


def test_a_server_that_is_down_is_one_error(machine: Machine) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        options = ["--sysroot", str(machine.path)]
        layer("remote", "add", *options, "down", url, "--no-gpg-verify")
        error, _ = fails(machine, "rebase", "-y", f"down:{REF}")
    assert error.startswith(f"error: cannot pull {REF} from remote down ({url}): ")


def test_a_base_that_is_damaged_on_its_server_is_one_error(moving: Machine) -> None:
    next_base(moving.world)
    served = moving.world.path / "served"
    known = {p.name for p in (moving.path / "ostree/repo/objects").rglob("*")}
    fresh = sorted(served.glob("objects/*/*.filez"), key=lambda p: p.stat().st_mtime)[-1]
    assert fresh.name.replace(".filez", ".file") not in known
    fresh.write_bytes(fresh.read_bytes()[:-5] + b"xxxxx")
    error, _ = fails(moving, "upgrade", "-y")
    assert error.startswith(f"error: cannot pull {REF} from remote tiny ")


def remote(machine: Machine, verb: str, *words: str, status: int = 0) -> str:
    """Runs `layer remote`; its standard output, or error where one is expected."""
    done = layer("remote", verb, "--sysroot", str(machine.path), *words, status=status)
    return done.stderr if status else done.stdout


def test_a_remote_is_added_once_and_taken_away(machine: Machine, world: World) -> None:
    config = machine.path / "ostree/repo/config"
    assert remote(machine, "list") == f"tiny {world.url}\n"
    before = config.read_text()
    remote(machine, "add", "tiny", world.url, "--no-gpg-verify")
    assert config.read_text() == before
    assert remote(machine, "add", "tiny", "http://x/", "--no-gpg-verify", status=1) == (
        f"error: the remote tiny exists with another URL: {world.url}\n"
        "hint: take it away first: layer remote delete tiny\n"
    )
    assert remote(machine, "add", "new", "http://x/", status=1) == (
        "error: how are commits of new to be verified?\n"
        "hint: give its keys with --gpg-import FILE, or say --no-gpg-verify\n"
    )
    assert remote(machine, "add", "tiny", world.url, "--gpg-import", __file__, status=1) == (
        "error: the remote tiny exists and does not verify signatures\n"
        "hint: take it away first: layer remote delete tiny\n"
    )
    assert remote(machine, "add", "new", "http://x/", "--gpg-import", __file__, status=1) == (
        f"error: cannot import the GPG keys {__file__}:"
        " GPG: Unable to export keys: GPGME: No data\n"
        "hint: it must have public keys of OpenPGP, as `gpg --export` writes them\n"
    )
    assert config.read_text() == before
    remote(machine, "add", "new", "http://x/", "--no-gpg-verify")
    assert remote(machine, "list") == f"new http://x/\ntiny {world.url}\n"
    remote(machine, "delete", "new")
    assert config.read_text() == before


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("", "http://x/"),
        ("a b", "http://x/"),
        ("a/b", "http://x/"),
        ("a\nb", "http://x/"),
        ("x", ""),
        ("x", "nowhere"),
        ("x", "ftp://x/"),
        ("x", "http://x/\n[core]\nmode=archive"),
    ],
)
def test_a_remote_with_a_wrong_name_or_url_is_refused(
    machine_kept: Machine, name: str, url: str
) -> None:
    with unchanged(machine_kept.path):
        assert remote(machine_kept, "add", "--no-gpg-verify", "--", name, url, status=1).startswith(
            "error: "
        )


@pytest.fixture
def gpg_home(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A GPG home with one key, and the key's id."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(home)}
    words = ["--batch", "--passphrase", "", "--quick-gen-key", "test@localhost", "ed25519"]
    subprocess.run(["gpg", "--quiet", *words], env=env, check=True, capture_output=True)
    listed = subprocess.run(
        ["gpg", "--list-keys", "--with-colons"], env=env, check=True, capture_output=True, text=True
    ).stdout
    key = next(line.split(":")[4] for line in listed.splitlines() if line.startswith("pub:"))
    subprocess.run(["gpg", "--output", str(home / "key.gpg"), "--export"], env=env, check=True)
    yield home, key
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg here")
def test_only_commits_that_its_keys_signed_are_taken(
    own_world: World, tmp_path: Path, gpg_home: tuple[Path, str]
) -> None:
    home, key = gpg_home
    path = tmp_path / "fresh"
    options = ["--sysroot", str(path)]
    layer("init", *options, "--stateroot", "tiny")
    keys = ["--gpg-import", str(home / "key.gpg")]
    layer("remote", "add", *options, "signed", own_world.url, *keys)
    machine = Machine(path, own_world)
    error, _ = fails(machine, "rebase", "-y", f"signed:{REF}")
    assert error.startswith(f"error: cannot pull {REF} from remote signed ({own_world.url}): ")
    served = f"--repo={own_world.path}/served"
    ostree("gpg-sign", served, f"--gpg-homedir={home}", REF, key)
    do(machine, "rebase", "-y", f"signed:{REF}")
    assert machine.pending().checksum == own_world.base.checksum
    machine.install("apple")
    for entry in json.loads(do(machine, "status", "--json").stdout)["deployments"]:
        assert entry["gpg-enabled"] is True
        (signature,) = entry["signatures"]
        assert (signature[0], signature[5][-16:], signature[11]) == (True, key, "test@localhost")
        assert len(signature) == 15
    # As where the signature came to an archive that was pulled before it was signed.
    for meta in path.glob("ostree/repo/objects/*/*.commitmeta"):
        meta.unlink()
    entries = json.loads(do(machine, "status", "--json").stdout)["deployments"]
    assert [(e["gpg-enabled"], e["signatures"]) for e in entries] == [(True, []), (True, [])]
    remove([path])


@pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg here")
def test_a_file_without_keys_is_one_error(machine_kept: Machine, tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_text("no key\n")
    words = ["signed", "http://x/", "--gpg-import", str(tmp_path / "key.gpg")]
    with unchanged(machine_kept.path):
        assert "key.gpg" in remote(machine_kept, "add", *words, status=1)
