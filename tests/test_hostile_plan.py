"""What a package says of itself cannot draw on the terminal of whoever reads the plan."""

from __future__ import annotations

from pathlib import Path

from testdata.distro.forge import draft, seal, strings, with_tags
from testdata.distro.hostile_repository import honest_claim, write_repository
from testdata.distro.rpmheader import Tag
from testdata.distro.rpmspec import FileSpec, RpmSpec, Scriptlet
from tests.cli import do
from tests.world import Machine, write_repo_file

CLEAR = "\x1b[2J"


def test_the_plan_escapes_what_cannot_be_printed(machine_kept: Machine, tmp_path: Path) -> None:
    spec = RpmSpec(
        "artist",
        arch="noarch",
        files=(
            FileSpec(f"/usr/bin/{CLEAR}\u202e", b"x", mode=0o4755),
            FileSpec(f"/usr/lib/systemd/system/{CLEAR}.service", b""),
        ),
        scriptlets=(Scriptlet("post", "true"),),
    )
    data = seal(with_tags(draft(spec), strings(Tag.POSTINPROG, f"/bin/sh{CLEAR}\n", b"\xff")))
    (tmp_path / "artist.rpm").write_bytes(data)
    write_repository(tmp_path, [honest_claim("artist", data, "artist.rpm")])
    write_repo_file(tmp_path, "artist", tmp_path.as_uri())
    words = ("--repo-dir", str(tmp_path), "-n", "artist", "--accept-unscripted", "artist")
    plan = do(machine_kept, "install", *words).stdout
    assert "  /usr/bin/\\x1b[2J\\u202e: setuid root (artist)\n" in plan
    assert "  \\x1b[2J.service: " in plan
    assert "%post 1: true  (layer reads the shell and Lua, not /bin/sh\\x1b[2J\\n \\xff)\n" in plan
    assert plan.replace("\n", "").isprintable()
