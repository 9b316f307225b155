"""What a tree has for the boot of the machine: triggers that only that can run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from layer.bootunits import add_boot_units
from layer.model import FileAttributes, LeftToBoot, Tree
from layer.store.files import read_text
from layer.store.objects import OstreeStore
from layer.store.trees import TreeEditor, empty_tree, lookup

UNIT = "usr/lib/systemd/system/layer-triggers.service"
LINK = "usr/lib/systemd/system/multi-user.target.wants/layer-triggers.service"
INDEX = LeftToBoot("index", "key-1", (("/usr/bin/index", "--all"),), 120)


@pytest.fixture
def store(tmp_path: Path) -> OstreeStore:
    return OstreeStore.create(tmp_path / "repo")


def tree_with_systemd(store: OstreeStore, *programs: str) -> Tree:
    with store.transaction():
        editor = TreeEditor(store, empty_tree(store))
        program = store.write_file(FileAttributes(mode=0o100755), [b"program"])
        for path in ("usr/lib/systemd/systemd", *programs):
            editor.put_file(path, program)
        return editor.write()


def unit_for(store: OstreeStore, *left: LeftToBoot, programs: tuple[str, ...] = ()) -> str:
    tree = tree_with_systemd(store, *programs)
    with store.transaction():
        after, written = add_boot_units(store, tree, tree, left)
    assert written == ((UNIT, LINK) if UNIT in written else ())
    if written:
        assert store.read_file_attributes(str(lookup(store, after, LINK))).target == (
            "../layer-triggers.service"
        )
    return read_text(store, after, UNIT)


def test_commands_of_boot_triggers_are_in_a_unit(store: OstreeStore) -> None:
    lines = unit_for(store, INDEX, LeftToBoot("warm", "key-2", (("/bin/warm",),), 7, may_fail=True))
    commands = [line for line in lines.splitlines() if line.startswith("ExecStart=")]
    assert commands == ['ExecStart="/usr/bin/index" "--all"', 'ExecStart=-"/bin/warm"']


def test_each_command_has_its_triggers_time(store: OstreeStore, tmp_path: Path) -> None:
    """One that is ended takes no other with it."""
    done = tmp_path / "done"
    sleeper = LeftToBoot("sleep", "key", (("/bin/sleep", "60"),), 1, may_fail=True)
    toucher = LeftToBoot("touch", "key", (("/bin/touch", str(done)),), 120)
    text = unit_for(store, sleeper, toucher, programs=("usr/bin/timeout",))
    commands = re.findall(r"^ExecStart=-?(.*)$", text, re.MULTILINE)
    ended, touched = (subprocess.run(shlex.split(c), check=False).returncode for c in commands)
    assert (ended, touched, done.exists()) == (124, 0, True)


def test_what_systemd_does_at_every_boot_is_in_none(store: OstreeStore) -> None:
    assert unit_for(store, LeftToBoot("tmpfiles", "key", (("/bin/systemd-tmpfiles",),), 120)) == ""


def test_a_tree_without_systemd_has_no_units(store: OstreeStore) -> None:
    tree = empty_tree(store)
    assert add_boot_units(store, tree, tree, [INDEX]) == (tree, ())


def test_words_reach_the_command_as_they_are(store: OstreeStore) -> None:
    """Percent and dollar signs mean something in a unit."""
    words = ("/bin/say", "50%", "$HOME", 'a "b" c', "back\\slash")
    text = unit_for(store, LeftToBoot("say", "key", (words,), 120))
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    unescaped = line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$")
    assert tuple(shlex.split(unescaped)) == words


def test_the_unit_runs_once_until_something_else_is_left(
    store: OstreeStore, tmp_path: Path
) -> None:
    stamp = tmp_path / "boot-triggers"

    def is_due(text: str) -> bool:
        return shell(text, "ExecCondition", stamp) == 0

    once = unit_for(store, INDEX)
    assert is_due(once)
    assert shell(once, "ExecStartPost", stamp) == 0
    assert not is_due(once)
    assert is_due(unit_for(store, LeftToBoot("index", "key-2", INDEX.commands, 120)))


def shell(unit: str, setting: str, stamp: Path) -> int:
    """Runs the one command of a setting, with another place for the stamp."""
    found = re.search(rf"^{setting}=(.*)$", unit, re.MULTILINE)
    assert found is not None
    command = shlex.split(found[1].replace("/var/lib/layer/boot-triggers", str(stamp)))
    return subprocess.run(command, check=False).returncode
