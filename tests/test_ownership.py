"""Whose each path of a commit is, and by which paths packages and people know it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from layer.owners import Owned, OwnerKind
from layer.ownership import owner_of
from layer.paths import directories_above, header_paths, tree_paths, user_path
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import extra_repository
from tests.ownership import check_owners
from tests.test_cli_db import db, from_json
from tests.world import Machine, World, remove

LAYERS = ("apple", "daemon", "suid", "places", "twin-a", "twin-b")
PLACES = tiny_rpm(
    "places",
    FileSpec("/opt/places/bin/x", b"opt"),
    FileSpec("/bin/places", b"bin"),
    FileSpec("/usr/etc/odd", b"usr etc"),
    FileSpec("/boot/places.img", b"boot"),
    FileSpec("/var/lib/places/it's here", b"var"),
    FileSpec("/etc/ld.so.cache", ghost=True),
    FileSpec("/usr/bin/suid", ghost=True),  # the name alone: it is the package `suid` that has it
)
TWINS = [tiny_rpm(f"twin-{n}", FileSpec("/usr/share/twin", b"same")) for n in "ab"]


@pytest.fixture(scope="module")
def layered(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with packages that use every corner of the path table."""
    folder = tmp_path_factory.mktemp("layered")
    machine = world.machine(folder / "machine")
    options = extra_repository(folder / "extra", PLACES, *TWINS)
    machine.layer("install", "-y", "--repo-dir", str(world.repo_dir), *options, *LAYERS)
    yield machine
    remove([machine.path])


def test_every_path_of_a_derived_commit_has_one_owner(layered: Machine) -> None:
    store = layered.host().store
    for checksum in (layered.pending().checksum, layered.world.base.checksum):
        found = check_owners(store, store.read_commit(checksum))
        assert set(found) == set(OwnerKind)


@pytest.mark.parametrize(
    ("path", "kind", "name", "header_path"),
    [
        ("usr/bin/apple", "package", "apple-1-1.x86_64", "/usr/bin/apple"),
        ("usr/bin/places", "package", "places-1-1.noarch", "/bin/places"),
        ("usr/lib/opt/places/bin/x", "package", "places-1-1.noarch", "/opt/places/bin/x"),
        ("usr/etc/odd", "package", "places-1-1.noarch", "/usr/etc/odd"),
        ("usr/etc/daemon.conf", "package", "daemon-1-1.x86_64", "/etc/daemon.conf"),
        ("usr/lib/ostree-boot/places.img", "package", "places-1-1.noarch", "/boot/places.img"),
        (
            "usr/share/factory/var/lib/places/it's here",
            "package",
            "places-1-1.noarch",
            "/var/lib/places/it's here",
        ),
        ("usr/bin/suid", "package", "suid-1-1.x86_64", "/usr/bin/suid"),
        ("usr/share/twin", "package", "twin-a-1-1.noarch", "/usr/share/twin"),
        ("usr/etc/tiny.conf", "package", "tiny-release-1-1.x86_64", "/etc/tiny.conf"),
        ("usr/etc/passwd", "trigger", "sysusers", "/etc/passwd"),
        ("usr/etc/ld.so.cache", "trigger", "ldconfig", "/etc/ld.so.cache"),
        ("usr/lib/sysusers.d/00-layer-ids.conf", "layer", "layer", None),
        ("usr/lib/tmpfiles.d/zz-layer-daemon.conf", "layer", "layer", None),
        ("usr/lib/sysimage/packages/apple-1-1.x86_64.rpm", "layer", "layer", None),
        ("usr/share/rpm/rpmdb.sqlite", "layer", "layer", None),
        ("bin", "layer", "layer", None),
    ],
)
def test_the_owner_is_whoever_brought_or_wrote_it(
    layered: Machine, path: str, kind: str, name: str, header_path: str | None
) -> None:
    store = layered.host().store
    commit = store.read_commit(layered.pending().checksum)
    expected = Owned(OwnerKind(kind), name, header_path or f"/{path}")
    assert owner_of(store, commit, path) == expected


def test_a_path_that_nobody_has_has_no_owner(layered: Machine) -> None:
    store = layered.host().store
    commit = store.read_commit(layered.pending().checksum)
    assert owner_of(store, commit, "usr/bin/nosuch") is None


def test_the_program_says_it_by_any_name_of_the_path(layered: Machine) -> None:
    words = ("/etc/passwd", "/usr/etc/daemon.conf", "/bin/places", "usr/bin/suid", "/usr/bin")
    assert db(layered, "owner", *words, "/opt/places").stdout.splitlines() == [
        "/etc/passwd: trigger sysusers",
        "/etc/daemon.conf: daemon-1-1.x86_64",
        "/usr/bin/places: places-1-1.noarch",
        "/usr/bin/suid: suid-1-1.x86_64",
        "/usr/bin: no package",
        "/opt/places: no package",
    ]
    assert from_json(layered, "owner", "--commit", "1", "/etc/tiny.conf") == [
        {
            "path": "/etc/tiny.conf",
            "directory": False,
            "owners": [
                {
                    "kind": "package",
                    "name": "tiny-release-1-1.x86_64",
                    "header-path": "/etc/tiny.conf",
                }
            ],
        }
    ]
    assert json.loads(db(layered, "owner", "--json", "/usr").stdout)[0]["directory"] is True


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("usr/bin/x", ("/usr/bin/x", "/bin/x"), "/usr/bin/x"),
        ("usr/bin", ("/usr/bin", "/bin"), "/usr/bin"),
        ("usr/binx", ("/usr/binx",), "/usr/binx"),
        ("usr/lib64/x", ("/usr/lib64/x", "/lib64/x"), "/usr/lib64/x"),
        ("usr/etc/x", ("/usr/etc/x", "/etc/x"), "/etc/x"),
        ("usr/lib/opt/a", ("/usr/lib/opt/a", "/lib/opt/a", "/opt/a"), "/opt/a"),
        ("usr/share/factory/var/x", ("/usr/share/factory/var/x", "/var/x"), "/var/x"),
        (
            "usr/share/factory/var/run/x",
            ("/usr/share/factory/var/run/x",),
            "/var/run/x",
        ),
        (
            "usr/lib/modules/6.1/vmlinuz",
            ("/usr/lib/modules/6.1/vmlinuz", "/lib/modules/6.1/vmlinuz", "/boot/vmlinuz-6.1"),
            "/usr/lib/modules/6.1/vmlinuz",
        ),
        ("bin", ("/bin",), "/bin"),
        ("usr/local", ("/usr/local",), "/usr/local"),
        ("usr/local/bin/x", (), "/usr/local/bin/x"),
        ("usr/lib/sysimage/packages/x.rpm", (), "/usr/lib/sysimage/packages/x.rpm"),
        ("var/x", (), "/var/x"),
    ],
)
def test_paths_are_inverted(path: str, headers: tuple[str, ...], name: str) -> None:
    assert (header_paths(path), user_path(path)) == (headers, name)
    assert all(path in tree_paths(header) for header in headers)


def test_all_directories_above_paths_are_found_once() -> None:
    assert directories_above(["usr/lib/a/b", "usr/lib/a/c", "usr/lib/x", "usr", "etc/y"]) == {
        *("usr", "usr/lib", "usr/lib/a", "etc"),
    }
