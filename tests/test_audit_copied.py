"""Files of /etc that scripts copy from what their package ships: ucf and dh_apparmor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layer.audit.verdict import Settings
from testdata.distro.tiny import FileSpec, Scriptlet, tiny_rpm
from tests.cli import do
from tests.test_audit import audit
from tests.world import Machine, World, remove

SHIPPED = "/usr/share/tool/tool.conf"
COPY = f"set -e\nucf --three-way --debconf-ok {SHIPPED} /etc/tool/tool.conf\n"
NOTE = "ucfr --force tool /etc/tool/tool.conf\n"
# As dh_apparmor writes it.
PROFILE = """\
APP_PROFILE="/etc/apparmor.d/usr.bin.tool"
if [ -f "$APP_PROFILE" ]; then
    LOCAL_APP_PROFILE="/etc/apparmor.d/local/usr.bin.tool"
    test -e "$LOCAL_APP_PROFILE" || {
        mkdir -p `dirname "$LOCAL_APP_PROFILE"`
        install --mode 644 /dev/null "$LOCAL_APP_PROFILE"
    }
fi
"""


@pytest.fixture
def machine(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine in a world of its own."""
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def test_the_copy_and_the_empty_file_are_in_the_tree(machine: Machine) -> None:
    machine.world.publish(
        tiny_rpm(
            "tool",
            FileSpec(SHIPPED, b"loud = no\n", mode=0o640),
            FileSpec("/etc/apparmor.d/usr.bin.tool", b"profile\n"),
            scriptlets=(Scriptlet("post", COPY + NOTE + PROFILE),),
            arch="x86_64",
        )
    )
    do(machine, "install", "-y", "tool")
    etc = machine.pending().path / "usr/etc"
    assert (etc / "tool/tool.conf").read_bytes() == b"loud = no\n"
    assert (etc / "tool/tool.conf").stat().st_mode & 0o7777 == 0o640
    assert (etc / "apparmor.d/local/usr.bin.tool").read_bytes() == b""
    assert (etc / "apparmor.d/local/usr.bin.tool").stat().st_mode & 0o7777 == 0o644


def test_what_is_there_stays(machine: Machine) -> None:
    machine.world.publish(
        tiny_rpm("first", FileSpec("/etc/tool/tool.conf", b"mine\n", config=True), arch="x86_64"),
        tiny_rpm(
            "tool",
            FileSpec(SHIPPED, b"loud = no\n"),
            scriptlets=(Scriptlet("post", COPY + NOTE),),
            arch="x86_64",
        ),
    )
    do(machine, "install", "-y", "first", "tool")
    assert (machine.pending().path / "usr/etc/tool/tool.conf").read_bytes() == b"mine\n"
    do(machine, "uninstall", "-y", "first")
    assert (machine.pending().path / "usr/etc/tool/tool.conf").read_bytes() == b"loud = no\n"


@pytest.mark.parametrize(
    "body",
    [
        "ucf /usr/share/other.conf /etc/tool/tool.conf",
        f"ucf {SHIPPED} /usr/share/other.conf",
        f"ucf {SHIPPED} /etc/../usr/share/other.conf",
        f"ucf --purge {SHIPPED} /etc/tool/tool.conf",
        f"ucf --src-dir /tmp {SHIPPED} /etc/tool/tool.conf",
        f'ucf {SHIPPED} "/etc/$(hostname)"',
        f"[ -e /etc/tool/tool.conf ] && ucf {SHIPPED} /etc/tool/tool.conf",
        f"ucf {SHIPPED} {SHIPPED.replace('/usr/share/tool', '/etc/shipped')}",
        "ucfr --purge tool /etc/tool/tool.conf",
        "install --mode 644 /dev/null /etc/shadow",
        "install --mode 644 /dev/null /etc/apparmor.d/local/../../shadow",
        "install --mode 666 /dev/null /etc/apparmor.d/local/tool",
        "mkdir -p `dirname /etc/evil/x; rm -rf /usr`",
        'dirname() { rm -rf /usr; }; mkdir -p "$(dirname /etc/apparmor.d/local/x)"',
        "mkdir -p $(dirname /etc/evil/x)",
        "dpkg-divert --package other --remove --rename /usr/bin/x",
        "dpkg-divert --package tool --remove --rename /usr/bin/x --admindir /x",
        "update-rc.d -f tool remove extra",
        "sed -n '/^a\\/p' /etc/passwd w",
    ],
)
def test_what_resembles_it_stays_unknown(body: str) -> None:
    files = (SHIPPED, "/etc/shipped/tool.conf", "/usr/bin/tool")
    assert audit(body, files=files).unknown != ()


def test_diversions_that_are_taken_back_were_never_made() -> None:
    body = (
        "dpkg-divert --package tool --remove --rename \\\n"
        "  --divert /usr/share/words.old /usr/share/words\n"
        "dpkg-divert --remove --no-rename --divert /usr/lib/x.old /usr/lib/x\n"
        "update-rc.d -f tool.sh remove >/dev/null\n"
    )
    assert {item.verdict.value for item in audit(body).judged} == {"harmless"}


def test_the_copys_declaration_says_that_it_is_whole() -> None:
    found = audit(COPY, files=(SHIPPED,)).rewrites.settings
    assert found == (Settings("/etc/tool/tool.conf", SHIPPED, whole=True),)
