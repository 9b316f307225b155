"""`layer search`, `info` and `provides` by the real program: base, layers and repositories."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from layer import overriding
from layer.answers import Place, Sighting, forms, search
from layer.errors import RepositoryError
from layer.model import BaseState, Nevra, Repository, RepositoryMetadata
from layer.solver import asking
from testdata.distro.tiny import FileSpec, tiny_repository, tiny_rpm
from tests.cli import do, extra_repository, fails
from tests.test_cli_usage import NOBODY
from tests.world import Machine, World


def sighting(name: str, summary: str = "") -> Sighting:
    """A package on offer."""
    return Sighting(Nevra(name, 0, "1", "1", "noarch"), Place.AVAILABLE, ("r",), summary)


def names(*words: str, among: list[Sighting]) -> list[tuple[str, str]]:
    """What is found, in its order, with the quality."""
    return [(m.sighting.nevra.name, m.quality.name) for m in search(words, among)]


def test_matches_are_sorted_by_how_well_they_fit() -> None:
    among = [
        sighting("strace", "Trace system calls"),
        sighting("strace-doc", "Manual of strace"),
        sighting("a-strace", "Another"),
        sighting("ltrace", "Like strace, for libraries"),
        sighting("other", "Nothing"),
    ]
    assert names("strace", among=among) == [
        ("strace", "EXACT"),
        ("strace-doc", "BOTH"),
        ("a-strace", "NAME"),
        ("ltrace", "SUMMARY"),
    ]
    assert names("TRACE", "libraries", among=among) == [("ltrace", "SUMMARY")]
    assert names("*-doc", among=among) == [("strace-doc", "NAME")]
    assert names("str", among=among)[0] == ("strace-doc", "BOTH")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a repository with what the questions are about."""
    return extra_repository(
        tmp_path_factory.mktemp("shop"),
        tiny_rpm(
            "tool",
            FileSpec("/usr/bin/tool", b"x"),
            FileSpec("/usr/share/tool/data.txt", b"x"),
            requires=("libseed",),
            recommends=("web",),
            provides=("libtool.so.1()(64bit)", "toolbox = 2"),
            arch="x86_64",
        ),
        tiny_rpm("tool", "/usr/bin/tool", version="0.9", arch="x86_64"),
        tiny_rpm("apple", "/usr/bin/apple", version="2", arch="x86_64"),
        tiny_rpm("rude", "/usr/bin/rude", requires=("tiny-libc = 9.99",)),
    )


@pytest.fixture(scope="module")
def asked(machine_kept: Machine, shop: list[str]) -> Iterator[Machine]:
    """A machine with apple layered, where the questions change nothing."""
    yield machine_kept


def packages(machine: Machine, verb: str, *words: str) -> list[dict[str, Any]]:
    """What a verb says as JSON."""
    found: list[dict[str, Any]] = json.loads(do(machine, verb, "--json", *words).stdout)["packages"]
    return found


def test_search_marks_what_is_where(asked: Machine, shop: list[str]) -> None:
    rows = {
        one["name"]: (one["place"], one["repositories"], one["evr"])
        for one in packages(asked, "search", *shop, "the package")
    }
    assert rows["apple"] == ("layered", ["tiny"], "1-1")
    assert rows["libseed"] == ("layered", ["tiny"], "1-1")
    assert rows["tiny-libc"] == ("base", ["tiny"], "2.36-1")
    assert rows["pear"] == ("available", ["tiny"], "1-1")
    assert rows["tool"] == ("available", [shop_id(shop)], "1-1")


def shop_id(shop: list[str]) -> str:
    """The id of the extra repository."""
    return next(Path(shop[1]).glob("*.repo")).stem


def test_search_prints_groups(asked: Machine) -> None:
    shown = do(asked, "search", "libseed").stdout
    assert shown == "By name, exactly:\n  libseed.x86_64  layered  The package libseed\n"


def test_nothing_found_is_one_line_and_status_1(asked: Machine) -> None:
    assert fails(asked, "search", "nonesuch") == [
        "error: no package has nonesuch in its name or summary",
        "hint: try fewer or other words; `layer provides` finds files",
    ]
    assert fails(asked, "info", "nonesuch", "apple", "neither")[0] == (
        "error: no package is named nonesuch, neither"
    )
    assert fails(asked, "provides", "/nowhere")[0] == "error: nothing provides /nowhere"
    assert fails(asked, "provides", "no-such-file")[0] == "error: nothing provides no-such-file"


def test_info_says_all_that_the_header_says(asked: Machine, shop: list[str]) -> None:
    (found,) = packages(asked, "info", *shop, "tool")
    assert found["evr"] == "1-1"  # the newest
    assert (found["summary"], found["description"]) == ("The package tool", "The package tool")
    assert (found["license"], found["build-time"]) == ("MIT", 1700000000)
    assert found["vendor"] is None  # createrepo_c writes an empty tag
    assert found["relations"]["Requires"] == ["libseed"]
    assert found["relations"]["Recommends"] == ["web"]
    assert "toolbox = 2" in found["relations"]["Provides"]
    assert len(found["checksum"]) == 64 and found["location"].endswith(".rpm")
    file = Path(shop[1]).parent / "packages" / found["location"]
    assert found["size"] == file.stat().st_size
    assert "files" not in found
    assert (found["place"], found["requests"], found["blocked"]) == ("available", [], None)


def test_info_lists_files_of_base_layers_and_repositories(asked: Machine, shop: list[str]) -> None:
    found = packages(asked, "info", *shop, "--files", "tool", "libseed", "tiny-release")
    files = {one["name"]: one["files"] for one in found}
    assert files["tool"] == ["/usr/bin/tool", "/usr/share/tool/data.txt"]
    assert files["libseed"] == ["/usr/lib/x86_64-linux-gnu/libutil.so.1"]
    assert "/etc/passwd" in files["tiny-release"]
    text = do(asked, "info", *shop, "--files", "tool").stdout
    assert "Files        : /usr/bin/tool\n             : /usr/share/tool/data.txt\n" in text


def test_info_shows_what_is_layered_and_what_is_newer(asked: Machine, shop: list[str]) -> None:
    here, newer = packages(asked, "info", *shop, "apple")
    assert (here["nevra"], here["place"], here["requests"]) == (
        "apple-1-1.x86_64",
        "layered",
        ["apple"],
    )
    assert here["size"] > 0  # the repository has this very package
    assert (newer["nevra"], newer["place"]) == ("apple-2-1.x86_64", "available")
    (needed,) = packages(asked, "info", "libseed")
    assert (needed["place"], needed["requests"]) == ("layered", [])
    (base,) = packages(asked, "info", "tiny-libc")
    assert (base["place"], base["evr"]) == ("base", "2.36-1")


def test_info_says_why_a_package_is_blocked(asked: Machine, shop: list[str]) -> None:
    (found,) = packages(asked, "info", *shop, "rude")
    assert found["blocked"].startswith("rude-1-1.noarch needs tiny-libc = 9.99")
    text = do(asked, "info", *shop, "rude").stdout
    assert "State        : available\n" in text
    assert "Blocked      : rude-1-1.noarch needs tiny-libc = 9.99" in text


def test_a_removed_package_of_the_base_is_marked(machine: Machine) -> None:
    machine.apply(lambda host: overriding.override_remove(host, ["tiny-libc"]))
    (found,) = packages(machine, "info", "tiny-libc")
    assert found["place"] == "removed"
    (row,) = packages(machine, "search", "tiny-libc")
    assert row["place"] == "removed"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/usr/bin/tool", {"tool-1-1.x86_64": ["/usr/bin/tool"]}),
        ("/bin/tool", {"tool-1-1.x86_64": ["/usr/bin/tool"]}),
        ("/usr/share/tool/data.txt", {"tool-1-1.x86_64": ["/usr/share/tool/data.txt"]}),
        ("data.txt", {"tool-1-1.x86_64": ["/usr/share/tool/data.txt"]}),
        ("*/data.*", {"tool-1-1.x86_64": ["/usr/share/tool/data.txt"]}),
        ("libtool.so.1()(64bit)", {"tool-1-1.x86_64": ["libtool.so.1()(64bit)"]}),
        ("toolbox", {"tool-1-1.x86_64": ["toolbox = 2"]}),
        ("toolbox >= 2", {"tool-1-1.x86_64": ["toolbox = 2"]}),
        ("toolb*", {"tool-1-1.x86_64": ["toolbox = 2"]}),
        ("/etc/tiny.conf", {"tiny-release-1-1.x86_64": ["/etc/tiny.conf"]}),
        ("/bin/sh", {"tiny-release-1-1.x86_64": ["/bin/sh"]}),
    ],
)
def test_provides_finds_paths_patterns_names_and_capabilities(
    asked: Machine, shop: list[str], word: str, expected: dict[str, list[str]]
) -> None:
    found = json.loads(do(asked, "provides", *shop, "--json", word).stdout)[word]
    shown = {one["nevra"]: one["provides"] for one in found}
    assert {key: shown.get(key) for key in expected} == expected


def test_provides_says_where(asked: Machine, shop: list[str]) -> None:
    shown = do(asked, "provides", *shop, "/usr/bin/apple").stdout
    assert shown == (
        f"/usr/bin/apple:\n  apple-1-1.x86_64  layered\n  apple-2-1.x86_64  {shop_id(shop)}\n"
    )


def test_filelists_are_read_only_where_nothing_else_can_tell(tmp_path: Path) -> None:
    """Without the file, whoever wants it fails."""
    tiny_repository(tmp_path, tiny_rpm("lone", "/usr/bin/lone", "/usr/share/lone"))
    (primary,) = tmp_path.glob("repodata/*primary.xml.gz")
    repository = Repository("r", "r", (f"file://{tmp_path}",))
    metadata = RepositoryMetadata(repository, "0" * 64, primary, tmp_path / "missing")
    known = asking.Known(BaseState(None, "x86_64"), [metadata], [], {})
    assert [one.nevra.name for one in asking.sightings(known)] == ["lone"]
    assert asking.facts(known, ["lone"], with_files=False)
    for word in ("lone", "/usr/bin/lone", "lo*"):
        assert [one.sighting.nevra.name for one in asking.providers(known, word)] == ["lone"]
    for word in ("/usr/share/lone", "*/lone", "no-name"):
        with pytest.raises(RepositoryError):
            asking.providers(known, word)


def test_what_is_looked_at_alone_is_all_that_fits(tmp_path: Path) -> None:
    """libsolv's own search chooses what is looked at: nothing that fits may be passed over."""
    specs = [
        replace(tiny_rpm(name, version=version), summary=f"{what} of THE {name}")
        for name in ("ant", "Anteater", "ant-farm", "bee", "a.b", "a-1")
        for version, what in (("1", "Nest"), ("2.ant", "Größe"))
    ]
    tiny_repository(tmp_path, *specs)
    (primary,) = tmp_path.glob("repodata/*primary.xml.gz")
    repository = Repository("r", "r", (f"file://{tmp_path}",))
    metadata = RepositoryMetadata(repository, "0" * 64, primary, None)
    known = asking.Known(BaseState(None, "x86_64"), [metadata], [], {})
    everything = asking.sightings(known)
    assert len(everything) == len(specs)
    texts = ["ant", "ANT", "the nest", "NEST", "größe", "GRÖßE", "a*", "*ant*", "?ee", "[ab]*"]
    for words in ([one, *other] for one in texts for other in ([], ["of"], ["bee"], ["*n*"])):
        fewer = asking.sightings(known, words)
        assert search(words, fewer) == search(words, everything), words
    forms_of_all = {form for one in everything for form in forms(one.nevra)}
    for pattern in (*sorted(forms_of_all), "a*", "*-2*", "an[t]*", "?nt", "a-1*"):
        found = asking.facts(known, [pattern], with_files=False)
        wanted = [n for n in everything if any(fnmatchcase(f, pattern) for f in forms(n.nevra))]
        kinds = {(one.nevra.name, one.nevra.arch) for one in wanted}
        assert {(f.sighting.nevra.name, f.sighting.nevra.arch) for f in found} == kinds, pattern


def test_answers_need_no_root(machine_kept: Machine, world: World, tmp_path: Path) -> None:
    for path in (machine_kept.path, world.path):
        for folder in (path, *path.parents):
            if folder.stat().st_mode & 0o055 != 0o055:
                folder.chmod(folder.stat().st_mode | 0o055)
    for words in (["search", "apple"], ["info", "apple"], ["provides", "/usr/bin/apple"]):
        options = ["--sysroot", str(machine_kept.path), "--repo-dir", str(world.repo_dir)]
        done = subprocess.run(
            [*NOBODY, sys.executable, "-m", "layer", *words[:1], *options, *words[1:]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == do(machine_kept, *words).stdout


def test_hostile_summaries_cannot_write_on_the_terminal(asked: Machine, tmp_path: Path) -> None:
    options = extra_repository(tmp_path, tiny_rpm("evil", "/usr/bin/evil\x9b31m"))
    assert "\x9b" not in do(asked, "info", *options, "--files", "evil").stdout
    assert "\x9b" not in do(asked, "provides", *options, "*/evil*").stdout


def test_an_empty_word_is_refused(asked: Machine) -> None:
    assert fails(asked, "search", "")[0] == "error: an empty word names nothing"
