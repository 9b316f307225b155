"""Triggers of packages in the base: they are not run either, and nobody is left to guess so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from layer.base_triggers import audits_of_base
from layer.model import Nevra
from layer.rpmfile.header import read_header
from testdata.distro.forge import draft, int32, seal, strings, with_tags
from testdata.distro.rpmspec import FileTrigger, RpmSpec
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import do, fails, first, origin_of
from tests.snapshot import unchanged
from tests.world import Machine, World, remove

TRIGGERIN, TRIGGERUN = 1 << 16, 1 << 17  # RPMSENSE_*
CACHE = "test -d /usr/share/odd\nfrobnicate --all\n"
WATCHED, NAMED, SINGLE, PLAIN = (
    tiny_rpm("watched", "/usr/share/odd/one", arch="x86_64"),
    tiny_rpm("named", "/usr/bin/named", arch="x86_64"),
    tiny_rpm("single", "/usr/share/single/one", arch="x86_64"),
    tiny_rpm("plain", "/usr/share/od", arch="x86_64"),
)
SLOT = "%transfiletriggerin of watcher in the base"
LINE = f"    {SLOT} 2: frobnicate --all  (nothing that layer knows does this)"


def watcher(body: str = CACHE, version: str = "1") -> RpmSpec:
    """A package of the base that does something for all files in a directory."""
    spec = tiny_rpm("watcher", "/usr/bin/frobnicate", version=version, arch="x86_64")
    covered = FileTrigger(
        ("/usr/share/icons/odd",), "gtk-update-icon-cache -f /usr/share/icons/odd"
    )
    return replace(spec, file_triggers=(FileTrigger(("/usr/share/odd/",), body), covered))


def namer() -> bytes:
    """A package with a %triggerin, a %triggerun and a %filetriggerin, made by hand."""
    parts = draft(tiny_rpm("namer", "/usr/bin/namer", arch="x86_64"))
    return seal(
        with_tags(
            parts,
            strings(1065, "tell named --came", "tell named --goes"),  # TRIGGERSCRIPTS
            strings(1066, "named", "plain"),  # TRIGGERNAME
            strings(1067, "", ""),  # TRIGGERVERSION
            int32(1068, TRIGGERIN, TRIGGERUN),  # TRIGGERFLAGS
            int32(1069, 0, 1),  # TRIGGERINDEX
            strings(1092, "/bin/sh", "/bin/sh"),  # TRIGGERSCRIPTPROG
            strings(5066, "mkdir -p /var/lib/namer"),  # FILETRIGGERSCRIPTS
            strings(5067, "/bin/sh"),  # FILETRIGGERSCRIPTPROG
            int32(5068, 0),  # FILETRIGGERSCRIPTFLAGS
            strings(5069, "/usr/share/single"),  # FILETRIGGERNAME
            int32(5070, 0),  # FILETRIGGERINDEX
            strings(5071, ""),  # FILETRIGGERVERSION
            int32(5072, TRIGGERIN),  # FILETRIGGERFLAGS
            int32(5084, 1_000_000),  # FILETRIGGERPRIORITIES
        )
    )


def repos(machine: Machine) -> tuple[str, str]:
    """Where `layer audit` finds what is on offer."""
    return "--repo-dir", str(machine.world.repo_dir)


@pytest.fixture
def watching(own_world: World, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose base has both."""
    tree = own_world.path / "tree.toml"
    text = tree.read_text().replace('"tiny-libc"', '"tiny-libc", "watcher", "namer"')
    tree.write_text(f'scriptlets = "warn"\n{text}')
    (own_world.packages / "namer-1-1.x86_64.rpm").write_bytes(namer())
    own_world.publish(watcher(), WATCHED, NAMED, SINGLE, PLAIN)
    own_world.compose()
    yield own_world.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def test_a_trigger_of_the_base_stops_an_install_of_what_it_would_run_for(watching: Machine) -> None:
    with unchanged(watching.path):
        assert fails(watching, "install", "-y", "watched", "apple") == [
            "error: scriptlets are not run, and nothing does what these lines would:",
            "  watcher-1-1.x86_64 in the base, for watched:",
            LINE,
            "hint: leave the package out, or agree that they are not run: "
            "--accept-unscripted watcher, or cover them with a trigger in /etc/layer/triggers.d: "
            "layer-trigger(5)",
        ]


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("named", "%triggerin of namer in the base 1: tell named --came  (nothing that layer"),
        (
            "single",
            "%filetriggerin of namer in the base 1: mkdir -p /var/lib/namer  (layer declares "
            "nothing for a trigger of the base)",
        ),
    ],
)
def test_triggers_on_packages_and_files_are_judged(
    watching: Machine, package: str, line: str
) -> None:
    _, heading, shown, _ = fails(watching, "install", "-y", package)
    assert heading == f"  namer-1-1.x86_64 in the base, for {package}:"
    assert shown.startswith(f"    {line}")


def test_consent_is_for_the_base_packages_script(watching: Machine) -> None:
    done = do(watching, "install", "-y", "watched", "--accept-unscripted", "watcher").stdout
    heading = "  watcher-1-1.x86_64 in the base, for watched: 1 line unknown, 1 line harmless"
    assert f"{heading}\n    not run: {LINE.strip()}\n" in done
    assert "accepted-scriptlets=watcher:" in origin_of(watching)
    assert first(watching)["scriptlet-lines-not-run"] == 1
    assert "Scriptlets: 1 line not run: layer audit" in do(watching, "status").stdout
    agreed = do(watching, "install", "-y", "apple").stdout
    assert "watcher" not in agreed
    do(watching, "uninstall", "-y", "watched")
    assert "accepted-scriptlets" not in origin_of(watching)
    assert first(watching)["scriptlet-lines-not-run"] == 0


def test_consent_is_asked_for_again_when_the_base_has_another_script(watching: Machine) -> None:
    do(watching, "install", "-y", "watched", "--accept-unscripted", "watcher")
    watching.world.publish(watcher("frobnicate --other\n", "2"))
    watching.world.compose()
    lines = fails(watching, "upgrade", "-y")
    heading = "watcher-2-1.x86_64 in the base, for watched, changed since they were agreed to:"
    assert heading in [line.strip() for line in lines]
    do(watching, "upgrade", "-y", "--accept-unscripted", "watcher")
    assert first(watching)["scriptlet-lines-not-run"] == 1


def test_what_no_trigger_waits_for_is_installed_as_ever(watching: Machine) -> None:
    """`plain` has a path that begins alike, and only a %triggerun on its name."""
    done = do(watching, "install", "-y", "plain").stdout
    assert "Scriptlets" not in done
    assert "in the base" not in do(watching, "audit").stdout


def test_what_a_trigger_of_layers_does_needs_no_consent(watching: Machine) -> None:
    theme = FileSpec("/usr/share/icons/odd/index.theme", b"[Icon Theme]\nName=Odd\n")
    watching.world.publish(tiny_rpm("theme", theme, arch="x86_64"))
    assert "Scriptlets" not in do(watching, "install", "-n", "theme").stdout
    (base,) = json.loads(do(watching, "audit", *repos(watching), "--json", "theme").stdout)[
        "base-triggers"
    ]
    assert (base["nevra"], base["for"], base["needs-consent"]) == (
        "watcher-1-1.x86_64",
        ["theme"],
        False,
    )
    assert [(line["verdict"], line["by"]) for line in base["lines"]] == [("covered", "icon-cache")]


def test_an_audit_shows_triggers_of_the_base(watching: Machine) -> None:
    told = f"watcher-1-1.x86_64 in the base, for watched\n  {SLOT} 1  harmless  "
    last = "Triggers of 1 package in the base; 1 would need consent.\n"
    (file,) = watching.world.packages.rglob("watched-1-1.x86_64.rpm")
    offered, of_file = (
        do(watching, "audit", *repos(watching), word).stdout for word in ("watched", str(file))
    )
    do(watching, "install", "-y", "watched", "--accept-unscripted", "watcher")
    for text in (offered, of_file, do(watching, "audit").stdout):
        assert told in text
        assert text.endswith(last)


def test_a_trigger_goes_with_its_package(watching: Machine) -> None:
    host = watching.host()
    tree = host.store.read_commit(watching.pending().checksum).root
    (file,) = watching.world.packages.rglob("watched-1-1.x86_64.rpm")
    headers = [read_header(file)]
    gone = Nevra.parse("watcher-1-1.x86_64")
    assert len(audits_of_base(host.store, tree, headers, tuple)) == 1
    assert audits_of_base(host.store, tree, headers, tuple, without=[gone]) == ()


def test_nothing_is_read_where_no_trigger_waits(watching: Machine) -> None:
    def unwanted() -> tuple[()]:
        raise AssertionError("layer's triggers are read for nothing")

    host = watching.host()
    tree = host.store.read_commit(watching.pending().checksum).root
    (file,) = watching.world.packages.rglob("apple-1-1.x86_64.rpm")
    assert audits_of_base(host.store, tree, [read_header(file)], unwanted) == ()
