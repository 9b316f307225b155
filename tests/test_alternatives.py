"""Alternatives: who takes a name, who gives it back, and that no link ever dangles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer.alternatives import choose, format_record, parse_record
from layer.audit.verdict import Alternative
from layer.errors import InvalidInput
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_rpm
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
        target = str(file.readlink())
        assert target.startswith("/")
        path = target[1:]
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


def test_every_link_has_an_owner_on_record(edited: Machine) -> None:
    do(edited, "install", "-y", "better")
    paths = ("/usr/bin/editor", "/etc/alternatives/editor")
    done = layer("db", "owner", "--sysroot", str(edited.path), *paths)
    assert done.stdout == "".join(f"{path}: layer\n" for path in paths)


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
