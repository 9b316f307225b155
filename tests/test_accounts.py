"""Numbers of users and groups: the same on every machine and for ever."""

from __future__ import annotations

import base64
import functools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer import ids, verbs
from layer.errors import InvalidInput, PackageRefused
from layer.ids import Accounts, UserLine
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.world import Machine, World, base_packages, remove

NOBODY = Accounts()


def with_user(package: str, user: str, version: str = "1") -> RpmSpec:
    """A package with a user of its own, who owns a file."""
    return tiny_rpm(
        package,
        FileSpec(f"/usr/lib/sysusers.d/{package}.conf", f"u {user} -\n".encode()),
        FileSpec(f"/usr/share/{package}", b"x", mode=0o640, user=user, group=user),
        version=version,
    )


@functools.cache
def colliding_names(count: int) -> list[str]:
    """Names whose natural number is one and the same, sorted."""
    wanted: dict[int, list[str]] = {}
    for index in range(100_000):
        name = f"u{index}"
        lines, _ = ids.assign([UserLine("u", name, "-")], NOBODY, NOBODY, {})
        found = wanted.setdefault(int(lines[0].number), [])
        found.append(name)
        if len(found) == count:
            return sorted(found)
    raise AssertionError("no such names")


def numbers(machine: Machine) -> dict[str, int]:
    """The users in what boots next."""
    lines = (machine.pending().path / "usr/etc/passwd").read_text().splitlines()
    return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}


def test_a_number_follows_from_the_name_alone() -> None:
    one, _ = ids.assign([UserLine("u", "postgres", "-")], NOBODY, NOBODY, {})
    others = [UserLine("u", name, "-") for name in ("zabbix", "aaa", "postgres")]
    many, exceptions = ids.assign(others, NOBODY, NOBODY, {})
    assert one[0] in many
    assert exceptions == {}
    assert ids.FIRST <= int(one[0].number) <= ids.LAST


def test_names_that_meet_are_served_in_their_order() -> None:
    first, second = colliding_names(2)
    lines = [UserLine("u", second, "-"), UserLine("u", first, "-")]
    numbered, exceptions = ids.assign(lines, NOBODY, NOBODY, {})
    found = {line.name: int(line.number) for line in numbered}
    span = ids.LAST - ids.FIRST + 1
    assert found[second] == (found[first] - ids.FIRST + 1) % span + ids.FIRST
    assert exceptions == {}


def test_a_name_that_sorts_first_moves_nobody() -> None:
    """Who was there keeps the number; what differs from the names alone is an exception."""
    first, second = colliding_names(2)
    alone, _ = ids.assign([UserLine("u", second, "-")], NOBODY, NOBODY, {})
    kept = int(alone[0].number)
    both = [UserLine("u", first, "-"), UserLine("u", second, "-")]
    numbered, exceptions = ids.assign(both, NOBODY, NOBODY, {second: kept})
    found = {line.name: int(line.number) for line in numbered}
    assert found[second] == kept
    assert exceptions == found
    assert ids.assign(both, NOBODY, NOBODY, exceptions) == (numbered, exceptions)


@given(st.data())
def test_exceptions_given_back_give_the_same_numbers(data: st.DataObject) -> None:
    """What makes the commit a function of base and lock."""
    names = data.draw(st.lists(st.sampled_from("abcdefgh"), unique=True))
    few = st.integers(ids.FIRST, ids.FIRST + 9)
    previous = data.draw(st.dictionaries(st.sampled_from("abcdefgh"), few))
    taken = data.draw(st.dictionaries(st.sampled_from("uvwxyz"), few))
    lines = [UserLine(kind, name, "-") for name in names for kind in "gu"]
    present = Accounts(taken, taken)
    numbered, exceptions = ids.assign(lines, present, NOBODY, previous)
    assert ids.assign(lines, present, NOBODY, exceptions) == (numbered, exceptions)
    found = {line.name: line.number for line in numbered}
    assert len(set(found.values())) == len(names)
    assert not {int(number) for number in found.values()} & set(taken.values())


def test_the_bases_map_comes_before_the_name() -> None:
    lines = [UserLine("u", "mapped", "-")]
    numbered, _ = ids.assign(lines, NOBODY, Accounts({"mapped": 321}, {"mapped": 321}), {})
    assert numbered == (UserLine("u", "mapped", "321"),)


def test_an_account_of_the_base_stays_as_it_is() -> None:
    present = Accounts({"www": 33}, {"www": 33})
    assert ids.assign([UserLine("u", "www", "-")], present, NOBODY, {}) == ((), {})


def test_users_lines_keep_what_they_say_of_home_and_shell() -> None:
    text = 'u alpha - "Alpha daemon" /var/lib/alpha /bin/sh\ng beta 77\nm alpha beta\n'
    lines = ids.parse_sysusers(text, "x")
    numbered, _ = ids.assign(lines, NOBODY, NOBODY, {"alpha": 400})
    assert ids.format_sysusers(numbered) == (
        'g alpha 400\nu alpha 400 "Alpha daemon" /var/lib/alpha /bin/sh\ng beta 77\n'
    )


def test_a_user_with_another_primary_group_gets_its_number_by_the_same_rule() -> None:
    """Else systemd-sysusers would take one that hangs on who else is there."""
    alone, _ = ids.assign([UserLine("u", "alpha", "-")], NOBODY, NOBODY, {})
    lines = ids.parse_sysusers('u alpha -:nogroup "Alpha daemon"\n', "x")
    numbered, exceptions = ids.assign(lines, NOBODY, NOBODY, {})
    expected = f'u alpha {alone[0].number}:nogroup "Alpha daemon"\n'
    assert (ids.format_sysusers(numbered), exceptions) == (expected, {})
    kept, exceptions = ids.assign(lines, NOBODY, NOBODY, {"alpha": 400})
    assert ids.format_sysusers(kept) == 'u alpha 400:nogroup "Alpha daemon"\n'
    assert ids.assign(lines, NOBODY, NOBODY, exceptions) == (kept, exceptions)


def test_a_map_of_a_newer_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match="schema 9"):
        ids.parse_map('{"schema": 9, "users": {}, "groups": {}}')


def test_no_existing_id_moves_whatever_comes(own_world: World, tmp_path: Path) -> None:
    """Users that sort first, packages that come and go, and an upgrade of the base."""
    first, second, third = colliding_names(3)
    own_world.publish(with_user("one", first), with_user("two", second), with_user("three", third))
    machine = own_world.machine(tmp_path / "machine")
    machine.install("two")
    kept = numbers(machine)[second]
    machine.install("one", "three")
    assert numbers(machine)[second] == kept
    before = numbers(machine)
    own_world.publish(*base_packages("2"))
    own_world.compose()
    machine.apply(verbs.upgrade)
    assert numbers(machine) == before
    machine.uninstall("one")
    after = numbers(machine)
    assert (after[second], after[third]) == (before[second], before[third])
    remove([machine.path])


def test_machines_with_different_histories_agree(own_world: World, tmp_path: Path) -> None:
    names = ("mallory", "alice", "bob", "trent")
    own_world.publish(*(with_user(f"has-{name}", name) for name in names))
    packages = [f"has-{name}" for name in names]
    one = own_world.machine(tmp_path / "one")
    for package in packages:
        one.install(package)
    other = own_world.machine(tmp_path / "other")
    other.install("daemon", *reversed(packages))
    other.uninstall("daemon", packages[0])
    other.install(packages[0])
    assert numbers(one) == numbers(other)
    assert one.pending().checksum == other.pending().checksum
    remove([one.path, other.path])


def test_an_owner_that_nothing_defines_is_refused_by_name(own_world: World, tmp_path: Path) -> None:
    own_world.publish(
        tiny_rpm("orphans", FileSpec("/usr/share/a", b"", user="ghost", group="phantoms"))
    )
    machine = own_world.machine(tmp_path / "machine")
    before = machine.pending()
    with pytest.raises(PackageRefused) as caught:
        machine.install("orphans")
    assert caught.value.message == (
        "owners that nothing defines:\n"
        "  orphans-1-1.noarch: /usr/share/a: no user ghost\n"
        "  orphans-1-1.noarch: /usr/share/a: no group phantoms"
    )
    assert machine.pending() == before
    remove([machine.path])


def provide(kind: str, name: str, line: str) -> str:
    """As rpm 4.19's generator writes it."""
    return f"{kind}({name}) = {base64.b64encode(line.encode()).decode()}"


def test_accounts_come_from_rpms_provides_too(own_world: World, tmp_path: Path) -> None:
    own_world.publish(
        tiny_rpm(
            "modern",
            FileSpec("/usr/share/modern", b"", user="modern", group="moderns"),
            provides=(
                provide("user", "modern", 'u modern - "Modern" /var/lib/modern'),
                provide("group", "moderns", "g moderns 555"),
                provide("groupmember", "modern/moderns", "m modern moderns"),
            ),
        )
    )
    machine = own_world.machine(tmp_path / "machine")
    tree = machine.install("modern").path
    group = (tree / "usr/etc/group").read_text()
    assert "moderns:x:555:modern\n" in group
    assert (tree / "usr/share/modern").stat().st_uid == numbers(machine)["modern"]
    assert (tree / "usr/share/modern").stat().st_gid == 555
    remove([machine.path])


@pytest.mark.parametrize("coded", ["%%%", base64.b64encode(b"r - 500-900").decode(), "bm90aGluZw"])
def test_a_provide_that_is_no_line_is_refused(coded: str) -> None:
    with pytest.raises(PackageRefused, match=r"is not a line of sysusers\.d"):
        ids.provided_sysusers([f"user(x) = {coded}"], "package")


def test_a_base_with_altfiles_shares_new_accounts(own_world: World, tmp_path: Path) -> None:
    release, *others = base_packages("2")
    altfiles = tiny_rpm(
        "altfiles",
        FileSpec("/usr/lib/passwd", b"bin:x:1:1:bin:/bin:/sbin/nologin\n"),
        FileSpec("/usr/lib/group", b"bin:x:1:\n"),
    )
    treefile = own_world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"tiny-libc"', '"tiny-libc", "altfiles"'))
    own_world.publish(release, *others, altfiles, with_user("has-eve", "eve"))
    own_world.compose()
    machine = own_world.machine(tmp_path / "machine")
    tree = machine.install("has-eve").path
    number = numbers(machine)["eve"]
    assert (tree / "usr/lib/passwd").read_text() == (
        f"bin:x:1:1:bin:/bin:/sbin/nologin\neve:x:{number}:{number}::/:/usr/sbin/nologin\n"
    )
    assert (tree / "usr/lib/group").read_text() == f"bin:x:1:\neve:x:{number}:\n"
    remove([machine.path])
