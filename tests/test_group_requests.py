"""Groups as requests: installed, carried through upgrades, and taken away, over loopback HTTP."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from layer.errors import InvalidInput
from layer.origin import parse_origin
from testdata.distro.tiny import RpmSpec, tiny_repository, tiny_rpm
from tests.cli import fails, first
from tests.world import Machine, World, layer, remove, served, write_repo_file

MEMBERS = """\
<packagereq type="mandatory">hammer</packagereq>
<packagereq type="default">saw</packagereq>
<packagereq type="default">rarity</packagereq>
<packagereq type="optional">drill</packagereq>
<packagereq type="conditional" requires="web">nails</packagereq>
<packagereq type="conditional" requires="tiny-libc">glue</packagereq>
<packagereq type="conditional" requires="handle">grip</packagereq>
<packagereq type="conditional" requires="grip">tape</packagereq>
"""
BASIC = """\
<packagereq>tiny-libc</packagereq><packagereq>tiny-tools</packagereq>
"""
ENVIRONMENTS = """\
<environment><id>workshop</id><name>A workshop</name>
<grouplist><groupid>tools</groupid><groupid>more</groupid></grouplist>
<optionlist><groupid>extra</groupid></optionlist></environment>
<environment><id>ruin</id><name>Ruin</name>
<grouplist><groupid>tools</groupid><groupid>gone</groupid></grouplist></environment>
"""
SHOP = (
    tiny_rpm("hammer", "/usr/bin/hammer", requires=("handle",)),
    *(
        tiny_rpm(name, f"/usr/bin/{name}")
        for name in ("handle", "saw", "drill", "nails", "glue", "grip", "tape", "bench", "lamp")
    ),
    tiny_rpm("anvil", requires=("nowhere-to-be-had",)),
    tiny_rpm("anvil-stand", requires=("anvil",)),
    tiny_rpm("anvil-cover", requires=("anvil",)),
    tiny_rpm("rival", conflicts=("lamp",)),
)
GROUPS = {
    "tools": MEMBERS,
    "more": "<packagereq>bench</packagereq>",
    "extra": "<packagereq>lamp</packagereq>",
    "basic": BASIC,
    "ghosts": "<packagereq>casper</packagereq><packagereq>rarity</packagereq>",
    "empty": "",
    "heavy": "<packagereq>anvil</packagereq><packagereq>lamp</packagereq>",
    "spare": """<packagereq>lamp</packagereq><packagereq type="default">anvil</packagereq>
        <packagereq type="default">bench</packagereq><packagereq type="default">rival</packagereq>
        <packagereq type="conditional" requires="lamp">anvil-stand</packagereq>
        <packagereq type="optional">anvil-cover</packagereq>""",
    "vain": """<packagereq type="default">anvil</packagereq><packagereq>casper</packagereq>""",
}
# What `@tools` comes to: `grip` for the handle that the hammer needs, `tape` for the grip.
TOOLS = ["glue", "grip", "hammer", "saw", "tape"]


def comps(groups: dict[str, str]) -> str:
    """A list of groups."""
    parts = [
        f"<group><id>{id_}</id><name>The {id_}</name><packagelist>{members}</packagelist></group>"
        for id_, members in groups.items()
    ]
    return f"<comps>{''.join(parts)}{ENVIRONMENTS}</comps>"


@dataclass(frozen=True)
class Shop:
    """A repository with groups that is served."""

    path: Path
    asked: list[str]

    @property
    def options(self) -> list[str]:
        """What adds it."""
        return ["--repo-dir", str(self.path / "repos")]

    def publish(self, groups: str, packages: Sequence[RpmSpec] = ()) -> None:
        """Adds packages, with this list of groups."""
        folder = self.path / "packages"
        tiny_repository(folder, *packages)
        file = self.path / "comps.xml"
        file.write_text(groups)
        command = ["modifyrepo_c", "--mdtype=group", "--no-compress", str(file)]
        subprocess.run([*command, str(folder / "repodata")], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def opened(path: Path) -> Iterator[Shop]:
    """A shop in a new folder."""
    path.mkdir()
    (path / "repos").mkdir()
    shop = Shop(path, [])
    shop.publish(comps(GROUPS), SHOP)
    with served(path / "packages", shop.asked) as url:
        file = write_repo_file(path / "repos", "shop", url)
        file.write_text(f"{file.read_text()}metadata_expire=0\n")
        yield shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop for tests that do not change it."""
    with opened(tmp_path_factory.mktemp("shop") / "shop") as made:
        yield made


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of the test's own."""
    with opened(tmp_path / "shop") as made:
        yield made


@pytest.fixture(scope="module")
def equipped(
    world: World, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A machine with `@tools`, for tests that change nothing on it."""
    path = tmp_path_factory.mktemp("equipped") / "machine"
    machine = world.machine(path)
    run(machine, shop, "install", "@tools")
    yield machine
    remove([path])


def run(machine: Machine, shop: Shop, verb: str, *words: str, status: int = 0) -> str:
    """A verb with the shop's packages and the world's; what it prints."""
    options = [*shop.options, "--repo-dir", str(machine.world.repo_dir)]
    return machine.layer(verb, "-y", *options, *words, status=status).stdout


def error(machine: Machine, shop: Shop, verb: str, *words: str) -> list[str]:
    """The lines of the error of a verb that changes nothing."""
    lines = fails(machine, verb, "-y", *shop.options, *words)
    return [line.removeprefix("error: ") for line in lines]


def recorded(machine: Machine) -> dict[str, list[str]]:
    """The groups in the origin file, with what they come to."""
    origin = machine.pending().origin
    found = {r.text: list(r.members) for r in parse_origin(origin).requests if r.members}
    assert "@" not in origin.partition("[layer]")[0]
    return found


def test_a_group_brings_its_packages(equipped: Machine) -> None:
    assert equipped.layered() == ["glue", "grip", "hammer", "handle", "saw", "tape"]
    assert recorded(equipped) == {"@tools": TOOLS}
    entry = first(equipped)
    assert (entry["requested-packages"], entry["packages"]) == ([], [])
    assert entry["requested-groups"] == [{"request": "@tools", "packages": TOOLS}]
    assert "LayeredPackages: @tools\n" in equipped.layer("status").stdout


def test_the_plan_says_what_comes_for_a_group_and_what_nobody_has(
    machine_kept: Machine, shop: Shop
) -> None:
    plan = run(machine_kept, shop, "install", "--dry-run", "@The tools")
    assert "Of groups, but left out, as no enabled repository has it:\n  @tools: rarity\n" in plan
    rows = [line.split() for line in plan.splitlines() if " shop " in line]
    assert [row[0] for row in rows] == ["glue", "grip", "hammer", "handle", "saw", "tape"]
    whys = {row[0]: " ".join(row[row.index("shop") + 1 :]) for row in rows}
    assert (whys["saw"], whys["handle"]) == ("asked for as @tools", "needed by hammer")
    found = json.loads(run(machine_kept, shop, "install", "--dry-run", "--json", "@tools"))
    assert found["requests"]["groups"] == [
        {"request": "@tools", "packages": TOOLS, "missing": ["rarity"], "unfitting": {}}
    ]
    assert found["requests"]["added"] == ["@tools"]


def test_a_condition_may_be_fulfilled_by_another_request(machine_kept: Machine, shop: Shop) -> None:
    plan = json.loads(run(machine_kept, shop, "install", "-n", "--json", "@tools", "web"))
    assert plan["requests"]["groups"][0]["packages"] == sorted([*TOOLS, "nails"])


@pytest.mark.parametrize(
    ("word", "request_", "more"),
    [
        ("@tools/optional", "@tools/optional", ["drill"]),
        ("@^workshop", "@^workshop", ["bench"]),
        ("@A workshop", "@^workshop", ["bench"]),
        ("@workshop/optional", "@^workshop/optional", ["bench", "drill", "lamp"]),
    ],
)
def test_environments_and_optional_packages(
    machine_kept: Machine, shop: Shop, word: str, request_: str, more: list[str]
) -> None:
    plan = json.loads(run(machine_kept, shop, "install", "-n", "--json", word))
    (group,) = plan["requests"]["groups"]
    assert (group["request"], group["packages"]) == (request_, sorted([*TOOLS, *more]))
    assert {p["name"] for p in plan["packages"]} >= {*more, *TOOLS}


def test_the_flag_adds_optional_packages(machine_kept: Machine, shop: Shop) -> None:
    words = ["-n", "--json", "--with-optional", "@tools", "pear"]
    plan = json.loads(run(machine_kept, shop, "install", *words))
    assert plan["requests"]["added"] == ["@tools/optional", "pear"]


def test_a_group_asked_for_twice(equipped: Machine, shop: Shop) -> None:
    assert error(equipped, shop, "install", "@tools")[0] == "asked for already: @tools"
    assert run(equipped, shop, "install", "--idempotent", "@tools") == "No change.\n"
    assert run(equipped, shop, "install", "@The tools") == "No change.\n"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["@tols"], ["no enabled repository has the group tols", "hint: did you mean @tools?"]),
        (
            ["@nonesuch", "@^workshops"],
            [
                "no enabled repository has the group nonesuch",
                "no enabled repository has the environment workshops",
                "hint: `layer group list --hidden` shows all",
            ],
        ),
        (
            ["@"],
            ["not a group's name: '@'", "hint: it is @NAME, or @^NAME for an environment"],
        ),
        (
            ["@^/optional"],
            [
                "not a group's name: '@^/optional'",
                "hint: it is @NAME, or @^NAME for an environment",
            ],
        ),
        (
            ["@ruin"],
            [
                "environment ruin names groups that no enabled repository has: gone",
                "hint: enable the repository that has them, or name single groups",
            ],
        ),
        (
            ["@ghosts", "@empty"],
            [
                "nothing of @ghosts can be layered: no enabled repository has casper, rarity",
                "nothing of @empty can be layered: it lists no package",
                "hint: `layer group info NAME` shows what is in a group",
            ],
        ),
        (
            ["@basic"],
            [
                "@basic is already in the base: tiny-libc, tiny-tools",
                "hint: --allow-inactive keeps the request for the day the base drops it",
            ],
        ),
    ],
)
def test_words_that_bring_nothing(
    machine_kept: Machine, shop: Shop, words: list[str], lines: list[str]
) -> None:
    assert error(machine_kept, shop, "install", *words) == lines


@pytest.mark.parametrize("word", ["@heavy", "@The heavy"])
def test_a_group_that_does_not_fit_is_refused_with_the_package(
    machine: Machine, shop: Shop, word: str
) -> None:
    lines = error(machine, shop, "install", word, "saw")
    assert lines[:2] == [
        "@heavy cannot be layered:",
        "  anvil-1-1.noarch needs nowhere-to-be-had, which no enabled repository provides",
    ]
    suggested = [line.strip() for line in lines if line.startswith("  layer ")]
    assert [line.partition("  # ")[2] for line in suggested] == ["without anvil", f"without {word}"]
    # Each command as it stands, and the plan says what is left out.
    for line, expected in zip(suggested, (["lamp", "saw"], ["saw"]), strict=True):
        program, *words = shlex.split(line, comments=True)
        assert program == "layer"
        plan = layer(*words, "-y").stdout
        assert ("  @heavy: anvil\n" in plan) == ("lamp" in expected)
        assert machine.layered() == expected
        machine.layer("rollback", "-y")


def test_what_a_group_can_do_without_and_does_not_fit_is_left_out(
    machine: Machine, shop: Shop
) -> None:
    plan = run(machine, shop, "install", "@spare")
    lines = plan.splitlines()
    start = lines.index("Of groups, but left out, as it does not fit:") + 1
    assert lines[start : start + 4] == [
        "  @spare: anvil: anvil-1-1.noarch needs nowhere-to-be-had, "
        "which no enabled repository provides",
        "  @spare: anvil-stand: anvil-1-1.noarch needs nowhere-to-be-had, "
        "which no enabled repository provides",
        "  @spare: rival: lamp-1-1.noarch and rival-1-1.noarch exclude each other",
        "",
    ]
    assert machine.layered() == ["bench", "lamp"]
    assert recorded(machine) == {"@spare": ["bench", "lamp"]}
    found = json.loads(run(machine, shop, "install", "-n", "--json", "@spare/optional"))
    group = next(g for g in found["requests"]["groups"] if g["request"] == "@spare/optional")
    assert group["packages"] == ["bench", "lamp"]
    assert sorted(group["unfitting"]) == ["anvil", "anvil-cover", "anvil-stand", "rival"]
    # What is in the way of a package that need not come is no reason to leave it out for ever.
    assert "No upgrade available." in run(machine, shop, "upgrade")
    assert error(machine, shop, "install", "@vain") == [
        "nothing of @vain can be layered: no enabled repository has casper",
        "nothing of @vain can be layered: anvil-1-1.noarch needs nowhere-to-be-had, "
        "which no enabled repository provides",
        "hint: `layer group info NAME` shows what is in a group",
    ]


def test_what_did_not_fit_comes_with_the_upgrade_that_makes_it_fit(
    machine: Machine, own_shop: Shop
) -> None:
    run(machine, own_shop, "install", "@spare")
    own_shop.publish(comps(GROUPS), [tiny_rpm("nowhere-to-be-had")])
    run(machine, own_shop, "install", "saw")
    assert recorded(machine)["@spare"] == ["bench", "lamp"]
    run(machine, own_shop, "upgrade")
    assert recorded(machine)["@spare"] == ["anvil", "anvil-stand", "bench", "lamp"]
    assert "nowhere-to-be-had" in machine.layered()
    # What it came to once is not given up for an upgrade: that is asked first.
    for file in (own_shop.path / "packages").rglob("nowhere-*.rpm"):
        file.unlink()
    own_shop.publish(comps(GROUPS))
    lines = error(machine, own_shop, "upgrade")
    assert lines[:2] == ["these layers cannot be taken along:", "  @spare:"]


def test_what_else_cannot_be_had_takes_no_package_from_a_group(
    machine_kept: Machine, shop: Shop
) -> None:
    lines = error(machine_kept, shop, "install", "@spare", "anvil-stand")
    assert lines[0] == "anvil-stand cannot be layered:"
    assert [line for line in lines if "spare" in line] == lines[-1:]
    assert lines[-1].endswith(" @spare  # without anvil-stand")


def test_a_damaged_list_hinders_those_alone_who_want_groups(
    machine: Machine, own_shop: Shop
) -> None:
    own_shop.publish(comps(GROUPS)[:200])
    lines = error(machine, own_shop, "install", "@tools")
    assert lines[0].startswith("repository shop (http://127.0.0.1:")
    assert "its list of groups is no XML" in lines[0]
    run(machine, own_shop, "install", "saw")
    assert machine.layered() == ["saw"]


def test_a_group_in_the_base_is_inactive(machine: Machine, shop: Shop) -> None:
    plan = run(machine, shop, "install", "--allow-inactive", "@basic")
    assert "In the base already, so kept as an inactive request:\n  @basic\n" in plan
    (found,) = first(machine)["inactive-requests"]
    assert found == {"request": "@basic", "reason": "the base has tiny-libc, tiny-tools"}
    run(machine, shop, "uninstall", "@basic")
    assert recorded(machine) == {}


def test_answers_name_the_group(equipped: Machine, shop: Shop) -> None:
    why = equipped.layer("why", "handle").stdout
    assert "  @tools was asked for: hammer-1-1.noarch\n    needs handle" in why
    info = equipped.layer("info", *shop.options, "saw").stdout
    line = next(line for line in info.splitlines() if line.startswith("Asked for as"))
    assert line.endswith(": @tools")
    completed = layer(
        env={
            "_LAYER_COMPLETE": "bash_complete",
            "COMP_WORDS": f"layer uninstall --sysroot {equipped.path} @",
            "COMP_CWORD": "4",
        }
    )
    assert "plain,@tools" in completed.stdout


def test_groups_are_completed_from_what_was_fetched(machine: Machine, shop: Shop) -> None:
    def completed(word: str) -> list[str]:
        words = f"layer install --sysroot {machine.path} {' '.join(shop.options)} {word}"
        number = str(words.count(" "))
        env = {"_LAYER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": number}
        return layer(env=env).stdout.split()

    shop.asked.clear()
    assert completed("@") == []
    machine.layer("refresh-md", *shop.options)
    shop.asked.clear()
    assert completed("@e") == ["plain,@empty", "plain,@extra"]
    assert {"plain,@tools", "plain,@^workshop"} <= {*completed("@")}
    assert (completed("e"), shop.asked) == ([], [])


def test_what_was_not_asked_for_is_not_taken_away(equipped: Machine, shop: Shop) -> None:
    assert error(equipped, shop, "uninstall", "saw", "handle") == [
        "never asked for: handle, saw (handle: layered because others need it; "
        "saw: belongs to @tools, and goes with that alone)",
        "hint: asked for is: @tools",
    ]
    assert error(equipped, shop, "uninstall", "@more")[0] == "never asked for: @more"
    assert run(equipped, shop, "uninstall", "--idempotent", "@more") == "No change.\n"


def test_a_group_goes_without_a_network_and_others_stay(machine: Machine, shop: Shop) -> None:
    before = machine.pending().checksum
    run(machine, shop, "install", "saw")
    alone = machine.pending().checksum
    run(machine, shop, "install", "@tools", "@more")
    shop.asked.clear()
    machine.layer("uninstall", "-y", "@more", "saw")
    assert machine.layered() == ["glue", "grip", "hammer", "handle", "saw", "tape"]
    machine.layer("uninstall", "-y", "@tools")
    assert (machine.pending().checksum, shop.asked) == (before, [])
    run(machine, shop, "install", "saw")
    assert machine.pending().checksum == alone


def test_an_upgrade_follows_the_list_and_nothing_else_does(
    machine: Machine, own_shop: Shop
) -> None:
    run(machine, own_shop, "install", "@more")
    changed = comps({**GROUPS, "more": "<packagereq>lamp</packagereq>"})
    own_shop.publish(changed)
    run(machine, own_shop, "install", "saw")
    assert machine.layered() == ["bench", "saw"]
    run(machine, own_shop, "upgrade")
    assert (machine.layered(), recorded(machine)) == (["lamp", "saw"], {"@more": ["lamp"]})
    assert "No upgrade available." in run(machine, own_shop, "upgrade")


def test_a_group_that_is_listed_no_longer_stays_what_it_was(
    machine: Machine, own_shop: Shop
) -> None:
    run(machine, own_shop, "install", "@more")
    own_shop.publish(comps({"tools": MEMBERS}), [tiny_rpm("bench", version="2")])
    plan = run(machine, own_shop, "upgrade")
    assert "Groups that stay what they were:\n  @more: no enabled repository has the group" in plan
    assert recorded(machine) == {"@more": ["bench"]}
    assert [str(p) for p in layered(machine)] == ["bench-2-1.noarch"]


def test_a_dead_repository_takes_no_package_from_a_group(
    machine: Machine, own_shop: Shop, tmp_path: Path
) -> None:
    members = "<packagereq>bench</packagereq><packagereq>pear</packagereq>"
    own_shop.publish(comps({**GROUPS, "fruit": members}))
    run(machine, own_shop, "install", "@fruit")
    (tmp_path / "dead").mkdir()
    file = write_repo_file(tmp_path / "dead", "tiny", "http://127.0.0.1:1/")
    file.write_text(f"{file.read_text()}skip_if_unavailable=1\n")
    options = ["--sysroot", str(machine.path), *own_shop.options]
    done = layer("upgrade", "-y", *options, "--repo-dir", str(tmp_path / "dead"), status=1)
    assert "repository tiny" in done.stderr and "pear" in done.stderr
    assert recorded(machine) == {"@fruit": ["bench", "pear"]}


def layered(machine: Machine) -> list[object]:
    """The layered packages."""
    host = machine.host()
    return [p.nevra for p in host.lock_of(host.require_pending()).packages]


def test_a_group_that_no_longer_fits_blocks_an_upgrade_by_its_name(
    machine: Machine, own_shop: Shop
) -> None:
    run(machine, own_shop, "install", "@more", "saw")
    broken = tiny_rpm("bench", version="2", requires=("nowhere-to-be-had",))
    for file in (own_shop.path / "packages").rglob("bench-*.rpm"):
        file.unlink()
    own_shop.publish(comps(GROUPS), [broken])
    lines = error(machine, own_shop, "upgrade")
    assert lines[:2] == ["these layers cannot be taken along:", "  @more:"]
    assert "    -> layer uninstall @more" in lines
    run(machine, own_shop, "upgrade", "--skip-broken")
    assert machine.layered() == ["saw"]
    assert [r["request"] for r in first(machine)["left-out-requests"]] == ["@more"]
    assert recorded(machine) == {"@more": ["bench"]}


def test_a_member_that_an_override_took_away_does_not_come_back(
    machine: Machine, shop: Shop
) -> None:
    run(machine, shop, "install", "--allow-inactive", "@basic", "@more")
    layer("override", "remove", "-y", "--sysroot", str(machine.path), "tiny-libc")
    run(machine, shop, "install", "saw")
    run(machine, shop, "upgrade")
    assert machine.layered() == ["bench", "saw"]
    assert [r["request"] for r in first(machine)["inactive-requests"]] == ["@basic"]
    layer("override", "reset", "-y", "--sysroot", str(machine.path), "tiny-libc")
    assert recorded(machine) == {"@basic": ["tiny-libc", "tiny-tools"], "@more": ["bench"]}


def test_a_lock_carries_groups_to_another_machine(
    equipped: Machine, machine: Machine, shop: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "tools.lock"
    layer("lock", "export", "--sysroot", str(equipped.path), str(file))
    options = [*shop.options, "--sysroot", str(machine.path)]
    layer("lock", "import", "-y", *options, str(file))
    assert machine.pending().checksum == equipped.pending().checksum
    assert recorded(machine) == {"@tools": TOOLS}


def test_a_plan_carries_groups(machine: Machine, shop: Shop, tmp_path: Path) -> None:
    file = str(tmp_path / "plan")
    options = [*shop.options, "--sysroot", str(machine.path)]
    layer("plan", "-o", file, "install", *options, "@more")
    layer("apply", "-y", "--sysroot", str(machine.path), file)
    assert (machine.layered(), recorded(machine)) == (["bench"], {"@more": ["bench"]})


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("groups=more;", "the origin file says groups=more; it is @NAME"),
        ("group-members=[]", "the origin file says group-members=[]; it is an object of lists"),
        ("group-members={", "the origin file says group-members={: "),
    ],
)
def test_a_damaged_record_is_an_error(line: str, fact: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_origin(f"[origin]\nbaserefspec=r:x\n[layer]\n{line}\n")
    assert caught.value.message.startswith(fact)
