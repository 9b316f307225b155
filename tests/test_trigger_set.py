"""Where triggers come from: the program, the tree, the machine; what overrides, what masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from layer.errors import TriggerFailed
from layer.lock import read_record
from layer.store.objects import OstreeStore
from layer.trigger_set import State, packaged_directory, read_local, read_trigger_set
from testdata.distro.tiny import FileSpec, tiny_rpm
from testdata.triggers.hosttree import Entry, link, make, text
from tests.cli import do, extra_repository
from tests.world import Machine, World, remove

MOTD = """\
schema = 1
name = "motd"
description = "Lists what there is in /usr/bin/{word}."
[match]
include = ["usr/bin/apple"]
[run]
exec = ["sh", "-c", "echo {word} > /etc/motd"]
[io]
writes = ["usr/etc/motd"]
"""


def motd(word: str = "one", **replaced: str) -> str:
    said = MOTD.replace("{word}", word)
    for old, new in replaced.items():
        said = said.replace(old, new)
    return said


def put_local(machine: Machine, name: str, content: str | None) -> Path:
    """What an admin writes into /etc/layer/triggers.d; None for a mask."""
    folder = machine.pending().path / "etc/layer/triggers.d"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.unlink(missing_ok=True)
    if content is None:
        path.symlink_to("/dev/null")
    else:
        path.write_text(content)
    return path


def states(store: OstreeStore, entries: dict[str, Entry | None], local: Path | None = None):  # type: ignore[no-untyped-def]
    with store.transaction():
        tree = make(store, {"usr/bin": Entry(is_directory=True, mode=0o755), **entries})
    found = read_trigger_set(store, tree, read_local(local) if local else None)
    return {
        (listed.file.name, listed.file.source): listed.state
        for listed in found.files
        if listed.file.name in {"motd", "ldconfig"} and "/triggers/" not in listed.file.source
    }, {trigger.name: trigger for trigger in found.triggers}


@pytest.fixture
def store(tmp_path: Path) -> OstreeStore:
    return OstreeStore.create(tmp_path / "repo")


VENDOR = "usr/share/layer/triggers.d"
LOCAL = "usr/etc/layer/triggers.d"


@pytest.mark.parametrize(
    ("modules", "there", "found"),
    [
        ("usr/lib/python3/dist-packages", ["usr", "usr/local"], "usr"),
        ("usr/local/lib/python3.11/dist-packages", ["usr", "usr/local"], "usr/local"),
        ("venv/lib/python3.11/site-packages", ["venv", "usr"], "venv"),
    ],
)
def test_the_programs_own_triggers_lie_under_the_prefix_it_is_installed_in(
    tmp_path: Path, modules: str, there: list[str], found: str
) -> None:
    for prefix in there:
        (tmp_path / prefix / "share/layer/triggers").mkdir(parents=True)
    module = tmp_path / modules / "layer/trigger_set.py"
    assert packaged_directory(module) == tmp_path / found / "share/layer/triggers"


def test_etc_overrides_the_tree_which_overrides_the_program(store: OstreeStore) -> None:
    found, triggers = states(
        store,
        {
            f"{VENDOR}/motd.toml": text(motd("vendor")),
            f"{LOCAL}/motd.toml": text(motd("local")),
            f"{VENDOR}/ldconfig.toml": text(motd("mine", motd="ldconfig")),
            f"{VENDOR}/README": text("no trigger"),
        },
    )
    assert found == {
        ("ldconfig", "/usr/share/layer/triggers.d/ldconfig.toml"): State.USED,
        ("motd", "/usr/share/layer/triggers.d/motd.toml"): State.OVERRIDDEN,
        ("motd", "/etc/layer/triggers.d/motd.toml"): State.USED,
    }
    assert triggers["motd"].description.endswith("local.")
    assert triggers["ldconfig"].description.endswith("mine.")


def test_a_link_to_nothing_masks_and_names_of_the_masked_stay_known(store: OstreeStore) -> None:
    found, triggers = states(store, {f"{LOCAL}/ldconfig.toml": link("/dev/null")})
    assert found == {("ldconfig", "/etc/layer/triggers.d/ldconfig.toml"): State.MASK}
    assert "ldconfig" not in triggers
    assert "ldconfig" in triggers["icon-cache"].after


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (text(motd(motd="other")), "name: 'other' must be the file's name, 'motd'"),
        (link("other.toml"), "is a link to other.toml"),
        (Entry(b"\xff"), "is not UTF-8"),
        (text(""), "schema"),
    ],
)
def test_a_bad_file_is_one_error_that_names_it(
    store: OstreeStore, entry: Entry, fault: str
) -> None:
    with pytest.raises(TriggerFailed) as error:
        states(store, {f"{LOCAL}/motd.toml": entry})
    assert error.value.message.startswith("/etc/layer/triggers.d/motd.toml: ")
    assert fault in error.value.message


def test_what_the_machine_left_as_shipped_follows_the_new_tree(
    store: OstreeStore, tmp_path: Path
) -> None:
    """As libostree merges /etc."""
    for name, own in (("kept", "old"), ("edited", "new"), ("gone", None), ("added", "new")):
        for folder, word in (("usr/etc", "old"), ("etc", own)):
            if word and (folder, name) != ("usr/etc", "added"):
                path = tmp_path / folder / "layer/triggers.d" / f"{name}.toml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(motd(word, motd=name))
    shipped = {f"{LOCAL}/{n}.toml": text(motd("tree", motd=n)) for n in ("kept", "edited", "gone")}
    _, triggers = states(store, shipped, tmp_path)
    words = {name: triggers[name].description.split("/")[-1] for name in triggers}
    mine = {name: words.get(name) for name in ("added", "edited", "gone", "kept")}
    assert mine == {"added": "new.", "edited": "new.", "gone": None, "kept": "tree."}


def test_a_local_trigger_runs_and_is_in_the_law(machine: Machine, world: World) -> None:
    put_local(machine, "motd", motd())
    assert (
        "Triggers that will fire: ldconfig, motd."
        in do(machine, "install", "-n", "suid", "apple").stdout
    )
    do(machine, "install", "-y", "apple")
    tree = machine.pending()
    assert (tree.path / "usr/etc/motd").read_text() == "one\n"
    lock = machine.host().lock_of(tree)

    other = world.machine(machine.path.with_name("other"))
    other.install("apple")
    without = other.host().lock_of(other.pending())
    assert (without.packages, without.triggers != lock.triggers) == (lock.packages, True)
    put_local(other, "motd", "# another comment\n" + motd())
    other.reset()
    other.install("apple")
    assert other.pending().checksum == tree.checksum
    remove([other.path])


def test_a_mask_takes_a_packaged_trigger_away(machine: Machine) -> None:
    put_local(machine, "ldconfig", None)
    deployment = machine.install("apple")
    commit = machine.host().store.read_commit(deployment.checksum)
    assert [run.name for run in read_record(commit).runs] == []


def test_a_packages_own_triggers_are_in_the_plan_and_run(machine: Machine, tmp_path: Path) -> None:
    own = FileSpec("/usr/share/layer/triggers.d/motd.toml", motd().encode())
    brings = tiny_rpm("brings", own, "/usr/bin/brings", requires=("apple",))
    words = extra_repository(tmp_path / "more", brings)
    plan = do(machine, "install", *words, "-n", "brings").stdout
    assert "They bring triggers of their own, too: brings." in plan
    do(machine, "install", *words, "-y", "brings")
    assert (machine.pending().path / "usr/etc/motd").read_text() == "one\n"
