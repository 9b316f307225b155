"""Names of files that hold line breaks: kept as they are, and shown on one line."""

from __future__ import annotations

from pathlib import Path

from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import extra_repository, fails
from tests.test_cli_db import db, from_json
from tests.world import Machine

NAME = "/usr/share/two\nlines\r"
SHOWN = r"/usr/share/two\nlines\r"


def test_they_come_in_and_are_shown_escaped(machine: Machine, tmp_path: Path) -> None:
    odd = tiny_rpm("odd", FileSpec(NAME, b"line"), FileSpec("/etc/a\nb", b"etc"))
    other = tiny_rpm("other", FileSpec(NAME, b"other"))
    options = extra_repository(tmp_path / "extra", odd, other)
    assert f"  {SHOWN}: odd-1-1.noarch and other-1-1.noarch: different content, mode or owner" in (
        fails(machine, "install", "-y", *options, "odd", "other")
    )
    machine.layer("install", "-y", *options, "odd")
    tree = machine.pending().path
    assert (tree / NAME[1:]).read_bytes() == b"line"
    assert (tree / "usr/etc/a\nb").read_bytes() == b"etc"
    assert (tree / "usr/lib/sysimage/packages/odd-1-1.noarch.rpm").is_file()
    assert db(machine, "owner", NAME).stdout == f"{SHOWN}: odd-1-1.noarch\n"
    (found,) = from_json(machine, "owner", NAME)
    assert found["path"] == NAME
