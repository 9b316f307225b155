"""What Lua and openSUSE's macros make is in the tree of a real install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.rewriting import missing_settings
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_rpm
from tests.cli import do, fails
from tests.test_audit_idioms import FILLUP
from tests.world import Machine, World, remove

FIRST = b"## Path: Tools\n# How loud it is.\nTOOL_VOICE=low\n"
SECOND = b"# Taken already.\nTOOL_VOICE=loud\n# How long it is.\nTOOL_LENGTH=5\n"


@pytest.fixture
def machine(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine in a world of its own."""
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def package(name: str, body: str, *files: FileSpec, interpreter: str = "/bin/sh") -> RpmSpec:
    """A package with one %post."""
    scriptlets = (Scriptlet("post", body, interpreter),)
    return tiny_rpm(name, *files, scriptlets=scriptlets, arch="x86_64")


def template(name: str, text: bytes) -> FileSpec:
    return FileSpec(f"/usr/share/fillup-templates/sysconfig.{name}", text)


def test_settings_come_from_the_templates_of_all_packages(machine: Machine) -> None:
    more = FILLUP.replace("SUBPNAME=\n", "SUBPNAME=-more\n")
    machine.world.publish(
        package("tool", FILLUP, template("tool", FIRST)),
        package("tool-more", more, template("tool-more", SECOND)),
    )
    do(machine, "install", "-y", "tool", "tool-more")
    path = machine.pending().path / "usr/etc/sysconfig/tool"
    assert path.read_bytes() == FIRST + b"# How long it is.\nTOOL_LENGTH=5\n"
    do(machine, "uninstall", "-y", "tool-more")
    assert (machine.pending().path / "usr/etc/sysconfig/tool").read_bytes() == FIRST


def test_settings_that_a_package_ships_keep_what_they_say(machine: Machine) -> None:
    shipped = FileSpec("/etc/sysconfig/tool", b"TOOL_VOICE=mine", config=True)
    machine.world.publish(
        package("shipper", "true", shipped),
        package("tool", FILLUP, template("tool", SECOND)),
    )
    do(machine, "install", "-y", "shipper", "tool")
    path = machine.pending().path / "usr/etc/sysconfig/tool"
    assert path.read_bytes() == b"TOOL_VOICE=mine\n# How long it is.\nTOOL_LENGTH=5\n"


@pytest.mark.parametrize(
    ("present", "lacking", "missing"),
    [
        (b"", FIRST, FIRST),
        (b"TOOL_VOICE=\n", FIRST, b""),
        (b"#TOOL_VOICE=x\n", FIRST, FIRST),
        (b"A=1", b"A=2\nB=3\n", b"\nB=3\n"),
        (b"A=1\n", b"", b""),
    ],
)
def test_what_settings_lack_is_told_by_variable(
    present: bytes, lacking: bytes, missing: bytes
) -> None:
    assert missing_settings(present, lacking) == missing


def test_what_lua_makes_is_in_the_tree(machine: Machine) -> None:
    body = (
        'if not posix.stat("/var/lib/lunar") then posix.mkdir("/var/lib/lunar") end\n'
        'posix.symlink("lunar", "/usr/bin/moon")\n'
    )
    program = FileSpec("/usr/bin/lunar", b"#!/bin/sh\n", mode=0o755)
    machine.world.publish(package("lunar", body, program, interpreter="<lua>"))
    do(machine, "install", "-y", "lunar")
    tree = machine.pending().path
    assert str((tree / "usr/bin/moon").readlink()) == "lunar"
    made = (tree / "usr/lib/tmpfiles.d/zz-layer-scriptlets-lunar.conf").read_text()
    assert made == "d /var/lib/lunar 0755 - - - -\n"


def test_unknown_lua_stops_an_install_line_by_line(machine: Machine) -> None:
    body = 'print("fine")\nlocal gone = os.remove\ngone("/etc/passwd")\n'
    machine.world.publish(package("odd", body, FileSpec("/usr/bin/odd", b""), interpreter="<lua>"))
    _, name, line, *_ = fails(machine, "install", "-y", "odd")
    assert name == "  odd-1-1.x86_64:"
    assert line.startswith('    %post 3: gone("/etc/passwd")  (')
