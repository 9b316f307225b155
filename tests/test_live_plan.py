"""Which differences of a /usr may be seen at once: the classes, row by row."""

from __future__ import annotations

import json

import pytest

from layer.live.plan import (
    Differences,
    LiveClass,
    LiveItem,
    LivePlan,
    Process,
    Usage,
    Whose,
    classify,
    packages_to_watch,
)
from layer.live.rules import hard, shadowed
from layer.live.text import as_json, as_text, why_not
from layer.model import TreeDiff

SHELL = Process(7, "sh")
FOX = Process(9, "fox", "fox.service")
OWNERS = {
    "usr/bin/tool": Whose("tool-1-1.x86_64"),
    "usr/share/tool/data": Whose("tool-1-1.x86_64"),
    "usr/bin/fox": Whose("fox-1-1.x86_64"),
    "usr/share/fox/omni": Whose("fox-1-1.x86_64"),
    "usr/lib/libfox.so.1": Whose("fox-1-1.x86_64"),
    "usr/share/rpm/rpmdb.sqlite": Whose(is_ours=True),
    "usr/share/icons/hicolor/icon-theme.cache": Whose(is_ours=True),
    "usr/bin/iconv": Whose("glibc-2-1.x86_64", hard="the C library"),
}
USAGE = Usage(
    files={"usr/lib/libfox.so.1": (FOX,), "usr/share/rpm/rpmdb.sqlite": (SHELL,)},
    packages={"fox-1-1.x86_64": (FOX, SHELL)},
)


def differences(kind: str, path: str, **rest: object) -> Differences:
    """One path differs."""
    return Differences(
        TreeDiff(**{kind: (path,)}),
        lambda path: OWNERS.get(path, Whose()),
        **rest,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("kind", "path", "expected", "word", "users"),
    [
        ("added", "usr/bin/new", LiveClass.SAFE, "nothing of the name", ()),
        ("added", "usr/share/icons/hicolor/icon-theme.cache", LiveClass.OURS, "trigger", ()),
        ("changed", "usr/share/icons/hicolor/icon-theme.cache", LiveClass.OURS, "trigger", ()),
        ("changed", "usr/share/rpm/rpmdb.sqlite", LiveClass.OURS, "layer", ()),
        ("changed", "usr/share/tool/data", LiveClass.SAFE_IDLE, "nobody uses", ()),
        ("removed", "usr/bin/tool", LiveClass.SAFE_IDLE, "nobody uses", ()),
        ("changed", "usr/share/fox/omni", LiveClass.IN_USE, "in use", (SHELL, FOX)),
        ("removed", "usr/bin/fox", LiveClass.IN_USE, "in use", (SHELL, FOX)),
        ("changed", "usr/lib/libfox.so.1", LiveClass.REFUSED, "open or mapped", (FOX,)),
        ("removed", "usr/lib/libfox.so.1", LiveClass.REFUSED, "open or mapped", (FOX,)),
        ("changed", "usr/share/strange", LiveClass.REFUSED, "nobody knows", ()),
        ("changed", "usr/bin/iconv", LiveClass.REFUSED, "the C library", ()),
        ("changed", "usr/etc/fox.conf", LiveClass.SAFE, "/etc", ()),
        ("added", "opt/x", LiveClass.REFUSED, "not below /usr", ()),
        ("added", "usr/lib/modules/6.1/extra/x.ko", LiveClass.REFUSED, "kernel", ()),
        ("added", "usr/lib/firmware/x.bin", LiveClass.REFUSED, "firmware", ()),
        ("added", "usr/lib/x86_64-linux-gnu/security/pam_x.so", LiveClass.REFUSED, "PAM", ()),
        ("changed", "usr/lib64/libc.so.6", LiveClass.REFUSED, "C library", ()),
        ("changed", "usr/lib/systemd/systemd", LiveClass.REFUSED, "systemd", ()),
        ("changed", "usr/etc/selinux/targeted/policy", LiveClass.REFUSED, "SELinux", ()),
    ],
)
def test_a_difference_has_its_class(
    kind: str, path: str, expected: LiveClass, word: str, users: tuple[Process, ...]
) -> None:
    (item,) = classify(differences(kind, path), USAGE)
    assert (item.path, item.difference.value, item.live_class) == (path, kind, expected)
    assert item.processes == users
    assert word in item.reason


def test_another_kind_of_file_waits_for_the_reboot() -> None:
    found = differences("changed", "usr/share/tool/data", types=("usr/share/tool/data",))
    (item,) = classify(found, Usage())
    assert (item.live_class, item.reason) == (LiveClass.REFUSED, "it becomes another kind of file")


def test_attributes_of_directories_and_other_facts_wait_for_the_reboot() -> None:
    found = Differences(
        TreeDiff(),
        lambda _: Whose(),
        attributes=("usr/share/doc",),
        refusals=(("user alpha", "its number is another here"),),
    )
    assert [(i.path, i.live_class, i.reason) for i in classify(found, Usage())] == [
        ("user alpha", LiveClass.REFUSED, "its number is another here"),
        ("usr/share/doc", LiveClass.REFUSED, "owner, mode or label of a directory differ"),
    ]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("usr/share/tool/data", LiveClass.SAFE_IDLE),
        ("usr/bin/fox", LiveClass.IN_USE),
        ("usr/bin/iconv", LiveClass.REFUSED),
        ("usr/lib/systemd/systemd", LiveClass.REFUSED),
    ],
)
def test_a_new_name_before_an_old_one_counts_as_a_change_of_that(
    other: str, expected: LiveClass
) -> None:
    found = differences("added", "usr/sbin/x", shadows={"usr/sbin/x": other})
    (item,) = classify(found, USAGE)
    assert item.live_class is expected
    assert f"/{other}" in item.reason


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("usr/sbin/ls", "usr/bin/ls"),
        ("usr/bin/mount", ""),
        ("usr/lib/libz.so.1", "usr/lib64/libz.so.1"),
        ("usr/lib64/glibc-hwcaps/x86-64-v3/libz.so.1", "usr/lib64/libz.so.1"),
        ("usr/lib64/tool/libz.so.1", ""),
        ("usr/lib64/libnew.so.1", ""),
        ("usr/lib/systemd/system/fox.service.d/x.conf", "usr/lib/systemd/system/fox.service"),
        ("usr/lib/systemd/system/new.service.d/x.conf", ""),
        ("usr/etc/systemd/system/fox.service", "usr/lib/systemd/system/fox.service"),
        ("usr/lib/systemd/system/new.service", ""),
        ("usr/etc/udev/rules.d/50-x.rules", "usr/lib/udev/rules.d/50-x.rules"),
        ("usr/share/doc/x", ""),
    ],
)
def test_new_names_that_come_before_old_ones_are_seen(path: str, other: str) -> None:
    there = {
        "usr/bin/ls",
        "usr/lib64/libz.so.1",
        "usr/lib/systemd/system/fox.service",
        "usr/lib/udev/rules.d/50-x.rules",
    }
    folders = ("usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu")
    assert shadowed(path, folders, there.__contains__) == other


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/x86_64-linux-gnu/libm.so.6",
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/libsystemd.so.0.35.0",
        "usr/lib/systemd/systemd-journald",
        "usr/lib/systemd/system/service.d/10-all.conf",
        "usr/lib/systemd/journald.conf.d/x.conf",
        "usr/bin/dbus-broker-launch",
        "usr/lib/ostree-boot/vmlinuz",
        "usr/share/selinux/packages/x.pp",
    ],
)
def test_what_runs_the_machine_is_on_the_hard_list(path: str) -> None:
    assert hard(path)


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/systemd/system/htop.service",
        "usr/lib/systemd/system/fox.service.d/x.conf",
        "usr/lib/systemd/system-preset/50-x.preset",
        "usr/lib64/libmagic.so.1",
        "usr/lib64/libcap.so.2",
        "usr/lib/libpcre.so.3",
        "usr/share/dbus-1/system.d/x.conf",
        "usr/etc/pam.d/x",
    ],
)
def test_what_packages_commonly_bring_is_not(path: str) -> None:
    assert hard(path) == ""


def test_packages_are_watched_for_what_changes_or_gives_way() -> None:
    diff = TreeDiff(("usr/bin/new", "usr/sbin/fox"), ("usr/share/tool/data",), ())
    found = Differences(
        diff,
        lambda path: OWNERS.get(path, Whose("new-1-1.x86_64")),
        shadows={"usr/sbin/fox": "usr/bin/fox"},
    )
    assert packages_to_watch(found) == ("fox-1-1.x86_64", "tool-1-1.x86_64")
    ours = differences("changed", "usr/share/rpm/rpmdb.sqlite")
    assert packages_to_watch(ours) == ()


# --- as a person and a program see it ---


def plan() -> LivePlan:
    """Something of each class."""
    diff = TreeDiff(
        ("usr/bin/a", "usr/bin/b", "usr/bin/c", "usr/bin/d"),
        (
            "usr/share/tool/data",
            "usr/share/fox/omni",
            "usr/lib/libfox.so.1",
            "usr/share/rpm/rpmdb.sqlite",
        ),
    )
    found = Differences(diff, lambda path: OWNERS.get(path, Whose("new-1-1.x86_64")))
    return LivePlan("new", "old", classify(found, USAGE), ("/etc/x stays as it is",))


def test_the_plan_names_class_reason_and_who_is_in_the_way() -> None:
    assert as_text(plan()) == (
        "Live: new\n"
        "  now: old\n"
        "\n"
        "Needs a reboot:\n"
        "  fox-1-1.x86_64: /usr/lib/libfox.so.1 (the file itself is open or mapped)\n"
        "    used by fox (pid 9 of fox.service)\n"
        "\n"
        "In use:\n"
        "  fox-1-1.x86_64: /usr/share/fox/omni (its package, or one that needs it, is in use)\n"
        "    used by sh (pid 7), fox (pid 9 of fox.service)\n"
        "\n"
        "Not in use; --allow-replacement takes it along:\n"
        "  tool-1-1.x86_64: /usr/share/tool/data (nobody uses its package, nor what needs it)\n"
        "\n"
        "Safe:\n"
        "  new-1-1.x86_64: /usr/bin/a, /usr/bin/b, /usr/bin/c and 1 other path "
        "(nothing of the name is there)\n"
        "\n"
        "Written by layer and triggers:\n"
        "  /usr/share/rpm/rpmdb.sqlite (written by layer or a trigger)\n"
        "\n"
        "What would help:\n"
        "  end what uses it: fox.service, sh (pid 7)\n"
        "  or keep it on what it sees now: layer apply-live --pin fox.service\n"
        "  a reboot; `layer run` tries what is pending before\n"
        "\n"
        "Note: /etc/x stays as it is"
    )


def test_what_is_allowed_already_is_no_way_on() -> None:
    diff = TreeDiff((), ("usr/share/tool/data",))
    idle = LivePlan("new", "old", classify(Differences(diff, OWNERS.__getitem__), Usage()))
    offer = "layer apply-live --allow-replacement"
    assert offer in as_text(idle) and "; --allow-replacement takes it along:" in as_text(idle)
    assert as_json(idle, allow_replacement=False)["ways"] == [offer]
    assert "--allow-replacement" not in as_text(idle, allow_replacement=True)
    assert as_json(idle, allow_replacement=True)["ways"] == []


def test_the_plan_as_json_has_each_path() -> None:
    shown = json.loads(json.dumps(as_json(plan(), allow_replacement=True)))
    assert (shown["commit"], shown["seen"], shown["possible"]) == ("new", "old", False)
    assert len(shown["changes"]) == 8
    assert shown["changes"][4] == {
        "path": "/usr/lib/libfox.so.1",
        "change": "changed",
        "package": "fox-1-1.x86_64",
        "class": "refused",
        "reason": "the file itself is open or mapped",
        "processes": [{"pid": 9, "name": "fox", "unit": "fox.service"}],
    }


def test_only_replacements_can_be_allowed() -> None:
    def paths(items: tuple[LiveItem, ...]) -> list[str]:
        return [item.path for item in items]

    fox = ["usr/lib/libfox.so.1", "usr/share/fox/omni"]
    assert paths(plan().obstacles(allow_replacement=True)) == fox
    assert paths(plan().obstacles(allow_replacement=False)) == [*fox, "usr/share/tool/data"]
    assert why_not(plan().of(LiveClass.SAFE_IDLE)).startswith("  tool-1-1.x86_64: /usr/share/tool")
