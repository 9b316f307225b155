"""What cannot be solved: the explanation to the letter, and each suggested command when run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.rpmspec import RpmSpec
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine, World, layer, remove, write_repo_file

TRIED = "hint: each of these was tried and can be done:"
LIBRARIES = (
    tiny_rpm("zlib", "/usr/lib/zlib", version="1"),
    tiny_rpm("zlib", "/usr/lib/zlib", version="2"),
    tiny_rpm("viewer", "/usr/bin/viewer", requires=["viewer-libs"]),
    tiny_rpm("viewer-libs", "/usr/lib/viewer", requires=["zlib < 2"]),
    tiny_rpm("editor", "/usr/bin/editor", requires=["zlib >= 2"], provides=["text-editor"]),
    tiny_rpm("tool", "/usr/bin/tool", version="1"),
    tiny_rpm("tool", "/usr/bin/tool", version="2", requires=["tiny-libc >= 9"]),
    tiny_rpm("driver", "/usr/bin/driver", requires=["firmware", "more-firmware"]),
    tiny_rpm("rude", "/usr/bin/rude", conflicts=["tiny-libc"]),
)
FIRMWARE = (tiny_rpm("firmware", "/usr/lib/fw"), tiny_rpm("more-firmware", "/usr/lib/fw2"))


@pytest.fixture
def machine(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine with `viewer` layered, and a repository that is disabled."""
    own_world.publish(*LIBRARIES)
    repository(own_world, tmp_path / "extra", *FIRMWARE)
    machine = own_world.machine(tmp_path / "machine")
    machine.install("viewer")
    yield machine
    remove([machine.path])


def repository(world: World, folder: Path, *specs: RpmSpec) -> None:
    """Another repository of the world's, which is disabled."""
    tiny_repository(folder, *specs)
    file = write_repo_file(world.repo_dir, folder.name, folder.as_uri())
    file.write_text(file.read_text().replace("enabled=1", "enabled=0"))


def refused(machine: Machine, *words: str) -> tuple[list[str], list[str]]:
    """The explanation of `layer install`, and what it suggests, with "layer" for its beginning."""
    lines = fails(machine, "install", "-y", *words)
    if TRIED not in lines:  # then the last line is another hint
        return lines, []
    at = lines.index(TRIED)
    target = f"--sysroot {machine.path} --repo-dir {machine.world.repo_dir} "
    assert all(target in line for line in lines[at + 1 :])
    return lines[:at], [line.replace(target, "").strip() for line in lines[at + 1 :]]


def run_each(machine: Machine, *words: str) -> list[list[str]]:
    """Runs each suggested command as a person would; what is layered after each, in turn."""
    lines = fails(machine, "install", "-y", *words)
    layered = []
    before = machine.layered()
    for line in lines[lines.index(TRIED) + 1 :]:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "layer"
        layer(*arguments, "-y")
        layered.append(machine.layered())
        do(machine, "rollback", "-y")
        assert machine.layered() == before
    return layered


def test_two_packages_that_need_different_versions_of_a_third(machine: Machine) -> None:
    explained, suggested = refused(machine, "text-editor", "tool")
    assert explained == [
        "error: text-editor cannot be layered beside viewer:",
        "  text-editor is asked for, which only editor-1-1.noarch has",
        "  editor-1-1.noarch needs zlib >= 2, which only zlib-2-1.noarch has",
        "  viewer-1-1.noarch needs viewer-libs, which only viewer-libs-1-1.noarch has",
        "  viewer-libs-1-1.noarch needs zlib < 2, which only zlib-1-1.noarch has",
        "  zlib-1-1.noarch and zlib-2-1.noarch exclude each other",
    ]
    assert suggested == [
        "layer install text-editor tool --uninstall viewer  # viewer goes",
        "layer install tool  # without text-editor",
    ]
    assert run_each(machine, "text-editor", "tool") == [
        ["editor", "tool", "zlib"],
        ["tool", "viewer", "viewer-libs", "zlib"],
    ]


def test_a_version_that_the_base_is_too_old_for(machine: Machine) -> None:
    explained, suggested = refused(machine, "tool-2")
    assert explained == [
        "error: tool-2-1.noarch needs tiny-libc >= 9, which no enabled repository provides; "
        "the base has tiny-libc-2.36-1.x86_64"
    ]
    assert suggested == ["layer install tool-1-1  # tool-1-1.noarch in its place"]
    assert run_each(machine, "tool-2") == [["tool", "viewer", "viewer-libs", "zlib"]]
    explained, suggested = refused(machine, "--best", "tool")
    assert explained[0].startswith("error: tool-2-1.noarch needs tiny-libc >= 9")
    assert suggested == ["layer install tool  # an older version will do"]
    assert run_each(machine, "--best", "tool") == [["tool", "viewer", "viewer-libs", "zlib"]]


def test_what_only_a_disabled_repository_has(machine: Machine) -> None:
    explained, suggested = refused(machine, "driver")
    assert explained == [
        "error: driver cannot be layered:",
        "  driver-1-1.noarch needs firmware, which no enabled repository provides",
        "  driver-1-1.noarch needs more-firmware, which no enabled repository provides",
    ]
    assert suggested == ["layer install --enablerepo extra driver  # with the repository extra"]
    with_driver = sorted(["driver", "firmware", "more-firmware", *machine.layered()])
    assert run_each(machine, "driver") == [with_driver]
    # Named itself, it is not found, and not unsolvable.
    explained, suggested = refused(machine, "firmware")
    assert explained == ["error: no enabled repository has firmware"]
    assert suggested == ["layer install --enablerepo extra firmware  # with the repository extra"]
    assert run_each(machine, "firmware") == [sorted(["firmware", *machine.layered()])]


def test_what_is_excluded(machine: Machine) -> None:
    _explained, suggested = refused(machine, "-x", "zlib", "-x", "tool", "tool")
    assert suggested == ["layer install --exclude zlib tool  # tool is not excluded"]
    assert run_each(machine, "-x", "zlib", "-x", "tool", "tool") == [
        ["tool", "viewer", "viewer-libs", "zlib"]
    ]


def test_nothing_is_suggested_where_nothing_helps(machine: Machine) -> None:
    explained, suggested = refused(machine, "rude")
    assert (explained, suggested) == (
        [
            "error: rude-1-1.noarch would conflict with tiny-libc-2.36-1.x86_64, "
            "which the base has and keeps",
            "hint: packages of the base stay as they are: "
            "ask for another version, or wait for a newer base",
        ],
        [],
    )


def test_a_program_is_told_all_of_it(machine: Machine) -> None:
    words = ("install", "-y", "--repo-dir", str(machine.world.repo_dir), "driver")
    done = layer("--json-progress", words[0], "--sysroot", str(machine.path), *words[1:], status=1)
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    target = ["--sysroot", str(machine.path), "--repo-dir", str(machine.world.repo_dir)]
    assert error["suggestions"] == [
        {
            "command": ["layer", "install", *target, "--enablerepo", "extra", "driver"],
            "effect": "with the repository extra",
        }
    ]
    assert error["facts"] == [
        "driver cannot be layered:",
        "driver-1-1.noarch needs firmware, which no enabled repository provides",
        "driver-1-1.noarch needs more-firmware, which no enabled repository provides",
    ]


def test_a_long_explanation_is_cut_for_people(machine: Machine) -> None:
    many = [f"part-{number}" for number in range(12)]
    machine.world.publish(tiny_rpm("machinery", requires=many))
    explained, _ = refused(machine, "machinery")
    assert explained[:2] == [
        "error: machinery cannot be layered:",
        "  machinery-1-1.noarch needs part-0, which no enabled repository provides",
    ]
    assert len(explained) == 11  # with the hint
    assert explained[9] == "  and 4 lines more: --json-progress has all"


def test_another_base_that_is_kept(machine: Machine) -> None:
    before = machine.host().base_commit(machine.pending()).checksum
    machine.world.publish(
        tiny_rpm("tiny-libc", "/usr/lib/libtiny.so.1", version="9", arch="x86_64")
    )
    machine.world.compose()
    do(machine, "upgrade", "-y")
    after = machine.host().base_commit(machine.pending()).checksum
    do(machine, "deploy", "-y", before)
    explained, suggested = refused(machine, "tool-2")
    assert explained == [
        "error: tool-2 cannot be layered:",
        "  tool-2-1.noarch needs tiny-libc >= 9, which only tiny-libc-9-1.x86_64 has",
        "  tiny-libc-9-1.x86_64 would replace tiny-libc-2.36-1.x86_64, "
        "which the base has and keeps",
    ]
    assert [line.split("  #")[0] for line in suggested] == [
        "layer install tool-1-1",
        f"layer deploy {after[:12]} --install tool-2",
    ]
    assert run_each(machine, "tool-2") == [["tool", "viewer", "viewer-libs", "zlib"]] * 2
