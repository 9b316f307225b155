"""What cannot be solved: the explanation to the letter, and each suggested command when run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from layer import advice, advising
from layer.errors import Unsolvable
from layer.report import Reporter
from testdata.distro.rpmspec import RpmSpec
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import REF, Machine, World, layer, remove, served, write_repo_file

OTHER = "tiny/2/x86_64/base"
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


def refused(machine: Machine, *words: str, verb: str = "install") -> tuple[list[str], list[str]]:
    """The explanation of a verb, and what it suggests, with "layer" for its beginning."""
    lines = fails(machine, verb, "-y", *words)
    if TRIED not in lines:  # then the last line is another hint
        return lines, []
    at = lines.index(TRIED)
    target = f"--sysroot {machine.path} --repo-dir {machine.world.repo_dir} "
    assert all(target in line for line in lines[at + 1 :])
    return lines[:at], [line.replace(target, "").strip() for line in lines[at + 1 :]]


def run_each(machine: Machine, *words: str, verb: str = "install") -> list[list[str]]:
    """Runs each suggested command as a person would; what is layered after each, in turn."""
    lines = fails(machine, verb, "-y", *words)
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


def documented() -> list[tuple[str, list[str]]]:
    """The words of each command that the documentation shows, and what it prints."""
    text = (Path(__file__).parent.parent / "docs/repositories.md").read_text()
    blocks = re.findall(r"```console\n# layer install (.*)\n((?:.+\n)+)```", text)
    return [(words, printed.splitlines()) for words, printed in blocks]


@pytest.mark.parametrize(("words", "printed"), documented(), ids=[w for w, _ in documented()])
def test_what_is_documented_is_printed_and_each_command_works(
    machine: Machine, words: str, printed: list[str]
) -> None:
    explained, suggested = refused(machine, *words.split())
    assert [*explained, TRIED, *(f"  {line}" for line in suggested)] == printed
    came = run_each(machine, *words.split())
    assert len(came) == len(suggested) > 0
    print(f"\n# layer install {words}", *printed, sep="\n")  # make test-repositories shows it
    for line, names in zip(suggested, came, strict=True):
        print(f"# {line}\nlayered: {', '.join(names)}")


def test_three_are_documented() -> None:
    assert len(documented()) == 3


def test_a_file_is_left_out_by_the_word_that_named_it(machine: Machine, tmp_path: Path) -> None:
    file = write_rpm(tiny_rpm("wishful", requires=["nowhere"]), tmp_path)
    with served(tmp_path) as url:
        for word in (str(file), f"{url}{file.name}"):
            explained, suggested = refused(machine, word, "tool")
            assert explained == [
                "error: wishful-1-1.noarch needs nowhere, which no enabled repository provides"
            ]
            assert suggested == [f"layer install tool  # without {word}"]
            assert run_each(machine, word, "tool") == [["tool", "viewer", "viewer-libs", "zlib"]]


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
    assert len(explained) == 10
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


NEWER = tiny_rpm("tiny-libc", "/usr/lib/libtiny.so.1", version="9", arch="x86_64")
OF_OLD = tiny_rpm("of-old", "/usr/bin/of-old", requires=["tiny-libc < 9"])
OF_NEW = tiny_rpm("of-new", "/usr/bin/of-new", requires=["tiny-libc >= 9"])
WISH = tiny_rpm("wish", "/usr/bin/wish", requires=["zlib >= 2"])


@pytest.fixture
def outgrown(machine: Machine) -> Machine:
    """Its next base has a newer tiny-libc, which `of-old` cannot live with."""
    machine.world.publish(OF_OLD, OF_NEW, WISH)
    machine.install("of-old")
    for file in machine.world.packages.rglob("tiny-libc-2*.rpm"):
        file.unlink()
    machine.world.publish(NEWER)
    machine.world.compose()
    return machine


def test_a_layer_that_blocks_an_upgrade(outgrown: Machine) -> None:
    explained, suggested = refused(outgrown, verb="upgrade")
    assert explained == [
        "error: these layers do not fit the new base:",
        "  of-old:",
        "    of-old-1-1.noarch needs tiny-libc < 9, which no enabled repository provides; "
        "the base has tiny-libc-9-1.x86_64",
        "    -> layer uninstall of-old",
    ]
    assert suggested == [
        "layer upgrade --uninstall of-old  # of-old goes",
        "layer upgrade --skip-broken  # without of-old until it fits",
    ]
    assert run_each(outgrown, verb="upgrade") == [["viewer", "viewer-libs", "zlib"]] * 2


def test_a_layer_that_repositories_have_no_longer(machine: Machine) -> None:
    for file in machine.world.packages.rglob("viewer-1*.rpm"):
        file.unlink()
    machine.world.publish()
    explained, suggested = refused(machine, verb="upgrade")
    assert explained == [
        "error: these layers cannot be taken along:",
        "  viewer:",
        "    no enabled repository has viewer",
        "    -> layer uninstall viewer",
    ]
    assert [line.split("  # ")[1] for line in suggested] == [
        "viewer goes",
        "without viewer until it fits",
    ]


def test_a_wish_of_now_that_blocks_an_upgrade_beside_a_layer(outgrown: Machine) -> None:
    do(outgrown, "uninstall", "-y", "of-old")
    explained, suggested = refused(outgrown, "--install", "wish", verb="upgrade")
    assert explained[1] == "  viewer, wish:"
    assert "    -> layer uninstall viewer or do without wish now" in explained
    assert suggested == [
        "layer upgrade --install wish --uninstall viewer  # viewer goes",
        "layer upgrade --skip-broken --install wish  # without viewer until it fits",
    ]
    assert run_each(outgrown, "--install", "wish", verb="upgrade") == [["wish", "zlib"]] * 2


def test_a_layer_that_blocks_a_rebase(outgrown: Machine) -> None:
    outgrown.world.path.joinpath("tree.toml").write_text(
        outgrown.world.path.joinpath("tree.toml").read_text().replace(REF, OTHER)
    )
    outgrown.world.compose()
    words = ("--exclude", "tool", "--karg", "quiet", f"tiny:{OTHER}")
    explained, suggested = refused(outgrown, *words, verb="rebase")
    assert explained[1] == "  of-old:"
    command = f"layer rebase --exclude tool --karg quiet tiny:{OTHER} --uninstall of-old"
    assert suggested[0] == f"{command}  # of-old goes"
    assert "--skip-broken" in suggested[1] and len(suggested) == 2
    assert run_each(outgrown, *words, verb="rebase") == [["viewer", "viewer-libs", "zlib"]] * 2


def test_a_base_between_that_is_kept(machine: Machine) -> None:
    world = machine.world
    world.publish(tiny_rpm("of-old", "/usr/bin/of-old", requires=["tiny-libc < 10"]))
    machine.install("of-old")
    world.publish(NEWER)
    world.compose()
    do(machine, "upgrade", "-y")
    between = machine.host().base_commit(machine.pending()).checksum
    do(machine, "rollback", "-y")
    for file in world.packages.rglob("tiny-libc-*.rpm"):
        file.unlink()
    world.publish(tiny_rpm("tiny-libc", "/usr/lib/libtiny.so.1", version="10", arch="x86_64"))
    world.compose()
    explained, suggested = refused(machine, verb="upgrade")
    assert explained[1] == "  of-old:"
    assert [line.split("  #")[0] for line in suggested] == [
        "layer upgrade --uninstall of-old",
        "layer upgrade --skip-broken",
        f"layer deploy {between[:12]}",
    ]
    do(machine, "deploy", "-y", between[:12])
    assert machine.layered() == ["of-old", "viewer", "viewer-libs", "zlib"]


def test_advice_that_takes_too_long_is_cut_short(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    class Noting(Reporter):
        def note(self, text: str) -> None:
            noted.append(text)

    monkeypatch.setattr(advice, "_MOST_WORK", 0.0)
    host = replace(machine.host(), reporter=Noting())
    with pytest.raises(Unsolvable) as caught:
        advising.install(host, ["text-editor", "tool"])
    assert caught.value.suggestions == ()
    assert noted == ["not everything that may help was tried: that would take longer"]
