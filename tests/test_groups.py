"""Groups of packages: what repositories list, and what becomes of damaged lists."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.errors import InvalidInput, NotFound
from layer.groups import Catalogue, Environment, Group, Member, merged, parse_groups
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do
from tests.world import Machine, layer, write_repo_file

COMPS = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE comps PUBLIC "-//Red Hat, Inc.//DTD Comps info//EN" "comps.dtd">
<comps>
  <group>
    <id>tools</id><name xml:lang="de">Werkzeuge</name><name>Tools</name>
    <description>Of all kinds</description><uservisible>true</uservisible>
    <packagelist>
      <packagereq type="mandatory">hammer</packagereq>
      <packagereq type="default">saw</packagereq>
      <packagereq type="optional">drill</packagereq>
      <packagereq type="conditional" requires="hammer">nails</packagereq>
    </packagelist>
  </group>
  <group>
    <id>inner</id><name>Inner</name><description/><uservisible>false</uservisible>
    <packagelist><packagereq>hammer</packagereq></packagelist>
  </group>
  <environment>
    <id>workshop</id><name>A workshop</name><description>All of it</description>
    <grouplist><groupid>tools</groupid><groupid>inner</groupid></grouplist>
    <optionlist><groupid>more</groupid></optionlist>
  </environment>
</comps>
"""


def repository(folder: Path, comps: str | bytes, packing: str = "none") -> list[str]:
    """The options that add a repository with a list of groups."""
    packages = folder / "packages"
    tiny_repository(packages, tiny_rpm("hammer", "/usr/bin/hammer"))
    file = folder / "comps.xml"
    file.write_bytes(comps.encode() if isinstance(comps, str) else comps)
    command = ["modifyrepo_c", "--mdtype=group", f"--compress-type={packing}"]
    if packing == "none":
        command = ["modifyrepo_c", "--mdtype=group", "--no-compress"]
    subprocess.run(
        [*command, str(file), str(packages / "repodata")], check=True, stdout=subprocess.DEVNULL
    )
    (folder / "repos").mkdir()
    write_repo_file(folder / "repos", folder.name, f"file://{packages}")
    return ["--repo-dir", str(folder / "repos")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A repository with groups."""
    yield repository(tmp_path_factory.mktemp("shop"), COMPS)


def group(machine: Machine, verb: str, options: list[str], *words: str, status: int = 0) -> str:
    """What `layer group` prints, or its error."""
    done = layer("group", verb, "--sysroot", str(machine.path), *options, *words, status=status)
    return done.stderr.partition("error: ")[2] if status else done.stdout


def test_groups_are_listed(machine_kept: Machine, shop: list[str]) -> None:
    assert group(machine_kept, "list", shop) == (
        "Environments:\n  workshop  A workshop\n\nGroups:\n  tools  Tools\n"
    )
    assert "  inner  Inner\n" in group(machine_kept, "list", shop, "--hidden")
    found = json.loads(group(machine_kept, "list", shop, "--hidden", "--json"))
    assert found == {
        "environments": [{"id": "workshop", "name": "A workshop"}],
        "groups": [
            {"id": "inner", "name": "Inner", "hidden": True},
            {"id": "tools", "name": "Tools", "hidden": False},
        ],
    }


def test_a_group_and_an_environment_are_shown(machine_kept: Machine, shop: list[str]) -> None:
    tools = (
        "Group tools: Tools\n  Of all kinds\n  mandatory:\n    hammer\n  default:\n    saw\n"
        "  conditional:\n    nails (if hammer)\n  optional:\n    drill\n"
    )
    for word in ("tools", "Tools", "@tools"):
        assert group(machine_kept, "info", shop, word) == tools
    assert group(machine_kept, "info", shop, "^workshop") == (
        "Environment workshop: A workshop\n  All of it\n  groups: tools, inner\n"
        f"  may be added: more\n\n{tools}\nGroup inner: Inner\n  mandatory:\n    hammer\n"
    )
    (found,) = json.loads(group(machine_kept, "info", shop, "--json", "tools"))
    assert found["members"][0] == {"name": "drill", "kind": "optional", "condition": ""}


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2"])
def test_a_list_may_be_packed(machine_kept: Machine, tmp_path: Path, packing: str) -> None:
    options = repository(tmp_path, COMPS, packing)
    assert "tools" in group(machine_kept, "list", options)


def test_unknown_groups_are_one_error(machine_kept: Machine, shop: list[str]) -> None:
    assert group(machine_kept, "info", shop, "nonesuch", status=1) == (
        "no enabled repository has the group nonesuch\n"
        "hint: `layer group list --hidden` shows all\n"
    )
    assert group(machine_kept, "info", shop, "^tools", status=1).startswith(
        "no enabled repository has the environment tools"
    )
    assert group(machine_kept, "list", [*shop[:1], "/usr"], status=1).startswith(
        "no enabled repository lists groups\n"
    )


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (COMPS.encode("utf-16"), "its list of groups is not written in UTF-8"),
        (COMPS[:300], "its list of groups is no XML: no element found"),
        ("<html><body>Log in here</body></html>", "its list of groups lists no groups"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><comps/>', "its list of groups declares entities"),
        ("<comps><group><id>../x</id></group></comps>", "has a group whose id is none: '../x'"),
        (
            "<comps><group><id>x</id><packagelist><packagereq>a/b</packagereq></packagelist>"
            "</group></comps>",
            "names no package in a group: 'a/b'",
        ),
    ],
)
def test_a_bad_list_is_one_error_of_those_who_want_groups(
    machine_kept: Machine, tmp_path: Path, content: str | bytes, fact: str
) -> None:
    options = repository(tmp_path, content)
    error = group(machine_kept, "list", options, status=1)
    assert error.startswith(f"repository {tmp_path.name} (file://") and fact in error
    assert len(error.splitlines()) == 2
    done = do(machine_kept, "search", *options, "hammer")
    assert "hammer.noarch" in done.stdout


def test_an_environment_that_names_no_group_is_an_error(
    machine_kept: Machine, tmp_path: Path
) -> None:
    loop = (
        "<comps><environment><id>e</id><name>E</name><grouplist><groupid>e</groupid>"
        "</grouplist></environment></comps>"
    )
    options = repository(tmp_path, loop)
    assert group(machine_kept, "info", options, "e", status=1).startswith(
        "environment e names groups that no enabled repository has: e\n"
    )


def test_a_group_of_two_repositories_has_the_packages_of_both() -> None:
    one, other = (
        Catalogue((Group("g", name, "", (Member(name, "default"),)),)) for name in ("one", "two")
    )
    (found,) = merged([one, other]).groups
    assert (found.name, [member.name for member in found.members]) == ("one", ["one", "two"])


def test_parsing_keeps_what_is_said() -> None:
    found = parse_groups(COMPS.encode())
    assert found.environments == (
        Environment("workshop", "A workshop", "All of it", ("tools", "inner"), ("more",)),
    )
    with pytest.raises(InvalidInput):
        parse_groups(b"\xff\xfe\x00")
    with pytest.raises(NotFound):
        found.find("@^tools")


# What else lists have: text in pieces, kinds that are not said, conditions that are no condition.
_ODD = """\
<comps><group><id> spaced </id><name>A &amp; <![CDATA[B]]></name><description>of <!-- no --> two
lines</description><default>true</default><display_order>7</display_order>
<packagelist><packagereq>plain</packagereq><packagereq type="default">half</packagereq>
<packagereq type="optional" requires="hammer">late</packagereq></packagelist></group>
<group><id>none</id><name>None</name><description>-</description><packagelist/></group>
<category><id>c</id><name>C</name><description>-</description>
<grouplist><groupid>none</groupid></grouplist></category>
<environment><id>e</id><name>E</name><description>-</description>
<grouplist><groupid>none</groupid></grouplist>
<optionlist><groupid default="true">spaced</groupid><groupid>none</groupid></optionlist>
</environment><langpacks><match name="a" install="a-%s"/></langpacks></comps>
"""
_LIBCOMPS = """\
import json, libcomps, sys
comps = libcomps.Comps()
if comps.fromxml_str(sys.stdin.read()) < 0:
    sys.exit("not parsed")
kinds = {libcomps.PACKAGE_TYPE_MANDATORY: "mandatory", libcomps.PACKAGE_TYPE_DEFAULT: "default",
    libcomps.PACKAGE_TYPE_OPTIONAL: "optional", libcomps.PACKAGE_TYPE_CONDITIONAL: "conditional"}
def text(value):
    return "".join((value or "").split())
json.dump([
    [[text(g.id), text(g.name), text(g.desc), not g.uservisible,
        sorted([p.name, kinds[p.type], p.requires or ""] for p in g.packages)]
        for g in sorted(comps.groups, key=lambda g: text(g.id))],
    [[e.id, text(e.name), text(e.desc), [i.name for i in e.group_ids],
        [i.name for i in e.option_ids]] for e in comps.environments],
], sys.stdout)
"""


def _by_libcomps(content: str) -> subprocess.CompletedProcess[str]:
    """What libcomps makes of a list, in a process of its own."""
    command = [sys.executable, "-c", _LIBCOMPS]
    return subprocess.run(command, input=content, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("content", [COMPS, _ODD], ids=["usual", "odd"])
def test_a_list_is_read_as_libcomps_reads_it(content: str) -> None:
    """But for spaces, of which it loses some beside entities and at the ends of lines."""

    def texts(found: Group | Environment) -> list[str]:
        return ["".join(text.split()) for text in (found.id, found.name, found.description)]

    found = parse_groups(content.encode())
    groups = [
        [*texts(g), g.is_hidden, [[m.name, m.kind, m.condition] for m in g.members]]
        for g in found.groups
    ]
    environments = [[*texts(e), [*e.groups], [*e.optional]] for e in found.environments]
    assert json.loads(_by_libcomps(content).stdout) == [groups, environments]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<html><body>Log in here</body></html>",
        "<comps><group><id>a</id><uservisible/></group></comps>",
        "<comps><langpacks><match/></langpacks></comps>",
    ],
)
def test_why_libcomps_reads_no_list_for_us(content: str) -> None:
    """It ends the process, also where the XML is well formed: nothing could tell a person."""
    asked = ["dpkg-query", "-Wf${Version}", "python3-libcomps"]
    if not subprocess.check_output(asked, text=True).startswith("0.1.19-"):
        pytest.skip("another libcomps than Debian 12's")
    assert _by_libcomps(content).returncode == -signal.SIGSEGV
