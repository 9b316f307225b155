"""Scriptlets are not run: what stands in for their lines, and what a user must agree to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_rpm
from tests.cli import do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import Machine, World, layer, ostree, remove

ODD = "true\nfrobnicate --now /usr/lib/odd\n"
HINT = (
    "hint: leave the package out, or agree that they are not run: --accept-unscripted odd, "
    "or cover them with a trigger in /etc/layer/triggers.d: layer-trigger(5)"
)


def odd(body: str = ODD, version: str = "1") -> RpmSpec:
    """A package with a line that nothing stands in for."""
    scriptlets = (Scriptlet("post", body),)
    return tiny_rpm("odd", "/usr/bin/odd", scriptlets=scriptlets, version=version, arch="x86_64")


@pytest.fixture
def scripted(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine in a world of its own that has the odd package on offer."""
    own_world.publish(odd())
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def set_policy(machine: Machine, text: str) -> None:
    file = machine.pending().path / "etc/layer/layer.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_an_unknown_line_stops_an_install_and_shows_all_there_is_to_know(scripted: Machine) -> None:
    error, name, line, hint = fails(scripted, "install", "-y", "odd", "apple")
    assert error == "error: scriptlets are not run, and nothing does what these lines would:"
    assert name == "  odd-1-1.x86_64:"
    assert line.startswith("    %post 2: frobnicate --now /usr/lib/odd  (")
    assert hint == HINT


def test_consent_is_recorded_and_not_asked_for_again(scripted: Machine) -> None:
    done = do(scripted, "install", "-y", "odd", "--accept-unscripted", "odd").stdout
    assert "    not run: %post 2: frobnicate --now /usr/lib/odd  (" in done
    assert "accepted-scriptlets=odd:" in origin_of(scripted)
    assert first(scripted)["scriptlet-lines-not-run"] == 1
    assert "Scriptlets: 1 line not run: layer audit" in do(scripted, "status").stdout
    do(scripted, "install", "-y", "apple")
    assert "accepted-scriptlets=odd:" in origin_of(scripted)
    do(scripted, "uninstall", "-y", "odd")
    assert "accepted-scriptlets" not in origin_of(scripted)
    assert first(scripted)["scriptlet-lines-not-run"] == 0


def test_consent_is_asked_for_again_when_the_scriptlet_changes(scripted: Machine) -> None:
    do(scripted, "install", "-y", "odd", "--accept-unscripted", "odd")
    scripted.world.publish(odd("frobnicate --now /usr/lib/other\n", version="2"))
    lines = [line.strip() for line in fails(scripted, "upgrade", "-y")]
    assert lines[:2] == ["error: these layers cannot be taken along:", "odd:"]
    assert "odd-2-1.x86_64, changed since they were agreed to:" in lines
    do(scripted, "upgrade", "-y", "--accept-unscripted", "odd")
    scripted.world.publish(odd("frobnicate --now /usr/lib/other\n", version="3"))
    do(scripted, "upgrade", "-y")
    assert scripted.layered() == ["odd"]


def test_consent_to_what_is_not_there_is_an_error(scripted: Machine) -> None:
    error, hint = fails(scripted, "install", "-y", "apple", "--accept-unscripted", "nosuch")
    assert error == "error: not among the packages to layer: nosuch"
    assert hint.startswith("hint: --accept-unscripted NAME takes the name of a package")


def test_the_policy_warn_lets_lines_pass_and_shows_them(scripted: Machine) -> None:
    set_policy(scripted, 'scriptlets = "warn"\n')
    done = do(scripted, "install", "-y", "odd").stdout
    assert "    not run: %post 2: frobnicate" in done
    assert "accepted-scriptlets" not in origin_of(scripted)
    assert first(scripted)["scriptlet-lines-not-run"] == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('scriptlets = "maybe"\n', "  scriptlets: must be one of stop, warn"),
        ("scripts = 1\n", "  scripts: unknown key"),
        ("scriptlets = [\n", "error: /etc/layer/layer.toml: Invalid value (at end of document)"),
    ],
)
def test_wrong_settings_are_named(scripted: Machine, text: str, fault: str) -> None:
    set_policy(scripted, text)
    assert fault in fails(scripted, "install", "-y", "odd")


def test_a_local_trigger_can_cover_a_line(scripted: Machine) -> None:
    folder = scripted.pending().path / "etc/layer/triggers.d"
    folder.mkdir(parents=True)
    (folder / "frobnicate.toml").write_text(
        'schema = 1\nname = "frobnicate"\ndescription = "Frobnicate."\n'
        '[match]\ninclude = ["usr/bin/odd"]\n[run]\nexec = ["frobnicate"]\n'
        "[covers]\ncommands = ['frobnicate --now /usr/lib/[a-z]+']\n"
    )
    plan = do(scripted, "install", "-n", "odd").stdout
    assert "  odd: 1 line covered (frobnicate), 1 line harmless" in plan


def test_an_audit_installs_nothing_and_needs_no_sysroot(scripted: Machine, tmp_path: Path) -> None:
    repos = ("--repo-dir", str(scripted.world.repo_dir))
    with unchanged(scripted.path):
        offered = do(scripted, "audit", *repos, "odd", "--json").stdout
    (file,) = scripted.world.packages.rglob("odd-1-1.x86_64.rpm")
    alone = layer("audit", "--sysroot", str(tmp_path / "none"), str(file), "--json").stdout
    assert json.loads(alone) == json.loads(offered)
    (package,) = json.loads(alone)["packages"]
    assert package["needs-consent"] is True
    assert [line["verdict"] for line in package["lines"]] == ["harmless", "unknown"]
    assert (
        "1 package, 0 without scriptlets; 1 would need consent."
        in layer("audit", "--sysroot", str(tmp_path / "none"), str(file)).stdout
    )
    assert (
        do(scripted, "audit").stdout
        == "0 packages, 0 without scriptlets; none would need consent.\n"
    )


def test_a_lint_ranks_packages_by_what_they_leave_to_do(scripted: Machine, tmp_path: Path) -> None:
    files = [
        str(next(scripted.world.packages.rglob(f"{name}-1-1.x86_64.rpm")))
        for name in ("apple", "daemon", "odd")
    ]
    done = layer("audit", "--lint", "--sysroot", str(tmp_path / "none"), *files).stdout
    rows = [line.split() for line in done.splitlines()]
    assert rows == [
        ["UNKNOWN", "LINES", "/VAR", "/ETC", "PACKAGE"],
        ["1", "2", "0", "0", "odd-1-1.x86_64"],
        ["0", "2", "1", "1", "daemon-1-1.x86_64"],
    ]


@pytest.mark.parametrize("words", [("nosuch.rpm",), ("x.rpm", "apple"), ("--lint", "--json")])
def test_an_audit_names_what_it_cannot_do(scripted: Machine, words: tuple[str, ...]) -> None:
    done = do(scripted, "audit", *words, status=None)
    assert done.returncode in (1, 2)
    assert words[0] in done.stderr


def test_the_plan_shows_what_scriptlets_make_privileged_and_links_not_made(
    scripted: Machine,
) -> None:
    program = FileSpec("/usr/bin/raised", b"#!/bin/sh\n", mode=0o755)
    body = "chmod 4755 /usr/bin/raised\nln -sf /evil /etc/passwd\nln -s raised /usr/bin/lifted\n"
    scriptlets = (Scriptlet("post", body),)
    scripted.world.publish(tiny_rpm("raised", program, scriptlets=scriptlets, arch="x86_64"))
    done = do(scripted, "install", "-y", "raised")
    assert "Privileged files:\n  /usr/bin/raised: setuid root (raised)\n" in done.stdout
    assert "    not made: /etc/passwd -> /evil: the path is taken\n" in done.stdout
    assert "note: /etc/passwd is there already; it is not made a link" in done.stderr
    tree = scripted.pending().path
    assert (tree / "usr/bin/raised").stat().st_mode & 0o7777 == 0o4755
    assert str((tree / "usr/bin/lifted").readlink()) == "raised"
    assert not (tree / "usr/etc/passwd").is_symlink()


REWRITTEN = """\
getent group wheelers >/dev/null || groupadd -r wheelers
getent passwd rewriter >/dev/null || useradd -r -g wheelers -d /var/lib/rewriter \\
    -s /sbin/nologin -c "Rewriter" rewriter
mkdir -p /var/lib/rewriter
chown rewriter:wheelers /var/lib/rewriter
setcap cap_net_bind_service=ep /usr/bin/rewriter
add-shell /usr/bin/rewriter
"""


def test_users_directories_and_capabilities_are_declared_instead(scripted: Machine) -> None:
    program = FileSpec("/usr/bin/rewriter", b"#!/bin/sh\n", mode=0o755)
    scriptlets = (Scriptlet("post", REWRITTEN),)
    scripted.world.publish(
        tiny_rpm("rewriter", program, scriptlets=scriptlets, arch="x86_64"),
    )
    do(scripted, "install", "-y", "rewriter")
    tree = scripted.pending().path
    ids = (tree / "usr/lib/sysusers.d/00-layer-ids.conf").read_text()
    assert "u rewriter " in ids
    assert "g wheelers " in ids
    made = (tree / "usr/lib/tmpfiles.d/zz-layer-scriptlets-rewriter.conf").read_text()
    assert "/var/lib/rewriter" in made
    assert "rewriter wheelers" in made
    assert (tree / "usr/etc/shells").read_text() == "/usr/bin/rewriter\n"
    repo, commit = f"--repo={scripted.path}/ostree/repo", scripted.pending().checksum
    assert "security.capability" in ostree("ls", repo, "-X", commit, "/usr/bin/rewriter")
    path = "/usr/lib/tmpfiles.d/zz-layer-scriptlets-rewriter.conf"
    owner = layer("db", "owner", "--sysroot", str(scripted.path), path)
    assert owner.stdout == f"{path}: layer\n"


EITHER = """\
if command -v setcap >/dev/null; then
    if setcap cap_net_raw+ep /usr/bin/either; then
        chmod u-s /usr/bin/either
    else
        chmod u+s /usr/bin/either
    fi
else
    chmod 4755 /usr/bin/either
fi
"""


def test_a_program_that_gets_capabilities_is_not_made_setuid_too(scripted: Machine) -> None:
    """The script's other branch is for where capabilities cannot be set."""
    program = FileSpec("/usr/bin/either", b"#!/bin/sh\n", mode=0o755)
    scriptlets = (Scriptlet("post", EITHER),)
    scripted.world.publish(tiny_rpm("either", program, scriptlets=scriptlets, arch="x86_64"))
    done = do(scripted, "install", "-y", "either")
    assert "setuid root" not in done.stdout
    assert "/usr/bin/either: " in done.stdout
    path = scripted.pending().path / "usr/bin/either"
    assert path.stat().st_mode & 0o7777 == 0o755
    assert "security.capability" in os.listxattr(path)
