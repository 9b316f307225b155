"""`layer install`: what may be asked for, what is refused, and what the plan says."""

from __future__ import annotations

import json
import subprocess

import pytest

from layer.words import size
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import REBOOT, do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import LIBRARY, REF, Machine, World

LAYERED = ["daemon", "libseed", "pear", "suid"]
PLAN = """\
Base: tiny:{ref}, version 1, {base}

Installing 4 packages:
  NAME     VERSION  ARCH    SIZE    REPOSITORY  WHY
  daemon   1-1      x86_64  {daemon}  tiny        asked for
  libseed  1-1      x86_64  {libseed}  tiny        needed by pear
  pear     1-1      x86_64  {pear}  tiny        asked for
  suid     1-1      x86_64  {suid}  tiny        asked for as /usr/bin/suid

Download: {download}. Unpacked: {unpacked}. On disk: about {disk}.

Triggers that will fire: sysusers, ldconfig, tmpfiles.

Privileged files:
  /usr/bin/daemon: setgid alpha (daemon)
  /usr/bin/suid: setuid root (suid)

New users and groups:
  group alpha
  and others that the sysusers.d files of daemon declare: read once it is downloaded

In /etc:
  /etc/daemon.conf (daemon)

In /var:
  /var/lib/alpha/ (daemon)
  /var/lib/alpha/seed (daemon)

Scriptlets, which are never run:
  daemon: 1 line live-only, 1 line harmless
"""


def test_the_plan_says_all_that_will_happen_and_dry_run_shows_the_same(
    machine: Machine, world: World
) -> None:
    words = ("pear", "daemon", "/usr/bin/suid")
    files = [next(world.packages.rglob(f"{name}-1-1.x86_64.rpm")) for name in LAYERED]
    query = ["rpm", "-qp", "--qf", "%{SIZE}\n", *files]
    printed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    foreseen = json.loads(do(machine, "install", "-n", "--json", *words).stdout)
    expected = PLAN.format(
        ref=REF,
        base=world.base.checksum[:12],
        **{name: size(file.stat().st_size) for name, file in zip(LAYERED, files, strict=True)},
        download=size(sum(file.stat().st_size for file in files)),
        unpacked=size(sum(map(int, printed.split()))),
        disk=size(foreseen["disk"]["total"]),
    )
    with unchanged(machine.path):
        assert do(machine, "install", "--dry-run", *words).stdout == expected
    assert do(machine, "install", "-y", *words).stdout == f"{expected}{REBOOT}\n"
    assert machine.layered() == LAYERED


def test_the_plan_warns_of_new_packages_only(machine: Machine) -> None:
    do(machine, "install", "-y", "daemon", "suid")
    plan = do(machine, "install", "-n", "web").stdout
    assert "Privileged files:" not in plan
    assert "Scriptlets" not in plan


def test_the_plan_names_capabilities_and_units(own_world: World, tmp_path_machine: Machine) -> None:
    own_world.publish(
        tiny_rpm(
            "netd",
            FileSpec("/usr/bin/netd", b"x", mode=0o755, capabilities="cap_net_bind_service=ep"),
            FileSpec("/usr/lib/systemd/system/netd.service", b"[Service]\nExecStart=/bin/netd\n"),
            FileSpec("/usr/lib/systemd/system/netd.socket", b"[Socket]\nListenStream=1\n"),
            arch="x86_64",
        )
    )
    parts = do(tmp_path_machine, "install", "-n", "netd").stdout.split("\n\n")
    assert parts[-2:] == [
        "Privileged files:\n  /usr/bin/netd: cap_net_bind_service=ep (netd)",
        "New units:\n  netd.service: no preset is applied (netd)\n"
        "  netd.socket: no preset is applied (netd)\n",
    ]


@pytest.fixture
def tmp_path_machine(own_world: World, tmp_path) -> Machine:  # type: ignore[no-untyped-def]
    """A machine in the test's own world."""
    return own_world.machine(tmp_path / "machine")


FORMS = [
    ("web", ""),
    ("web-1", ""),
    ("web-1-1", ""),
    ("web-1-1.x86_64", ""),
    ("web-0:1-1.x86_64", ""),
    ("web.x86_64", ""),
    ("webserver", "requested-provides=webserver;\n"),
    ("webserver = 1", "requested-provides=webserver = 1;\n"),
    ("/usr/bin/web", ""),
]


@pytest.mark.parametrize(("word", "typed"), FORMS, ids=[word for word, _ in FORMS])
def test_a_package_may_be_asked_for_in_many_ways(machine: Machine, word: str, typed: str) -> None:
    do(machine, "install", "-y", word)
    assert machine.layered() == ["web"]
    assert origin_of(machine) == (
        f"[origin]\nbaserefspec=tiny:{REF}\n\n"
        f"[packages]\nrequested={word};\n\n[layer]\nschema=1\n{typed}"
    )
    entry = first(machine)
    assert (entry["requested-packages"], entry["packages"]) == ([word], [word])
    do(machine, "uninstall", "-y", word)
    assert machine.layered() == []
    assert origin_of(machine) == f"[origin]\nrefspec=tiny:{REF}\n"


def test_a_path_that_only_filelists_know_may_be_asked_for(machine: Machine) -> None:
    path = f"/usr{LIBRARY}"
    do(machine, "install", "-y", path)
    assert machine.layered() == ["libseed"]
    assert first(machine)["packages"] == [path]


def test_taking_a_request_away_keeps_what_another_one_asked_for(machine: Machine) -> None:
    do(machine, "install", "-y", "web", "webserver", "/usr/bin/web")
    for word in ("web", "/usr/bin/web"):
        plan = do(machine, "uninstall", "-y", word).stdout
        assert f"No longer asked for: {word}.\n" in plan
        assert "Removing" not in plan
        assert machine.layered() == ["web"]
    assert first(machine)["packages"] == ["webserver"]
    do(machine, "uninstall", "-y", "webserver")
    assert machine.layered() == []


def test_a_second_request_for_the_same_package_is_kept_too(machine: Machine) -> None:
    do(machine, "install", "-y", "web")
    plan = do(machine, "install", "-y", "webserver").stdout
    assert "Asked for, and layered already: webserver.\n" in plan
    assert first(machine)["packages"] == ["web", "webserver"]


def test_a_dependency_that_is_asked_for_later_stays_for_itself(machine: Machine) -> None:
    do(machine, "install", "-y", "apple")
    do(machine, "install", "-y", "libseed")
    do(machine, "uninstall", "-y", "apple")
    assert machine.layered() == ["libseed"]


def test_a_word_said_twice_counts_once(machine: Machine) -> None:
    do(machine, "install", "-y", "web", "web")
    assert first(machine)["requested-packages"] == ["web"]


# --- refused ---


def test_all_missing_packages_are_named_at_once(machine_kept: Machine) -> None:
    assert fails(machine_kept, "install", "-y", "nosuch1", "pear", "nosuch2") == [
        "error: no enabled repository has nosuch1, nosuch2",
        "hint: check the names and which repositories are enabled",
    ]


@pytest.mark.parametrize("word", ["nosuch/file", "/no/such", "web-2", "web.s390x", "*"])
def test_what_nothing_is_called_is_one_error(machine_kept: Machine, word: str) -> None:
    error, hint = fails(machine_kept, "install", "-y", word)
    assert error == f"error: no enabled repository has {word}"
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("word", ["", " ", "a\nb", "a\tb"])
def test_what_is_no_name_is_one_error(machine_kept: Machine, word: str) -> None:
    assert fails(machine_kept, "install", "-y", word) == [f"error: not a package's name: {word!r}"]


def test_a_group_that_no_repository_has_is_named(machine_kept: Machine) -> None:
    assert fails(machine_kept, "install", "-y", "@core") == [
        "error: no enabled repository has the group core",
        "hint: `layer group list --hidden` shows all",
    ]


def test_another_libc_than_the_bases_is_refused_with_both_versions(machine_kept: Machine) -> None:
    error, hint = fails(machine_kept, "install", "-y", "needs-libc")
    assert error == (
        "error: needs-libc-1-1.x86_64 needs tiny-libc = 9.99, which no enabled repository "
        "provides; the base has tiny-libc-2.36-1.x86_64"
    )
    assert hint.startswith("hint: packages of the base stay as they are")


def test_all_conflicts_are_named_at_once_with_both_owners(machine_kept: Machine) -> None:
    assert fails(machine_kept, "install", "-y", "clash-a", "clash-b") == [
        "error: these paths have two owners:",
        "  /etc/tiny.conf: tiny-release-1-1.x86_64 and clash-b-1-1.noarch: "
        "different content, mode or owner",
        "  /usr/share/clash: clash-a-1-1.noarch and clash-b-1-1.noarch: "
        "different content, mode or owner",
        "hint: leave out one of the packages",
    ]


def test_what_the_base_has_is_refused_with_a_hint(machine_kept: Machine) -> None:
    for word in ("tiny-libc", "/usr/lib/libtiny.so.1"):
        assert fails(machine_kept, "install", "-y", word, "pear") == [
            f"error: {word} is already in the base: tiny-libc-2.36-1.x86_64",
            "hint: --allow-inactive keeps the request for the day the base drops it",
        ]


def test_a_request_made_already_is_refused_unless_idempotent(machine_kept: Machine) -> None:
    assert fails(machine_kept, "install", "-y", "apple") == [
        "error: asked for already: apple",
        "hint: --idempotent makes that no error",
    ]
    with unchanged(machine_kept.path):
        done = do(machine_kept, "install", "-y", "--idempotent", "apple")
        assert done.stdout == "No change.\n"
        words = ("-y", "--idempotent", "--unchanged-exit-77", "apple")
        assert do(machine_kept, "install", *words, status=77).stdout == "No change.\n"
        assert do(machine_kept, "install", "-n", *words[1:], status=77).stdout == "No change.\n"


def test_idempotent_installs_what_is_new(machine: Machine) -> None:
    do(machine, "install", "-y", "apple")
    do(machine, "install", "-y", "--idempotent", "--unchanged-exit-77", "apple", "pear")
    assert machine.layered() == ["apple", "libseed", "pear"]


def test_an_inactive_request_is_kept_shown_and_taken_away(machine: Machine) -> None:
    words = ("--allow-inactive", "--idempotent", "--unchanged-exit-77", "-y", "tiny-libc")
    plan = do(machine, "install", *words).stdout
    assert "In the base already, so kept as an inactive request:\n  tiny-libc\n" in plan
    entry = first(machine)
    assert (entry["requested-packages"], entry["packages"]) == (["tiny-libc"], [])
    assert (
        "  InactiveRequests: tiny-libc (the base has tiny-libc-2.36-1.x86_64)\n"
        in do(machine, "status").stdout
    )
    assert do(machine, "install", *words, status=77).stdout == "No change.\n"
    do(machine, "install", "-y", "apple")
    entry = first(machine)
    assert (entry["requested-packages"], entry["packages"]) == (["apple", "tiny-libc"], ["apple"])
    do(machine, "uninstall", "-y", "tiny-libc")
    assert first(machine)["requested-packages"] == ["apple"]


def test_the_commit_of_an_inactive_request_is_the_servers(machine: Machine, world: World) -> None:
    do(machine, "install", "--allow-inactive", "-y", "tiny-libc")
    assert machine.pending().checksum == world.base.checksum


# --- uninstall ---


def test_what_was_never_asked_for_cannot_be_taken_away(machine_kept: Machine) -> None:
    assert fails(machine_kept, "uninstall", "-y", "pear", "web") == [
        "error: never asked for: pear, web",
        "hint: asked for is: apple",
    ]
    assert fails(machine_kept, "uninstall", "-y", "apple", "libseed") == [
        "error: never asked for: libseed (libseed: layered because others need it)",
        "hint: asked for is: apple",
    ]
    with unchanged(machine_kept.path):
        words = ("-y", "--idempotent", "--unchanged-exit-77", "pear")
        assert do(machine_kept, "uninstall", *words, status=77).stdout == "No change.\n"


def test_nothing_is_left_after_uninstall_all(machine: Machine, world: World) -> None:
    do(machine, "install", "-y", "apple", "web")
    do(machine, "uninstall", "--all", "-y")
    assert machine.pending().checksum == world.base.checksum
    words = ("--all", "-y", "--unchanged-exit-77")
    assert do(machine, "uninstall", *words, status=77).stdout == "No change.\n"
    assert do(machine, "reset", *words[1:], status=77).stdout == "No change.\n"
