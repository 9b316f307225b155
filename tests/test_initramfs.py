"""The initramfs made anew from the tree, by the real dracut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import verbs
from layer.lock import read_lock, read_record
from layer.origin import format_origin, parse_origin
from tests.cli import REBOOT, do, fails, first, origin_of
from tests.kernels import IMAGE, dracut_world, image, module_package, names
from tests.snapshot import unchanged
from tests.world import REF, Machine, World, layer, remove


@pytest.fixture(scope="module")
def dracut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has dracut; nothing of it changes."""
    with dracut_world(tmp_path_factory.mktemp("dracut"), module_package("wifi")) as world:
        yield world


@pytest.fixture
def booting(dracut: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine on its base."""
    yield dracut.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def runs(machine: Machine) -> list[tuple[str, tuple[str, ...], str]]:
    """What ran for the tree that boots next."""
    record = read_record(machine.host().store.read_commit(machine.pending().checksum))
    return [(run.name, run.values, run.status) for run in record.runs]


def test_it_is_made_anew_and_left_alone_again(booting: Machine, dracut: World) -> None:
    before = image(booting)
    assert "usr/bin/cat" in names(before)
    assert "etc/tiny.conf" not in names(before)
    shown = do(booting, "initramfs").stdout
    assert shown == "Initramfs regeneration: disabled\n"

    arguments = ["--arg=-I", "--arg=/etc/tiny.conf"]
    with unchanged(booting.path):
        plan = do(booting, "initramfs", "-n", "--enable", *arguments).stdout
    assert "Initramfs: made anew by dracut -I /etc/tiny.conf.\n" in plan
    done = do(booting, "initramfs", "-y", "--enable", *arguments)
    assert done.stdout.splitlines()[-2:] == [REBOOT, "Initramfs regeneration is now: enabled"]
    assert "etc/tiny.conf" in names(image(booting))
    assert (booting.pending().path / IMAGE).read_bytes() == image(booting)
    assert runs(booting) == [("initramfs", ("6.0",), "done")]
    # No package's path asks for it, and yet it is foretold for one more.
    where = ("--sysroot", str(booting.path), "--repo-dir", str(dracut.repo_dir))
    foretold = layer("trigger", "run", *where, "-n", "--with", "pear").stdout.splitlines()
    assert "initramfs                kept or not, by content" in foretold
    assert do(booting, "initramfs").stdout == (
        "Initramfs regeneration: enabled\nInitramfs args: -I /etc/tiny.conf\n"
    )
    assert origin_of(booting) == (
        "[origin]\n"
        f"baserefspec=tiny:{REF}\n\n"
        "[rpmostree]\n"
        "regenerate-initramfs=true\n"
        "initramfs-args=-I;/etc/tiny.conf;\n"
    )
    entry = first(booting)
    assert (entry["regenerate-initramfs"], entry["initramfs-args"]) == (
        True,
        ["-I", "/etc/tiny.conf"],
    )
    assert "Initramfs: -I /etc/tiny.conf\n" in do(booting, "status").stdout

    again = do(booting, "initramfs", "-y", "--enable", *arguments, "--unchanged-exit-77", status=77)
    assert again.stdout.startswith("No change.\n")
    done = do(booting, "initramfs", "-y", "--disable")
    assert done.stdout.splitlines()[-1] == "Initramfs regeneration is now: disabled"
    assert booting.pending().checksum == dracut.base.checksum
    assert image(booting) == before
    assert origin_of(booting) == f"[origin]\nrefspec=tiny:{REF}\n"


def test_it_is_a_function_of_base_packages_and_arguments(
    booting: Machine, dracut: World, tmp_path: Path
) -> None:
    do(booting, "initramfs", "-y", "--enable", "--arg=-I", "--arg=/usr/bin/apple")
    plain = booting.pending().checksum
    booting.install("apple")
    assert "usr/bin/apple" in names(image(booting))
    other = dracut.machine(tmp_path / "other")
    other.install("apple")
    do(other, "initramfs", "-y", "--enable", "--arg=-I", "--arg=/usr/bin/apple")
    assert other.pending().checksum == booting.pending().checksum
    lock = read_lock(other.host().store.read_commit(other.pending().checksum))
    assert lock.options.initramfs_arguments == ("-I", "/usr/bin/apple")
    do(other, "initramfs", "-y", "--enable")
    assert other.pending().checksum != booting.pending().checksum
    booting.uninstall("apple")
    assert booting.pending().checksum == plain
    remove([other.path])


def test_what_was_made_once_is_not_made_again(booting: Machine) -> None:
    do(booting, "initramfs", "-y", "--enable")
    said = do(booting, "initramfs", "-y", "--enable", "--arg=--nofscks").stderr
    assert "Running trigger initramfs 6.0..." in said
    said = do(booting, "initramfs", "-y", "--enable").stderr
    assert "Trigger initramfs 6.0: as before..." in said


def test_an_upgrade_carries_it_along_and_reset_ends_it(tmp_path: Path) -> None:
    with dracut_world(tmp_path) as world:
        machine = world.machine(tmp_path / "machine")
        do(machine, "initramfs", "-y", "--enable", "--arg=--nofscks")
        newer = world.compose()
        do(machine, "upgrade", "-y")
        assert machine.host().base_commit(machine.pending()).checksum == newer.checksum
        assert runs(machine) == [("initramfs", ("6.0",), "done")]
        assert "initramfs-args=--nofscks;\n" in origin_of(machine)
        do(machine, "reset", "-y")
        assert machine.pending().checksum == newer.checksum
        assert "initramfs" not in origin_of(machine)
        remove([machine.path])


def test_modules_of_several_packages_cost_one_depmod_and_one_initramfs(tmp_path: Path) -> None:
    modules = [module_package(name) for name in ("wifi", "disk")]
    with dracut_world(tmp_path, *modules) as world:
        machine = world.machine(tmp_path / "machine")
        machine.layer("install", "-y", "--repo-dir", str(world.repo_dir), "wifi", "disk")
        assert [run for run in runs(machine) if run[0] in {"depmod", "initramfs"}] == [
            ("depmod", ("6.0",), "done"),
            ("initramfs", ("6.0",), "done"),
        ]
        tree = machine.pending().path
        listed = (tree / "usr/lib/modules/6.0/modules.dep").read_text()
        assert sorted(listed.split()) == ["extra/disk.ko:", "extra/wifi.ko:"]
        inside = [name for name in names(image(machine)) if name.endswith(".ko")]
        assert inside == [f"usr/lib/modules/6.0/extra/{name}.ko" for name in ("disk", "wifi")]
        remove([machine.path])


# --- what cannot be ---


def test_without_dracut_there_is_one_error(machine: Machine) -> None:
    assert fails(machine, "initramfs", "-y", "--enable") == [
        "error: the initramfs is to be made anew, and the tree has no dracut",
        "hint: layer a package that has dracut first, or leave the initramfs to the base: "
        "layer initramfs --disable",
    ]


def test_a_dracut_that_fails_is_one_error(booting: Machine) -> None:
    before = booting.pending(), origin_of(booting)
    done = do(booting, "initramfs", "-y", "--enable", "--arg=--frobnicate", status=1)
    assert "error: trigger initramfs failed with status 1\n" in done.stderr
    done = do(booting, "initramfs", "-y", "--enable", "--arg=--list-modules", status=1)
    assert "dracut made no /usr/lib/modules/6.0/initramfs.img\n" in done.stderr
    assert (booting.pending(), origin_of(booting)) == before


@pytest.mark.parametrize("argument", ["-H", "--hostonly", "--kver=6.1", "--tmpdir=/x", ""])
def test_an_argument_that_cannot_be_honoured_is_refused(
    machine_kept: Machine, argument: str
) -> None:
    lines = fails(machine_kept, "initramfs", "-n", "--enable", f"--arg={argument}")
    assert lines[0] == "error: the initramfs cannot be made with these arguments:"
    assert lines[1].strip().startswith(argument.partition("=")[0] or "''")


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--enable", "--disable"], "--enable and --disable do not go together"),
        (["--arg=x"], "--arg goes with --enable"),
        (["--disable", "--arg=x"], "--arg goes with --enable"),
    ],
)
def test_wrong_usage(machine_kept: Machine, words: list[str], fact: str) -> None:
    done = do(machine_kept, "initramfs", *words, status=2)
    assert done.stderr.splitlines()[-1] == f"Error: {fact}"


# --- the origin is rpm-ostree's ---


def test_an_origin_of_rpm_ostree_is_taken_over(booting: Machine) -> None:
    path = booting.pending().path
    origin = path.with_name(f"{path.name}.origin")
    origin.write_text(
        f"[origin]\nbaserefspec=tiny:{REF}\n\n[rpmostree]\nregenerate-initramfs=true\n"
        "initramfs-args=-I;/etc/tiny.conf;\n"
    )
    entry = json.loads(do(booting, "status", "--json").stdout)["deployments"][0]
    assert (entry["regenerate-initramfs"], entry["initramfs-args"]) == (
        True,
        ["-I", "/etc/tiny.conf"],
    )
    booting.apply(lambda host: verbs.install(host, ["apple"]))
    assert "etc/tiny.conf" in names(image(booting))
    assert "initramfs-args=-I;/etc/tiny.conf;\n" in origin_of(booting)


def test_arguments_are_written_as_glib_writes_them() -> None:
    text = "[rpmostree]\nregenerate-initramfs=true\ninitramfs-args=\\sa b;c\\;d;e\\nf;g\\\\h;\n"
    origin = parse_origin(f"[origin]\nbaserefspec=a:b\n{text}")
    assert origin.options.initramfs_arguments == (" a b", "c;d", "e\nf", "g\\h")
    assert text in format_origin(origin)
    assert parse_origin(format_origin(origin)) == origin
