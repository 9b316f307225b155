"""The cases of testdata/solver: the same without a cache, while one is written, and from it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from layer.errors import LayerError
from layer.model import (
    BaseState,
    LockedPackage,
    Nevra,
    Preference,
    RepositoryMetadata,
    Resolution,
)
from layer.overrides import Offered, Overrides
from layer.report import SILENT
from layer.solver.cache import open_cache
from layer.solver.loading import Loader
from layer.solver.resolve import classify, resolve
from testdata.distro.rpmspec import FileSpec, RpmSpec
from tests.solving import added, installed, offered

ROOT = Path(__file__).parent.parent / "testdata/solver"
FEWEST = 60
KEYS = {
    "name": str,
    "base": list,
    "offers": list,
    "repositories": dict,
    "layered": list,
    "asked": list,
    "ask": list,
    "best": bool,
    "recommended": bool,
    "exclude": list,
    "remove": list,
    "replace": list,
    "adds": list,
    "from": list,
    "inactive": list,
    "removed": list,
    "replaced": list,
    "error": list,
    "hint": str,
}

Case = dict[str, Any]


def cases() -> list[Case]:
    """All of them; each says what comes of it, and nothing that is not known."""
    found = []
    for path in sorted(ROOT.glob("*.toml")):
        for case in tomllib.loads(path.read_text())["case"]:
            assert all(isinstance(value, KEYS[key]) for key, value in case.items()), case["name"]
            assert ("adds" in case) != ("error" in case), case["name"]
            found.append({**case, "theme": path.stem})
    return found


CASES = cases()


def spec(line: str) -> RpmSpec:
    """The package that a line describes."""
    name, *parts = line.split(" | ")
    nevra = Nevra.parse(name)
    lists = {key: items.split(", ") for key, _, items in (part.partition(" ") for part in parts)}
    files = tuple(FileSpec(path, path.encode()) for path in lists.pop("files", ()))
    return RpmSpec(
        nevra.name,
        nevra.version,
        nevra.release,
        nevra.epoch or None,
        nevra.arch,
        files=files,
        **{key: tuple(items) for key, items in lists.items()},
    )


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Databases by what is in them: several cases have the same."""

    @cache
    def make(*lines: str) -> Path:
        return installed(tmp_path_factory.mktemp("base"), *map(spec, lines))

    return make


def repositories(case: Case, folder: Path) -> list[RepositoryMetadata]:
    """The metadata of all repositories of a case."""
    given = {**case.get("repositories", {})}
    if "offers" in case:
        given["r"] = {"packages": case["offers"]}
    made = []
    for name, settings in given.items():
        packages = map(spec, settings["packages"])
        nouns = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
            if key != "packages"
        }
        made.append(offered(folder, *packages, name=name, **nouns))
    return made


def run(
    case: Case, base: BaseState, metadata: list[RepositoryMetadata], loader: Loader
) -> Resolution | LayerError:
    """What comes of a case, on the way that the program's verbs go."""
    lock = tuple(LockedPackage(Nevra.parse(text), "") for text in case.get("layered", ()))
    overrides = Overrides(
        removed=tuple(case.get("remove", ())),
        offered=tuple(Offered("", name) for name in case.get("replace", ())),
    )
    preference = Preference(
        tuple(case.get("exclude", ())), case.get("best", False), case.get("recommended", False)
    )
    try:
        old, new = (
            classify(case.get(key, ()), base, metadata, lock=lock, loader=loader)
            for key in ("asked", "ask")
        )
        return resolve(
            base,
            metadata,
            (*old, *new),
            lock=lock,
            new=frozenset(new),
            preference=preference,
            overrides=overrides,
            loader=loader,
        )
    except LayerError as error:
        return error


def outcome(found: Resolution | LayerError) -> Case:
    """What came of it, as a case says it."""
    if isinstance(found, LayerError):
        return {"error": found.message.splitlines(), "hint": found.hint}
    return {
        "adds": added(found),
        "from": sorted({each.package.repository for each in found.selections}),
        "inactive": [request.text for request in found.inactive],
        "removed": [str(nevra) for nevra in found.removed],
        "replaced": [f"{old} {new}" for old, new in found.replaced],
    }


def expected(case: Case, found: Case) -> Case:
    """The same keys; those that a case need not say are as by default, or not looked at."""
    defaults = {"inactive": [], "removed": [], "replaced": []}
    unsaid = {key: found[key] for key in ("from", "hint") if key in found}
    return {key: case.get(key, {**defaults, **unsaid}.get(key)) for key in found}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['theme']}: {c['name']}")
def test_what_comes_of_a_request(case: Case, bases: Any, tmp_path: Path) -> None:
    database = bases(*case["base"]) if case.get("base") else None
    base = BaseState(database, None if database else "x86_64", "b" * 64 if database else "")
    metadata = repositories(case, tmp_path)
    excludes = case.get("exclude", ())
    cold = run(case, base, metadata, Loader(None, excludes))
    assert outcome(cold) == expected(case, outcome(cold))
    writing = run(case, base, metadata, Loader(open_cache(tmp_path, SILENT), excludes))
    nowhere = tmp_path / "nowhere"
    blind = [
        replace(each, primary=nowhere, filelists=each.filelists and nowhere) for each in metadata
    ]
    unread = replace(base, database=nowhere) if database else base
    warm = run(case, unread, blind, Loader(open_cache(tmp_path, SILENT), excludes))
    results = [cold, writing, warm]
    if isinstance(cold, LayerError):
        results = [outcome(each) for each in results]
    assert results == [results[0]] * 3


KINDS: dict[str, Callable[[Case], bool]] = {
    "choices": lambda case: case["theme"] == "choices",
    "rich dependencies": lambda case: case["theme"] == "rich",
    "obsoletes": lambda case: case["theme"] == "obsoletes",
    "priorities": lambda case: _has(case, "priority"),
    "excludes": lambda case: "exclude" in case or _has(case, "excludes"),
    "includes": lambda case: _has(case, "includes"),
    "locks": lambda case: "layered" in case,
    "multilib": lambda case: "i686" in str(case),
    "weak dependencies": lambda case: case["theme"] == "weak",
    "requests already in the base": lambda case: (
        "inactive" in case or "already in the base" in str(case.get("error"))
    ),
    "problems": lambda case: "error" in case,
}


def _has(case: Case, setting: str) -> bool:
    return any(setting in each for each in case.get("repositories", {}).values())


def test_there_are_cases_of_every_kind() -> None:
    counts = {kind: sum(map(belongs, CASES)) for kind, belongs in KINDS.items()}
    print(f"\n{len(CASES)} cases of the solver, of which", end=" ")  # make test-repositories
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    assert min(counts.values()) >= 2


def test_there_are_cases_enough_and_their_names_differ() -> None:
    names = [(case["theme"], case["name"]) for case in CASES]
    assert len(set(names)) == len(names) >= FEWEST
