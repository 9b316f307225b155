"""`status --json` is what docs/status.schema.json says, in every state that a machine may be in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from layer import cached_update, status
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.booted import Booted
from tests.cli import do, first
from tests.test_architecture import ROOT
from tests.test_cli_upgrade import gpg_home as gpg_home
from tests.test_initramfs import booting as booting
from tests.test_initramfs import dracut as dracut
from tests.test_overrides import BASE, editor
from tests.world import (
    REF,
    STATEROOT,
    Machine,
    World,
    base_packages,
    layer,
    make_world,
    ostree,
    remove,
)

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/status.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# What the tools of rpm-ostree's users read, on every deployment and where it applies.
ALWAYS = [
    "id",
    "osname",
    "checksum",
    "serial",
    "booted",
    "staged",
    "pinned",
    "unlocked",
    "requested-packages",
    "requested-local-packages",
    "requested-base-removals",
    "requested-base-local-replacements",
    "packages",
    "base-removals",
    "base-local-replacements",
    "base-commit-meta",
    "regenerate-initramfs",
]
APPLYING = [
    "version",
    "timestamp",
    "origin",
    "base-checksum",
    "base-version",
    "base-timestamp",
    "layered-commit-meta",
    "pending-base-checksum",
    "signatures",
    "gpg-enabled",
    "live-replaced",
    "live-inprogress",
]


def checked(printed: str) -> dict[str, Any]:
    """What was printed, which the schema must allow."""
    found: dict[str, Any] = json.loads(printed)
    assert [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(found)] == []
    return found


def shown(machine: Machine, **rest: Any) -> dict[str, Any]:
    """What `status --json` says of a machine."""
    return checked(do(machine, "status", "--json", **rest).stdout)


# --- the schema itself ---


def test_the_schema_is_one_and_every_key_of_it_has_a_description() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [where for where, item in keys(SCHEMA, "$") if not described(item)] == []


def keys(item: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every object in the schema."""
    if isinstance(item, dict):
        for name, value in item.get("properties", {}).items():
            yield f"{where}.{name}", value
        for name, value in item.items():
            yield from keys(value, f"{where}.{name}")


def described(item: dict[str, Any]) -> bool:
    """Whether a key says what it means, here or where it refers to."""
    target = SCHEMA["$defs"].get(item.get("$ref", "").rpartition("/")[2], {})
    return bool(item.get("description") or target.get("description"))


def test_every_key_of_rpm_ostree_is_there() -> None:
    deployment = SCHEMA["$defs"]["deployment"]
    assert set(ALWAYS) - set(deployment["required"]) == set()
    assert set(APPLYING) - set(deployment["properties"]) == set()
    assert {"deployments", "transaction", "cached-update"} <= set(SCHEMA["required"])
    assert len(VALIDATOR.schema["$defs"]["signature"]["prefixItems"]) == len(
        status.Signature.__slots__
    )
    diff = SCHEMA["$defs"]["cached-update"]["properties"]["rpm-diff"]
    assert list(diff["properties"]) == list(cached_update.UpdateDiff.__slots__)


def test_the_schema_notices_what_is_wrong(machine_kept: Machine) -> None:
    good = shown(machine_kept)
    entry = good["deployments"][0]
    for wrong in (
        {**entry, "unlocked": "yes"},
        {**entry, "new-key": 1},
        {key: value for key, value in entry.items() if key != "base-removals"},
        {key: value for key, value in entry.items() if key != "base-timestamp"},
        {**entry, "base-removals": ["web-1-1.x86_64"]},
    ):
        assert not VALIDATOR.is_valid({**good, "deployments": [wrong]})


# --- machines ---


def test_a_sysroot_without_a_deployment(world: World, tmp_path: Path) -> None:
    initialize(tmp_path / "empty", STATEROOT)
    assert shown(Machine(tmp_path / "empty", world))["deployments"] == []


def test_pristine_layered_pinned_and_with_lines_that_are_not_run(machine: Machine) -> None:
    assert "base-checksum" not in shown(machine)["deployments"][0]
    do(machine, "install", "-y", "--accept-unscripted", "daemon", "apple", "daemon")
    ostree("admin", f"--sysroot={machine.path}", "pin", "0")
    layered, pristine = shown(machine)["deployments"]
    assert (layered["pinned"], pristine["pinned"]) == (True, False)
    assert set(layered) - set(pristine) == {
        "base-checksum",
        "base-version",
        "base-timestamp",
        "layered-commit-meta",
    }
    assert shown(machine)["deployments"][0]["unlocked"] == "none"
    assert checked(do(machine, "status", "--json", "-b").stdout)["deployments"] == []


def test_inactive_left_out_and_an_update_that_was_found(own_world: World, tmp_path: Path) -> None:
    machine = own_world.machine(tmp_path / "machine")
    libc = tiny_rpm("with-libc", requires=("tiny-libc = 2.36",), arch="x86_64")
    own_world.publish(libc, tiny_rpm("going", arch="x86_64"))
    do(machine, "install", "-y", "apple", "suid", "with-libc", "old-and-new")
    tree = own_world.path / "tree.toml"
    tree.write_text(tree.read_text().replace('"tiny-libc"', '"tiny-libc", "suid"'))
    (next(own_world.packages.rglob("tiny-libc-*.rpm"))).unlink()
    own_world.publish(
        *base_packages("2")[:1],
        tiny_rpm("tiny-libc", "/usr/lib/libtiny.so.1", version="2", arch="x86_64"),
        tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="2"),
        tiny_rpm("apple", "/usr/bin/apple", version="2", requires=("web",), arch="x86_64"),
    )
    newer = own_world.compose().checksum
    do(machine, "upgrade", "--check", "--skip-broken")
    update = shown(machine)["cached-update"]
    assert (update["checksum"], update["gpg-enabled"]) == (newer, False)
    assert update["rpm-diff"] == {
        "upgraded": [
            [0, "tiny-release", ["1-1", "x86_64"], ["2-1", "x86_64"]],
            [1, "apple", ["1-1", "x86_64"], ["2-1", "x86_64"]],
            [1, "old-and-new", ["1-1", "noarch"], ["2-1", "noarch"]],
        ],
        "downgraded": [[0, "tiny-libc", ["2.36-1", "x86_64"], ["2-1", "x86_64"]]],
        "removed": [
            [1, "libseed", "1-1", "x86_64"],
            [1, "suid", "1-1", "x86_64"],
            [1, "with-libc", "1-1", "x86_64"],
        ],
        "added": [[0, "suid", "1-1", "x86_64"], [1, "web", "1-1", "x86_64"]],
    }
    do(machine, "upgrade", "-y", "--download-only", "--skip-broken")
    assert shown(machine)["deployments"][0]["pending-base-checksum"] == newer
    do(machine, "upgrade", "-y", "--skip-broken")
    found = shown(machine)
    entry, old = found["deployments"]
    assert found["cached-update"] is None
    assert [r["request"] for r in entry["inactive-requests"]] == ["suid"]
    assert [r["request"] for r in entry["left-out-requests"]] == ["with-libc"]
    assert "pending-base-checksum" not in entry
    assert (old["pending-base-checksum"], old["pending-base-version"]) == (newer, "2")
    remove([machine.path])


def test_overrides_and_files_active_and_inactive(tmp_path: Path) -> None:
    local = tiny_rpm("loc", "/usr/bin/loc", arch="x86_64")
    pager = tiny_rpm("pager", "/usr/bin/pager", version="2", arch="x86_64")
    with make_world(tmp_path / "world", *BASE) as world:
        tiny_repository(world.path / "files", local, editor("2"))
        world.publish(pager)
        machine = world.machine(tmp_path / "machine")
        files = {file.name[:3]: str(file) for file in (world.path / "files").rglob("*.rpm")}
        options = ["--sysroot", str(machine.path), "--repo-dir", str(world.repo_dir)]
        program(machine, "install", *options, "-y", files["loc"])
        program(machine, "override", "remove", *options, "-y", "theme")
        program(machine, "override", "replace", *options, "-y", files["edi"])
        program(machine, "override", "replace", *options, "-y", "--from", "repo=tiny", "pager")
        entry = shown(machine)["deployments"][0]
        assert [name for name, *_ in entry["base-removals"]] == ["theme-1-1.x86_64"]
        assert [[a[3], b[3]] for a, b in entry["base-local-replacements"]] == [["2", "1"]]
        assert list(entry["base-remote-replacements"]) == ["repo=tiny"]
        assert entry["requested-local-packages"] == ["loc-1-1.x86_64"]
        # A base that has none of what is overridden, and the file's package itself.
        tree = world.path / "tree.toml"
        names = ("editor", "plugin", "theme", "pager")
        text = tree.read_text()
        for name in names:
            text = text.replace(f', "{name}"', "")
        tree.write_text(text.replace('"tiny-libc"', '"tiny-libc", "loc"'))
        world.publish(local)
        world.compose()
        do(machine, "upgrade", "-y")
        entry = shown(machine)["deployments"][0]
        assert [entry[key] for key in ("base-removals", "base-local-replacements")] == [[], []]
        assert entry["requested-base-removals"] == ["theme"]
        remove([machine.path])


def program(machine: Machine, *words: str) -> None:
    """Runs a verb that has verbs of its own."""
    layer(*words)


def test_initramfs(booting: Machine) -> None:
    do(booting, "initramfs", "-y", "--enable", "--arg=-I", "--arg=/etc/tiny.conf")
    assert shown(booting)["deployments"][0]["initramfs-args"] == ["-I", "/etc/tiny.conf"]


def test_initramfs_etc(machine: Machine) -> None:
    do(machine, "initramfs-etc", "-y", "--track=/etc/tiny.conf")
    assert shown(machine)["deployments"][0]["initramfs-etc"] == ["/etc/tiny.conf"]


def test_an_origin_that_cannot_be_read(machine: Machine) -> None:
    path = machine.install("web").path
    path.with_name(f"{path.name}.origin").write_text(
        "[origin]\ncontainer-image-reference=ostree-image:x\n"
    )
    assert "origin" not in shown(machine)["deployments"][0]


def test_signed_by_a_key_that_is_known(
    own_world: World, tmp_path: Path, gpg_home: tuple[Path, str]
) -> None:
    home, key = gpg_home
    machine = own_world.machine(tmp_path / "machine")
    add_remote(machine.host().store, "signed", own_world.url, verify=True, keys=home / "key.gpg")
    sign(own_world, home, key)
    do(machine, "rebase", "-y", f"signed:{REF}")
    entry = first(machine)
    assert (entry["gpg-enabled"], entry["signatures"][0][0]) == (True, True)
    own_world.publish(*base_packages("2"))
    own_world.compose()
    sign(own_world, home, key)
    do(machine, "upgrade", "--check")
    update = shown(machine)["cached-update"]
    assert (update["gpg-enabled"], update["signatures"][0][0]) == (True, True)
    remove([machine.path])


def sign(world: World, home: Path, key: str) -> None:
    """Signs the newest commit on the server."""
    ostree("gpg-sign", f"--repo={world.path}/served", f"--gpg-homedir={home}", REF, key)


# --- a booted machine ---


def in_booted(booted: Booted, **rest: Any) -> dict[str, Any]:
    """What `status --json` says in it."""
    return checked(booted.layer("status", "--json", **rest).stdout)


def locked(booted: Booted) -> None:
    """Staged, and not finalized at shutdown."""
    words = ("rebase", "-y", "--lock-finalization", "--install", "web", f"tiny:{REF}")
    booted.layer(*words, repositories=True)
    found = in_booted(booted)
    assert (found["finalization-locked"], found["deployments"][0]["staged"]) == (True, True)


def lost(booted: Booted) -> None:
    """Staged, and gone with the power."""
    booted.layer("install", "-y", "web", repositories=True)
    assert in_booted(booted)["deployments"][1]["booted"]
    booted.boot()
    assert in_booted(booted, status=1)["finalization-failed"]["reason"] == ""


def unlocked(booted: Booted) -> None:
    """With a /usr that can be written; libostree knows it by the file that it leaves in /run."""
    name = f"{booted.deployment.checksum}.{booted.deployment.serial}"
    folder = f"/run/ostree/deployment-state/{name}"
    script = f"mkdir -p {folder} && touch {folder}/unlocked-development"
    booted.run("sh", "-c", script)
    assert in_booted(booted)["deployments"][0]["unlocked"] == "development"


@pytest.mark.parametrize("state", [locked, lost, unlocked])
def test_a_booted_machine(
    machine: Machine, tmp_path: Path, state: Callable[[Booted], None]
) -> None:
    state(Booted(machine, tmp_path / "booted"))


def test_the_page_and_the_program_refer_to_the_schema() -> None:
    for text in ("man/layer-status.1", "layer/status.py", "docs/formats.md"):
        assert re.search(r"status\.schema\.json", (ROOT / text).read_text())
