"""What was asked for, over several bases: inactive, blocked, left out, and back again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.blockers import Blocker, fewest, find_blockers
from layer.errors import LayerError, Unsolvable
from layer.model import Request, RequestKind
from testdata.distro.tiny import FileSpec, RpmSpec, tiny_rpm
from tests.cli import REBOOT, do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import Machine, World, remove


@pytest.fixture
def moving(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine in a world of the test's own, which may move on."""
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def base_with(world: World, *names: str, specs: tuple[RpmSpec, ...] = ()) -> None:
    """The next base, with these packages beside its own three."""
    world.publish(*specs)
    tree = world.path / "tree.toml"
    lines = tree.read_text().splitlines(keepends=True)
    own = ["tiny-release", "tiny-tools", "tiny-libc", *names]
    listed = ", ".join(f'"{name}"' for name in own)
    line = f"packages = [{listed}]\n"
    tree.write_text("".join(line if old.startswith("packages") else old for old in lines))
    world.compose()


def drop(world: World, *names: str) -> None:
    """Takes packages of version 1 out of the repository, or the one that is named in full."""
    for name in names:
        for file in (*world.packages.rglob(f"{name}-1-1.x86_64.rpm"), *world.packages.rglob(name)):
            file.unlink()
    world.publish()


def test_a_request_over_three_bases(moving: Machine) -> None:
    words = ("apple", "webserver", "/usr/bin/suid", "pear-1")
    do(moving, "install", "-y", *words)
    base_with(moving.world, "web", "suid", "pear")
    plan = do(moving, "upgrade", "-y").stdout
    kept = "In the base already, so kept as an inactive request:\n"
    assert f"{kept}  /usr/bin/suid\n  pear-1\n  webserver\n" in plan
    entry = first(moving)
    assert entry["requested-packages"] == sorted(words)
    assert entry["packages"] == ["apple"]
    assert entry["inactive-requests"] == [
        {"request": "/usr/bin/suid", "reason": "the base has suid-1-1.x86_64"},
        {"request": "pear-1", "reason": "the base has pear-1-1.x86_64"},
        {"request": "webserver", "reason": "the base has web-1-1.x86_64"},
    ]
    shown = do(moving, "status").stdout
    assert "InactiveRequests: webserver (the base has web-1-1.x86_64)\n" in shown
    assert "requested=/usr/bin/suid;apple;pear-1;webserver;\n" in origin_of(moving)
    base_with(moving.world)
    do(moving, "upgrade", "-y")
    entry = first(moving)
    assert (entry["packages"], entry["inactive-requests"]) == (sorted(words), [])
    assert moving.layered() == ["apple", "libseed", "pear", "suid", "web"]


HINT = "hint: each of these was tried and can be done:"
LIBC = tiny_rpm("with-libc", "/usr/bin/with-libc", requires=("tiny-libc = 2.36",), arch="x86_64")
ON_IT = tiny_rpm("on-it", "/usr/bin/on-it", requires=("with-libc",), arch="x86_64")
NEW_LIBC = tiny_rpm(
    "tiny-libc", FileSpec("/usr/lib/libtiny.so.1", b"newer\n"), version="3", arch="x86_64"
)
OTHER_SUID = tiny_rpm("other-suid", FileSpec("/usr/bin/suid", b"other"), arch="x86_64")


@pytest.fixture
def blocked(moving: Machine) -> Machine:
    """A machine whose next base takes four of its six layers no further."""
    moving.world.publish(LIBC, ON_IT)
    do(moving, "install", "-y", "apple", "web", "suid", "with-libc", "on-it", "old-and-new")
    drop(moving.world, "web", "tiny-libc-2.36-1.x86_64.rpm")
    base_with(moving.world, "other-suid", specs=(NEW_LIBC, OTHER_SUID))
    return moving


def test_all_that_blocks_an_upgrade_is_named_with_what_lets_it_pass(blocked: Machine) -> None:
    lines = fails(blocked, "upgrade", "-y")
    tried = lines.index(HINT)
    lines, suggested = lines[:tried], lines[tried + 1 :]
    needs = (
        "    with-libc-1-1.x86_64 needs tiny-libc = 2.36, which no enabled repository provides; "
        "the base has tiny-libc-3-1.x86_64"
    )
    assert lines == [
        "error: these layers do not fit the new base:",
        "  on-it:",
        needs,
        "    -> layer uninstall on-it",
        "  suid:",
        "    these paths have two owners:",
        "      /usr/bin/suid: other-suid-1-1.x86_64 and suid-1-1.x86_64: "
        "different content, mode or owner",
        "    -> layer uninstall suid",
        "       leave out one of the packages",
        "  web:",
        "    no enabled repository has web",
        "    -> layer uninstall web",
        "  with-libc:",
        needs,
        "    -> layer uninstall with-libc",
    ]
    target = f"--sysroot {blocked.path} --repo-dir {blocked.world.repo_dir} "
    assert [line.replace(target, "").strip() for line in suggested] == [
        "layer upgrade --uninstall on-it --uninstall suid --uninstall web --uninstall with-libc"
        "  # on-it, suid, web and with-libc go",
        "layer upgrade --skip-broken  # without on-it, suid, web and with-libc until they fit",
    ]
    assert fails(blocked, "upgrade", "--check") == [*lines, HINT, *suggested]


def test_what_does_not_fit_is_left_out_until_it_fits_again(blocked: Machine) -> None:
    with unchanged(blocked.path / "ostree/deploy"):
        plan = do(blocked, "upgrade", "-n", "--skip-broken").stdout
    assert "Left out until they fit, and kept as requests:\n  on-it: with-libc-1-1" in plan
    assert do(blocked, "upgrade", "-y", "--skip-broken").stdout == f"{plan}{REBOOT}\n"
    assert blocked.layered() == ["apple", "libseed", "old-and-new"]
    entry = first(blocked)
    asked = ["apple", "old-and-new", "on-it", "suid", "web", "with-libc"]
    assert (entry["requested-packages"], entry["packages"]) == (asked, ["apple", "old-and-new"])
    left_out = {one["request"]: one["reason"] for one in entry["left-out-requests"]}
    assert sorted(left_out) == ["on-it", "suid", "web", "with-libc"]
    assert left_out["web"] == "no enabled repository has web"
    assert entry["inactive-requests"] == []
    noted = json.loads(do(blocked, "history", "--json").stdout)[0]
    assert noted["left-out"] == ["on-it", "suid", "web", "with-libc"]
    assert "LeftOut: web (no enabled repository has web)\n" in do(blocked, "status").stdout
    unchanged_words = ("-y", "--skip-broken", "--unchanged-exit-77")
    assert do(blocked, "upgrade", *unchanged_words, status=77).stdout == "No upgrade available.\n"
    do(blocked, "install", "-y", "pear")  # others come and go meanwhile
    do(blocked, "uninstall", "-y", "suid")
    assert [one["request"] for one in first(blocked)["left-out-requests"]] == [
        "on-it",
        "web",
        "with-libc",
    ]
    base_with(
        blocked.world,
        specs=(
            tiny_rpm("web", "/usr/bin/web", arch="x86_64"),
            tiny_rpm("with-libc", requires=("tiny-libc = 3",), version="2", arch="x86_64"),
        ),
    )
    do(blocked, "upgrade", "-y")
    assert first(blocked)["left-out-requests"] == []
    assert "left-out" not in origin_of(blocked)
    assert blocked.layered() == [
        "apple",
        "libseed",
        "old-and-new",
        "on-it",
        "pear",
        "web",
        "with-libc",
    ]


def test_what_was_left_out_can_be_asked_for_again(blocked: Machine) -> None:
    do(blocked, "upgrade", "-y", "--skip-broken")
    blocked.world.publish(tiny_rpm("web", "/usr/bin/web", arch="x86_64"))
    do(blocked, "install", "-y", "web")
    assert first(blocked)["packages"] == ["apple", "old-and-new", "web"]
    assert "web" not in [one["request"] for one in first(blocked)["left-out-requests"]]


def test_of_two_that_exclude_each_other_one_is_left_out(moving: Machine) -> None:
    do(moving, "install", "-y", "apple", "web", "suid")
    base_with(
        moving.world,
        specs=(
            tiny_rpm("apple", "/usr/bin/apple", conflicts=("web",), version="2", arch="x86_64"),
            tiny_rpm("web", FileSpec("/usr/bin/suid", b"?"), version="2", arch="x86_64"),
        ),
    )
    drop(moving.world, "apple", "web")
    heads = [line for line in fails(moving, "upgrade", "-y") if line.startswith("    ->")]
    assert heads == [
        "    -> layer uninstall apple or layer uninstall web",
        "    -> layer uninstall suid or layer uninstall web",
    ]
    do(moving, "rebase", "-y", "--skip-broken", str(moving.host().origin(moving.pending()).base))
    assert moving.layered() == ["apple", "suid"]


def test_what_is_asked_for_just_now_is_never_left_out(blocked: Machine) -> None:
    refspec = str(blocked.host().origin(blocked.pending()).base)
    words = ("rebase", "-y", "--skip-broken", "--install", "nosuch", refspec)
    assert "nosuch" in fails(blocked, *words)[0]


# --- the choice ---


def requests(text: str) -> tuple[Request, ...]:
    """A request for each letter."""
    return tuple(Request(RequestKind.PACKAGE, letter) for letter in text)


@pytest.mark.parametrize(
    ("blockers", "left_out"),
    [
        ([], ""),
        (["a"], "a"),
        (["ab", "bc"], "b"),
        (["ab"], "a"),
        (["a", "ab", "cd"], "ac"),
        (["ab", "cd", "ac", "bd"], "ad"),
        ([f"{chr(97 + n)}z" for n in range(25)], "z"),
    ],
)
def test_the_fewest_are_left_out(blockers: list[str], left_out: str) -> None:
    made = [Blocker(requests(text), "") for text in blockers]
    assert fewest(made) == fewest(list(reversed(made))) == requests(left_out)


def test_every_blocker_is_found_and_is_as_small_as_it_can_be() -> None:
    cores = [set(requests(text)) for text in ("b", "cf", "adg")]

    def why_not(some: tuple[Request, ...]) -> LayerError | None:
        bad = [core for core in cores if core <= set(some)]
        return (
            Unsolvable("".join(r.text for r in sorted(some, key=lambda r: r.text))) if bad else None
        )

    found = find_blockers(requests("abcdefg"), why_not)
    assert {blocker.reason for blocker in found} == {"b", "cf", "adg"}
