"""Each trigger that is shipped, with the real program, over the trees in testdata/triggers.

A case is a directory with the trigger's name: `base/` is in the base, `new/`
comes with a package, and `case.toml` says which of this machine's programs
the tree needs and what the trigger must do.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layer.model import NearTree, Tree
from layer.running import TriggerOutcome, run_triggers
from layer.sandbox.box import SandboxOptions
from layer.store.objects import OstreeStore
from layer.store.trees import diff, empty_tree, files_of, lookup
from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.order import in_order
from layer.verifying import Result, Stage, Verified, verify_one
from testdata.triggers import hosttree

ROOT = Path(__file__).parent.parent
CASES = ROOT / "testdata" / "triggers"
SHIPPED = sorted(path.stem for path in (ROOT / "triggers").glob("*.toml"))
EPOCH = 1_700_000_000
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@dataclass(frozen=True)
class Scene:
    store: OstreeStore
    base: Tree
    tree: Tree


def shipped(name: str) -> Trigger:
    path = ROOT / "triggers" / f"{name}.toml"
    return parse_trigger(path.read_text(), str(path))


def read_case(name: str) -> dict[str, Any]:
    return tomllib.loads((CASES / name / "case.toml").read_text())


def set_up(name: str, path: Path) -> Scene:
    case = read_case(name)
    store = OstreeStore.create(path / "repo")
    with store.transaction():
        copies = {
            place: hosttree.Entry(host=str(Path(host).resolve()))
            for place, host in case.get("copies", {}).items()
        }
        links = {place: hosttree.link(target) for place, target in case.get("links", {}).items()}
        base = hosttree.make(
            store,
            {
                **hosttree.programs(*case["programs"], FAKETIME),
                **hosttree.files(*case.get("files", [])),
                **unpacked(case.get("unpacked", {})),
                **hosttree.folder(CASES / name / "base"),
            },
        )
        new = {**hosttree.folder(CASES / name / "new"), **copies, **links}
        return Scene(store, base, hosttree.put(store, base, new))


def unpacked(packages: dict[str, list[str]]) -> dict[str, hosttree.Entry | None]:
    """Programs of packages that this machine must not have installed."""
    try:
        return {
            path: entry
            for package, paths in packages.items()
            for path, entry in hosttree.unpacked(package, *paths).items()
        }
    except LookupError as error:
        pytest.skip(str(error))


def play(
    scene: Scene, trigger: Trigger, path: Path, options: SandboxOptions | None = None
) -> TriggerOutcome:
    path.mkdir()
    with scene.store.transaction():
        return run_triggers(
            scene.store,
            NearTree(None, empty_tree(scene.store)),
            before=scene.base,
            tree=scene.tree,
            triggers=[trigger],
            epoch=EPOCH,
            scratch=path,
            options=options,
        )


def verify_case(name: str, path: Path) -> Verified:
    """What `layer trigger verify` finds of a trigger over the tree of its case."""
    scene = set_up(name, path)
    stage = Stage(scene.store, NearTree(None, empty_tree(scene.store)), path / "scratch")
    with scene.store.transaction():
        paths = tuple(path for path, _ in files_of(scene.store, scene.tree))
        return verify_one(stage, shipped(name), scene.tree, paths)


def content(scene: Scene, tree: Tree, path: str) -> bytes | None:
    """The bytes of a file, or where a link points; None where there is nothing."""
    checksum = lookup(scene.store, tree, path)
    if not isinstance(checksum, str):
        return None
    target = scene.store.read_file_attributes(checksum).target
    if target:
        return target.encode()
    with scene.store.open_file(checksum) as file:
        return file.read()


def test_every_trigger_has_a_case() -> None:
    assert sorted(path.parent.name for path in CASES.glob("*/case.toml")) == SHIPPED


def test_the_shipped_set_has_one_order() -> None:
    ordered = [trigger.name for trigger in in_order([shipped(name) for name in SHIPPED])]

    assert ordered == [trigger.name for trigger in in_order([shipped(n) for n in SHIPPED[::-1]])]
    assert ordered.index("sysusers") == 0
    assert ordered.index("ldconfig") < ordered.index("mime-database")


@pytest.mark.parametrize("name", SHIPPED)
def test_trigger_does_what_its_case_says(name: str, tmp_path: Path) -> None:
    case = read_case(name)
    scene = set_up(name, tmp_path)

    outcome = play(scene, shipped(name), tmp_path / "scratch")

    runs = [(run.name, run.status, list(run.values)) for run in outcome.runs]
    assert runs == [(name, case["status"], values) for values in case["values"]]
    assert outcome.written == tuple((path, name) for path in case.get("written", []))
    assert diff(scene.store, scene.tree, outcome.tree).removed == tuple(case.get("removed", []))
    for path, parts in case.get("holds", {}).items():
        found = content(scene, outcome.tree, path)
        assert found is not None
        assert [part for part in parts if part.encode() not in found] == []
    assert {path: content(scene, outcome.tree, path) for path in case.get("equals", {})} == {
        path: text.encode() for path, text in case.get("equals", {}).items()
    }


@pytest.mark.parametrize("name", [name for name in SHIPPED if shipped(name).phase == "build"])
def test_trigger_writes_the_same_on_another_day(name: str, tmp_path: Path) -> None:
    """And in another store, with another inode order."""
    scene = set_up(name, tmp_path / "one")
    later = set_up(name, tmp_path / "two")
    options = SandboxOptions(
        extra_binds=((Path(FAKETIME), "/run/faketime.so"),),
        extra_env=(
            ("LD_PRELOAD", "/run/faketime.so"),
            ("FAKETIME", "+400d"),
            ("NO_FAKE_STAT", "1"),
        ),
    )

    outcome = play(scene, shipped(name), tmp_path / "scratch-one")
    again = play(later, shipped(name), tmp_path / "scratch-two", options)

    assert again == outcome
    assert [run.was_cached for run in again.runs] == [False] * len(again.runs)
    assert outcome.runs != ()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHIPPED if shipped(name).phase == "build"])
def test_trigger_is_verified_over_its_case(name: str, tmp_path: Path) -> None:
    found = verify_case(name, tmp_path)

    assert (found.result, found.undeclared, found.untested) == (Result.DETERMINISTIC, (), ())
