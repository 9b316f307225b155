"""Alternatives: who takes a name, who gives it back, and that no link ever dangles."""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer.alternatives import RECORD, choose, format_record, parse_admin_file, parse_record
from layer.audit.verdict import Alternative
from layer.errors import InvalidInput
from layer.offers import read_offers
from layer.store.objects import OstreeStore
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_rpm
from testdata.triggers import hosttree
from tests.cli import do
from tests.world import Machine, World, base_packages, layer, remove

INSTALL = "update-alternatives --install /usr/bin/editor editor /usr/bin/{0} {1}{2}\n"
SLAVE = " --slave /usr/share/man/editor.1 editor.1 /usr/share/man/{0}.1"


def editor(name: str, priority: int, *, has_page: bool, is_page_there: bool = True) -> RpmSpec:
    body = INSTALL.format(name, priority, SLAVE.format(name) if has_page else "")
    page = [FileSpec(f"/usr/share/man/{name}.1", b"page\n")] if has_page and is_page_there else []
    return tiny_rpm(
        name, f"/usr/bin/{name}", *page, scriptlets=(Scriptlet("post", body),), arch="x86_64"
    )


@pytest.fixture
def edited(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose base has the editor `plain`, with others on offer."""
    own_world.publish(
        editor("plain", 30, has_page=True),
        editor("better", 50, has_page=True),
        editor("worse", 10, has_page=True),
        editor("terse", 90, has_page=False),
        editor("pageless", 95, has_page=True, is_page_there=False),
        tiny_rpm("owner", "/usr/bin/viewer"),
        tiny_rpm(
            "taker",
            "/usr/bin/taker",
            scriptlets=(
                Scriptlet(
                    "post",
                    "update-alternatives --install /usr/bin/viewer viewer /usr/bin/taker 10\n",
                ),
            ),
        ),
    )
    treefile = own_world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"tiny-libc"', '"tiny-libc", "plain"'))
    own_world.publish(*base_packages("2"))
    own_world.compose()
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def leads(machine: Machine, name: str = "editor") -> str:
    """What /usr/bin/NAME of the pending deployment leads to; "" for nothing."""
    return resolve(machine.pending().path, f"usr/bin/{name}")


def resolve(tree: Path, path: str) -> str:
    for _ in range(5):
        file = tree / path
        if not file.is_symlink():
            return f"/{path}" if file.exists() else ""
        target = posixpath.join("/", posixpath.dirname(path), file.readlink())
        path = re.sub("^etc/", "usr/etc/", posixpath.normpath(target)[1:])
    raise AssertionError("links without an end")


def page(machine: Machine) -> str:
    return resolve(machine.pending().path, "usr/share/man/editor.1")


def test_a_higher_priority_takes_the_name_and_removal_gives_it_back(edited: Machine) -> None:
    assert (leads(edited), page(edited)) == ("/usr/bin/plain", "/usr/share/man/plain.1")
    base = edited.pending().checksum
    do(edited, "install", "-y", "better", "worse")
    assert (leads(edited), page(edited)) == ("/usr/bin/better", "/usr/share/man/better.1")
    do(edited, "uninstall", "-y", "better")
    assert (leads(edited), page(edited)) == ("/usr/bin/plain", "/usr/share/man/plain.1")
    do(edited, "reset", "-y")
    assert edited.pending().checksum == base


@pytest.mark.parametrize("name", ["terse", "pageless"])
def test_no_slave_dangles_or_leads_to_another_program(edited: Machine, name: str) -> None:
    do(edited, "install", "-y", name)
    assert leads(edited) == f"/usr/bin/{name}"
    tree = edited.pending().path
    assert not (tree / "usr/share/man/editor.1").is_symlink()
    assert not (tree / "usr/etc/alternatives/editor.1").is_symlink()


def test_a_page_left_out_with_the_documentation_leaves_no_link(edited: Machine) -> None:
    body = INSTALL.format("paged", 70, SLAVE.format("paged"))
    edited.world.publish(
        tiny_rpm(
            "paged",
            "/usr/bin/paged",
            FileSpec("/usr/share/man/paged.1", b"page\n", doc=True),
            scriptlets=(Scriptlet("post", body),),
        )
    )
    do(edited, "install", "-y", "--no-docs", "paged")
    assert leads(edited) == "/usr/bin/paged"
    assert not (edited.pending().path / "usr/share/man/editor.1").is_symlink()


def test_an_admins_choice_stays(edited: Machine) -> None:
    do(edited, "install", "-y", "worse")
    link = edited.pending().path / "etc/alternatives/editor"
    link.unlink()
    link.symlink_to("/usr/bin/worse")
    do(edited, "install", "-y", "better")
    tree = edited.pending().path
    assert str((tree / "etc/alternatives/editor").readlink()) == "/usr/bin/worse"
    assert str((tree / "usr/etc/alternatives/editor").readlink()) == "/usr/bin/better"


def test_a_file_of_a_package_is_not_made_a_link(edited: Machine) -> None:
    do(edited, "install", "-y", "owner", "taker")
    tree = edited.pending().path
    assert not (tree / "usr/bin/viewer").is_symlink()
    assert not (tree / "usr/etc/alternatives/viewer").is_symlink()


def test_what_the_base_has_in_place_of_its_own_link_is_noted_with_no_layer(
    edited: Machine,
) -> None:
    body = "update-alternatives --install /usr/bin/settled settled /usr/bin/editor 10\n"
    edited.world.publish(
        *base_packages("3"),
        tiny_rpm("settled", "/usr/bin/settled", scriptlets=(Scriptlet("post", body),)),
    )
    treefile = edited.world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"plain"', '"plain", "settled"'))
    edited.world.compose()
    do(edited, "upgrade", "-y")
    assert "is there already" not in do(edited, "install", "-y", "better").stderr
    shown = do(edited, "install", "-y", "owner", "taker").stderr
    assert "note: /usr/bin/viewer is there already; it is not made a link" in shown


def test_every_link_has_an_owner_on_record(edited: Machine) -> None:
    do(edited, "install", "-y", "better")
    paths = ("/usr/bin/editor", "/etc/alternatives/editor")
    done = layer("db", "owner", "--sysroot", str(edited.path), *paths)
    assert done.stdout == "".join(f"{path}: layer\n" for path in paths)


# --- a base of other makers ---------------------------------------------------------------------

DPKG = """\
auto
/usr/bin/editor
editor.1
/usr/share/man/editor.1

/usr/bin/plain
30
/usr/share/man/plain.1
/usr/bin/plainer
5


"""
FEDORA = """\
auto
/usr/bin/editor
editor.1
/usr/share/man/editor.1

@editors@/usr/bin/plain
30 plain.service
/usr/share/man/plain.1
"""
PLACES = (
    ("/usr/lib/alternatives", FEDORA),
    ("/usr/lib/dpkg/alternatives", DPKG),
    pytest.param("/etc/alternatives-admindir", FEDORA, marks=pytest.mark.slow),
    pytest.param("/var/lib/alternatives", FEDORA, marks=pytest.mark.slow),
    pytest.param("/var/lib/dpkg/alternatives", DPKG, marks=pytest.mark.slow),
)
PLAIN = ("/usr/bin/plain", "/usr/share/man/plain.1")


def foreign(world: World, path: Path, *admin: FileSpec, link: str = "/usr/bin/plain") -> Machine:
    """A machine whose base has alternatives that layer did not make, and perhaps says of them."""
    world.publish(
        tiny_rpm(
            "plain",
            *("/usr/bin/plain", "/usr/bin/plainer"),
            FileSpec("/usr/share/man/plain.1", b"page\n"),
            FileSpec.symlink("/usr/bin/editor", "/etc/alternatives/editor"),
            # Some tools that make images write links that hold in any root.
            FileSpec.symlink("/usr/share/man/editor.1", "../../../etc/alternatives/editor.1"),
            FileSpec.symlink("/etc/alternatives/editor", link),
            FileSpec.symlink("/etc/alternatives/editor.1", "/usr/share/man/plain.1"),
            *admin,
            arch="x86_64",
        ),
        editor("better", 50, has_page=True),
        editor("equal", 30, has_page=True),
        editor("worse", 10, has_page=True),
        editor("terse", 90, has_page=False),
    )
    treefile = world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"tiny-libc"', '"tiny-libc", "plain"'))
    world.publish(*base_packages("2"))
    world.compose()
    machine = world.machine(path)
    assert not (machine.pending().path / RECORD).exists()
    return machine


def notes(machine: Machine, *words: str) -> list[str]:
    done = do(machine, "install", "-y", *words)
    return [line for line in (done.stdout + done.stderr).splitlines() if "left to the base" in line]


@pytest.mark.parametrize(("place", "text"), PLACES)
def test_the_priority_of_another_tools_base_counts(
    own_world: World, tmp_path: Path, place: str, text: str
) -> None:
    machine = foreign(own_world, tmp_path / "machine", FileSpec(f"{place}/editor", text.encode()))
    base = machine.pending().checksum
    assert notes(machine, "worse", "equal") == []
    assert (leads(machine), page(machine)) == PLAIN
    assert notes(machine, "better") == []
    assert (leads(machine), page(machine)) == ("/usr/bin/better", "/usr/share/man/better.1")
    do(machine, "install", "-y", "terse")
    assert leads(machine) == "/usr/bin/terse"
    assert not (machine.pending().path / "usr/share/man/editor.1").is_symlink()
    assert not (machine.pending().path / "usr/etc/alternatives/editor.1").is_symlink()
    do(machine, "uninstall", "-y", "better", "terse")
    assert (leads(machine), page(machine)) == PLAIN
    do(machine, "reset", "-y")
    assert machine.pending().checksum == base
    remove([tmp_path / "machine"])


UNKNOWN = "with which priority is not known"
BY_HAND = "its makers have set it by hand"


@pytest.mark.parametrize(
    ("text", "link", "reason"),
    [
        pytest.param("", PLAIN[0], UNKNOWN, id="nothing-said"),
        pytest.param("rubbish\n", PLAIN[0], UNKNOWN, id="rubbish"),
        pytest.param(DPKG.replace("auto", "manual"), PLAIN[0], BY_HAND, id="manual"),
        pytest.param(DPKG, "/usr/bin/sh", BY_HAND, id="none-of-the-offers"),
    ],
)
def test_a_base_that_does_not_say_keeps_its_link_and_that_is_noted(
    own_world: World, tmp_path: Path, text: str, link: str, reason: str
) -> None:
    admin = [FileSpec("/usr/lib/alternatives/editor", text.encode())] if text else []
    machine = foreign(own_world, tmp_path / "machine", *admin, link=link)
    before = leads(machine)
    assert before != ""
    found = notes(machine, "better", "terse")
    assert len(found) == 2
    assert f"/usr/bin/editor is left to the base, {reason}: it does not lead to" in found[0]
    assert (leads(machine), page(machine)) == (before, PLAIN[1])
    do(machine, "uninstall", "-y", "better")
    assert (leads(machine), page(machine)) == (before, PLAIN[1])
    remove([tmp_path / "machine"])


def test_a_link_of_the_base_that_leads_nowhere_is_taken(own_world: World, tmp_path: Path) -> None:
    machine = foreign(own_world, tmp_path / "machine", link="/usr/bin/left-out")
    assert leads(machine) == ""
    assert notes(machine, "better") == []
    assert leads(machine) == "/usr/bin/better"
    remove([tmp_path / "machine"])


@pytest.mark.parametrize("place", ["var/lib/dpkg/alternatives", "var/lib/alternatives"])
def test_a_commit_with_content_in_var_says_it_too(tmp_path: Path, place: str) -> None:
    store = OstreeStore.create(tmp_path / "repo")
    link = hosttree.link("/usr/bin/plain")
    with store.transaction():
        entries = {f"{place}/editor": hosttree.text(DPKG), "usr/etc/alternatives/editor": link}
        tree = hosttree.make(store, entries)
    ours = Alternative("/usr/bin/editor", "editor", "/usr/bin/better", 50, ())
    found = read_offers(store, tree, [ours])
    assert [(o.path, o.priority) for o in found.offers] == [
        ("/usr/bin/plain", 30),
        ("/usr/bin/plainer", 5),
    ]
    assert found.kept == {}


@pytest.mark.parametrize(
    "path", sorted(Path("/var/lib/dpkg/alternatives").glob("*")), ids=lambda path: path.name
)
def test_this_machines_own_files_are_understood(path: Path) -> None:
    query = ["update-alternatives", "--query", path.name]
    said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    found = parse_admin_file(path.read_text(), path.name)
    assert found is not None
    stanzas = [dict(re.findall(r"^(\w+): (.*)", part, re.M)) for part in said.split("\n\n")]
    assert {(o.path, o.priority) for o in found.offers} == {
        (stanza["Alternative"], int(stanza["Priority"])) for stanza in stanzas[1:]
    }
    assert {o.link for o in found.offers} == {stanzas[0]["Link"]}
    slaves = {(name, path) for o in found.offers for _, name, path in o.slaves}
    assert slaves == {
        pair
        for part in said.split("\n\n")[1:]
        for pair in re.findall(r"^ (\S+) (\S+)$", part, re.M)
    }
    assert found.is_manual == (stanzas[0]["Status"] == "manual")


@given(st.text("am/\n 1xuto@", max_size=40))
def test_any_text_is_an_admin_file_or_none(text: str) -> None:
    found = parse_admin_file(text, "x")
    assert found is None or found.offers


offers = st.builds(
    lambda n, p, prio, slaves: Alternative(
        f"/usr/bin/{n}", n, f"/usr/bin/{p}", prio, tuple(slaves)
    ),
    st.sampled_from("ab"),
    st.sampled_from("xyz"),
    st.integers(-5, 5),
    st.lists(
        st.builds(
            lambda s, p: (f"/usr/share/{s}", f"s{s}", f"/usr/share/{p}"),
            st.sampled_from("cd"),
            st.sampled_from("uv"),
        ),
        max_size=2,
        unique_by=lambda slave: slave[1],
    ),
)


@given(st.lists(offers), st.sets(st.sampled_from([f"/usr/bin/{c}" for c in "xyz"])))
def test_order_counts_for_nothing_and_nothing_dangles(
    listed: list[Alternative], there: set[str]
) -> None:
    chosen = choose(listed, there.__contains__)
    assert choose(listed[::-1], there.__contains__) == chosen
    assert {c.path for c in chosen} <= there
    assert {c.name for c in chosen} >= {o.name for o in listed if o.path in there}
    assert set(parse_record(format_record(listed), "x")) == {
        Alternative(o.link, o.name, o.path, o.priority, tuple(sorted(o.slaves))) for o in listed
    }


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "alternatives": [1]}'])
def test_a_broken_record_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="the record"):
        parse_record(text, "the record")
