"""What the plan says of a machine beyond packages, for people and as docs/plan.schema.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from layer.presets import decide, parse_presets
from layer.rpmfile.capabilities import format_capabilities, parse_capabilities
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import do
from tests.test_architecture import ROOT
from tests.test_status_schema import keys
from tests.world import Machine, World, layer, make_world, remove

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/plan.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SYSTEM = "/usr/lib/systemd/system"


def checked(printed: str) -> dict[str, Any]:
    """What was printed, which the schema must allow."""
    found: dict[str, Any] = json.loads(printed)
    assert [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(found)] == []
    return found


def planned(machine: Machine, verb: str, *words: str) -> dict[str, Any]:
    """The plan of a verb as JSON."""
    return checked(do(machine, verb, "-n", "--json", *words).stdout)


def server() -> RpmSpec:
    """A package that does something in every field of the plan."""
    return tiny_rpm(
        "server",
        FileSpec("/usr/bin/raised", b"x", mode=0o4755),
        FileSpec("/usr/bin/shared", b"x", mode=0o2755, group="served"),
        FileSpec("/usr/bin/netd", b"x", mode=0o755, capabilities="cap_net_raw=ep"),
        FileSpec(f"{SYSTEM}/on.service", b"[Install]\nWantedBy=multi-user.target\n"),
        FileSpec(f"{SYSTEM}/off.socket", b"[Install]\nWantedBy=sockets.target\n"),
        FileSpec("/usr/lib/systemd/user/each.timer", b"[Install]\nWantedBy=timers.target\n"),
        FileSpec("/etc/server.conf", b"a=1\n", config=True),
        FileSpec("/opt/server/tool", b"x", mode=0o755),
        FileSpec.directory("/var/lib/server", 0o750, "served", "served"),
        FileSpec("/var/lib/server/seed", b"factory\n"),
        provides=(
            "user(served) = dSBzZXJ2ZWQgLSAiU2VydmVkIiAvCg==",
            "group(served) = ZyBzZXJ2ZWQgLQo=",
        ),
        arch="x86_64",
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose base has a preset, and whose repository has the package."""
    folder = tmp_path_factory.mktemp("plan")
    preset = FileSpec(
        "/usr/lib/systemd/system-preset/50-tiny.preset", b"# ours\nenable on.*\ndisable *\n"
    )
    control = FileSpec("/usr/bin/systemctl", b"#!/bin/sh\nexit 0\n", mode=0o755)
    with make_world(folder / "world", tiny_rpm("tiny-preset", preset, control)) as world:
        world.publish(server())
        yield world.machine(folder / "machine")
        remove([folder / "machine"])


# --- the schema ---


def test_the_schema_is_one_and_every_key_of_it_has_a_description() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [where for where, item in keys(SCHEMA, "$") if not item.get("description")] == []


def test_the_schema_notices_what_is_wrong(machine_kept: Machine) -> None:
    good = planned(machine_kept, "install", "daemon", "--accept-unscripted", "daemon")
    for wrong in (
        {**good, "new-key": 1},
        {**good, "download-size": -1},
        {**good, "schema": 2},
        {key: value for key, value in good.items() if key != "disk"},
        {**good, "units": [{"name": "x.service", "scope": "system", "package": "x"}]},
    ):
        assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize(
    "words",
    [
        ("install", "web"),
        ("install", "--no-docs"),
        ("uninstall", "apple"),
        ("reset",),
        ("upgrade",),
        ("deploy", "1"),
        ("kargs", "--append=quiet=2"),
        ("initramfs-etc", "--track=/etc/tiny.conf"),
        ("override", "remove", "tiny-libc"),
    ],
    ids=lambda words: words[0],
)
def test_every_verb_with_a_plan_shows_it_as_json(
    machine_kept: Machine, words: tuple[str, ...]
) -> None:
    verb, *rest = words
    options = ["--sysroot", str(machine_kept.path)]
    if verb == "override":
        done = layer(verb, rest[0], *options, "-n", "--json", *rest[1:])
    else:
        done = do(machine_kept, verb, "-n", "--json", *rest)
    found = checked(done.stdout)
    assert found["is-empty"] is (verb == "upgrade" or (verb == "deploy" and False))
    assert found["base"]["checksum"] == machine_kept.world.base.checksum


def test_json_without_dry_run_is_a_usage_error(machine_kept: Machine) -> None:
    done = do(machine_kept, "install", "--json", "web", status=2)
    assert "--json shows a plan: it goes with --dry-run" in done.stderr


# --- what is in it ---


def test_the_plan_says_what_is_done_to_the_machine(served: Machine) -> None:
    found = planned(served, "install", "server")
    assert found["privileged-files"] == [
        privileged("/usr/bin/netd", capabilities="cap_net_raw=ep"),
        privileged("/usr/bin/raised", setuid="root"),
        privileged("/usr/bin/shared", setgid="served"),
    ]
    assert [(a["kind"], a["name"]) for a in found["accounts"]] == [
        ("group", "served"),
        ("user", "served"),
    ]
    assert {unit["name"]: (unit["scope"], unit["preset"]) for unit in found["units"]} == {
        "on.service": ("system", "enable"),
        "off.socket": ("system", "disable"),
        "each.timer": ("user", "enable"),
    }
    assert paths(found, "etc") == ["/etc/server.conf"]
    assert paths(found, "opt") == ["/opt/server/tool"]
    assert paths(found, "var") == ["/var/lib/server/", "/var/lib/server/seed", "/var/opt/server"]


def privileged(path: str, **rest: str) -> dict[str, str]:
    """A file as the plan has it."""
    nothing = {"setuid": "", "setgid": "", "capabilities": ""}
    return {"path": path, "package": "server", **nothing, **rest}


def paths(found: dict[str, Any], place: str) -> list[str]:
    """The paths below a place."""
    return [item["path"] for item in found[place]]


def test_the_plan_says_the_same_to_people(served: Machine) -> None:
    plan = do(served, "install", "-n", "server").stdout
    number = planned(served, "install", "server")["accounts"][0]["id"]
    assert plan.split("\n\n", 2)[2].partition("Privileged")[2] == (
        " files:\n"
        "  /usr/bin/netd: cap_net_raw=ep (server)\n"
        "  /usr/bin/raised: setuid root (server)\n"
        "  /usr/bin/shared: setgid served (server)\n\n"
        "New users and groups:\n"
        f"  group served {number}\n"
        f"  user served {number}\n\n"
        "New units:\n"
        "  each.timer: enabled by preset, of user sessions (server)\n"
        "  off.socket: disabled by preset (server)\n"
        "  on.service: enabled by preset (server)\n\n"
        "In /etc:\n  /etc/server.conf (server)\n\n"
        "In /opt:\n  /opt/server/tool (server)\n\n"
        "In /var:\n"
        "  /var/lib/server/ (server)\n"
        "  /var/lib/server/seed (server)\n"
        "  /var/opt/server (server)\n"
    )


def test_what_is_there_already_is_not_new(own_world: World, tmp_path: Path) -> None:
    own_world.publish(server())
    machine = own_world.machine(tmp_path / "machine")
    assert [unit["preset"] for unit in planned(machine, "install", "server")["units"]] == [""] * 3
    do(machine, "install", "-y", "server")
    found = planned(machine, "install", "web")
    assert [found[key] for key in ("privileged-files", "accounts", "units", "etc", "var")] == [
        []
    ] * 5
    assert [(p["name"], p["is-new"]) for p in found["packages"]] == [
        ("server", False),
        ("web", True),
    ]
    remove([machine.path])


def test_accounts_that_only_the_payload_tells_have_no_number(machine: Machine) -> None:
    words = ("daemon", "--accept-unscripted", "daemon")
    before = planned(machine, "install", *words)
    assert before["accounts-unread"] == ["daemon"]
    assert {a["name"]: a["id"] for a in before["accounts"]} == {"alpha": None}
    assert "  and others that the sysusers.d files of daemon declare" in (
        do(machine, "install", "-n", *words).stdout
    )
    do(machine, "install", "-y", "--download-only", *words)
    after = planned(machine, "install", "-C", *words)
    assert after["accounts-unread"] == []
    foreseen = {(a["kind"], a["name"]): a["id"] for a in after["accounts"]}
    do(machine, "install", "-y", *words)
    made = {}
    for kind, name in (("user", "passwd"), ("group", "group")):
        for line in (machine.pending().path / "usr/etc" / name).read_text().splitlines():
            fields = line.split(":")
            made[kind, fields[0]] = int(fields[2])
    assert foreseen == {key: number for key, number in made.items() if key[1] != "root"}


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("cap_net_raw+ep", "cap_net_raw=ep"),
        ("cap_net_admin,cap_net_bind_service=ep", "cap_net_bind_service,cap_net_admin=ep"),
        ("cap_kill=ei cap_chown+p cap_chown+ei cap_kill+p", "cap_chown,cap_kill=eip"),
        ("cap_net_raw=p", "cap_net_raw=p"),
    ],
)
def test_capabilities_are_shown_as_getcap_prints_them(written: str, printed: str) -> None:
    assert format_capabilities(parse_capabilities(written)) == printed


def test_a_preset_file_is_read_in_order_and_without_comments() -> None:
    lines = parse_presets({"9.preset": "disable *", "1.preset": "; b*\nenable a* x y\n"})
    assert [decide(unit, lines) for unit in ("a.service", "b.service")] == ["enable", "disable"]
    assert decide("c.timer", ()) == "enable"
