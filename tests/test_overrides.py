"""Overrides and packages that came as files, with the real program, over one base after another."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layer import overriding, verbs
from layer.model import LockedPackage, Nevra
from layer.origin import format_origin, parse_origin
from layer.overrides import Offered, Overrides
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_repository, tiny_rpm
from tests.cli import extra_repository, first, origin_of
from tests.snapshot import unchanged
from tests.world import Machine, World, compose, layer, make_world, remove


def editor(version: str = "1", *more: FileSpec | str, **rest: Any) -> RpmSpec:
    """What the base has, and is overridden."""
    files = ("/usr/bin/editor", FileSpec("/usr/share/both", b"b"), *more)
    return tiny_rpm("editor", *files, version=version, arch="x86_64", **rest)


def base_editor(version: str = "1") -> RpmSpec:
    """The editor with all kinds of files, as the base has it."""
    return editor(
        version,
        f"/usr/share/editor/only-{version}",
        FileSpec("/etc/editor.conf", b"x\n", config=True),
        FileSpec("/usr/lib/libeditor.so.1", b"no library\n", mode=0o755),
        FileSpec("/usr/lib/sysusers.d/editor.conf", b"u editor - -\n"),
        FileSpec.directory("/var/lib/editor"),
        scriptlets=(
            Scriptlet(
                "post", "update-alternatives --install /usr/bin/edit edit /usr/bin/editor 50\n"
            ),
        ),
    )


def pair(arch: str, version: str = "1", shared: str = "") -> RpmSpec:
    """A library for two architectures, with a file that both have."""
    doc = FileSpec("/usr/share/doc/pair", (shared or "same").encode())
    folder = "lib64" if arch == "x86_64" else "lib"
    return tiny_rpm("pair", f"/usr/{folder}/pair.so", doc, version=version, arch=arch)


BASE = (
    base_editor(),
    pair("x86_64"),
    pair("i686"),
    tiny_rpm("plugin", "/usr/bin/plugin", requires=("editor",), arch="x86_64"),
    tiny_rpm("theme", "/usr/bin/theme", requires=("plugin",), arch="x86_64"),
    tiny_rpm("pager", "/usr/bin/pager", FileSpec("/usr/share/both", b"b"), arch="x86_64"),
)
FILES = (
    pair("x86_64", "2"),
    pair("i686", "2"),
    pair("x86_64", "3", "another"),
    editor("2", "/usr/share/editor/only-2"),
    editor("0", "/usr/share/editor/only-0"),
    editor("3", requires=("libseed",)),
    editor(
        "4",
        FileSpec("/etc/editor.conf", b"x\n", config=True),
        FileSpec("/etc/editor-4.conf", b"4\n", config=True),
        FileSpec.directory("/var/lib/editor"),
        FileSpec("/var/lib/editor-4", b"4\n"),
    ),
    tiny_rpm("loc", "/usr/bin/loc", arch="x86_64"),
    tiny_rpm("loc", "/usr/bin/loc", arch="x86_64", version="2"),
    tiny_rpm("needy", "/usr/bin/needy", requires=("libseed",), arch="x86_64"),
    tiny_rpm("arm", "/usr/bin/arm", arch="aarch64"),
    tiny_rpm("pager", "/usr/bin/pager", FileSpec("/usr/share/both", b"b"), arch="x86_64"),
)


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose base has packages to override."""
    with make_world(tmp_path_factory.mktemp("over"), *BASE) as world:
        tiny_repository(world.path / "files", *FILES)
        yield world


@pytest.fixture
def box(over: World, tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine on it."""
    yield over.machine(tmp_path / "machine")
    remove([tmp_path / "machine"])


def file(machine: Machine, name: str) -> str:
    """The path of an RPM that is in no repository."""
    return str(next((machine.world.path / "files").rglob(f"{name}*.rpm")))


def run(machine: Machine, *words: str, status: int = 0, repositories: bool = True) -> str:
    """Runs `layer override` or another verb; what it printed."""
    count = 2 if words[0] == "override" else 1
    options = ["--sysroot", str(machine.path)]
    if repositories:
        options += ["--repo-dir", str(machine.world.repo_dir)]
    done = layer(*words[:count], *options, *words[count:], status=status)
    return done.stdout + done.stderr


def fault(machine: Machine, *words: str) -> list[str]:
    """Error and hint of a command that must fail and change nothing."""
    with unchanged(machine.path):
        lines = run(machine, *words, status=1).splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith("error: ")) :]


def rpm(machine: Machine, *words: str) -> str:
    """What rpm says of the pending tree."""
    tree = machine.pending().path
    command = ["rpm", "--root", str(tree), "--dbpath", "/usr/share/rpm", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def there(machine: Machine, *paths: str) -> list[str]:
    """Those of the paths that the pending tree has."""
    tree = machine.pending().path
    return [path for path in paths if (tree / path).is_symlink() or (tree / path).exists()]


def test_removing_takes_all_that_is_the_packages_and_nothing_else(box: Machine) -> None:
    kept = ("usr/share/both", "usr/bin/pager")
    gone = (
        "usr/bin/editor",
        "usr/bin/edit",
        "usr/etc/alternatives/edit",
        "usr/share/editor",
        "usr/etc/editor.conf",
        "usr/lib/libeditor.so.1",
        "usr/lib/sysusers.d/editor.conf",
        "usr/lib/tmpfiles.d/zz-layer-editor.conf",
        "usr/lib/sysimage/packages/editor-1-1.x86_64.rpm",
    )
    assert there(box, *gone) == list(gone)
    before = box.pending()
    out = run(box, "override", "remove", "-y", "editor", "plugin", "theme")
    assert "Removing 3 packages of the base:\n  editor-1-1.x86_64\n" in out
    assert there(box, *gone) == []
    assert there(box, *kept) == list(kept)
    assert "editor" not in rpm(box, "-qa")
    assert rpm(box, "-V", "--nomtime", "pager") == ""
    # The account stays: its number is never given again.
    assert "editor:" in (box.pending().path / "usr/etc/passwd").read_text()
    run(box, "override", "reset", "-y", "--all", repositories=False)
    assert box.pending().checksum == before.checksum


def test_what_others_need_is_refused_with_all_of_them(box: Machine) -> None:
    assert fault(box, "override", "remove", "-y", "editor") == [
        "error: plugin-1-1.x86_64 of the base needs editor, which only editor-1-1.x86_64 has",
        "theme-1-1.x86_64 of the base needs plugin, which only plugin-1-1.x86_64 has",
        "hint: take them away too: layer override remove editor plugin theme",
    ]


def test_replacing_by_a_file_and_back(box: Machine) -> None:
    before = box.pending()
    out = run(box, "override", "replace", "-y", file(box, "editor-0"), repositories=False)
    assert "Replacing 1 package of the base:\n  editor-1-1.x86_64 -> 0-1 (downgrade)\n" in out
    assert there(box, "usr/share/editor/only-0", "usr/share/editor/only-1") == [
        "usr/share/editor/only-0"
    ]
    assert "editor-0-1.x86_64" in rpm(box, "-qa")
    assert "editor-1-1.x86_64" not in rpm(box, "-qa")
    out = run(box, "override", "replace", "-y", file(box, "editor-3"))
    assert "editor-1-1.x86_64 -> 3-1\n" in out
    assert "libseed" in out  # a dependency of the new version, from a repository
    run(box, "override", "reset", "-y", "editor", repositories=False)
    assert box.pending().checksum == before.checksum
    assert "replace-local" not in origin_of(box)


def test_one_of_two_architectures_is_replaced_alone(box: Machine) -> None:
    before = box.pending()
    run(box, "override", "replace", "-y", file(box, "pair-2-1.x86_64"), repositories=False)
    assert {"pair-2-1.x86_64", "pair-1-1.i686"} <= set(rpm(box, "-qa").splitlines())
    tree = box.pending().path
    assert (tree / "usr/lib64/pair.so").read_text() == "pair 2\n"
    assert (tree / "usr/lib/pair.so").read_text() == "pair 1\n"
    assert rpm(box, "-V", "--nomtime", "pair") == ""
    run(box, "override", "replace", "-y", file(box, "pair-2-1.i686"), repositories=False)
    assert rpm(box, "-q", "pair").splitlines() == ["pair-2-1.i686", "pair-2-1.x86_64"]
    run(box, "override", "reset", "-y", "pair", repositories=False)
    assert box.pending().checksum == before.checksum


def test_what_two_architectures_share_stays_the_same_as_with_rpm(box: Machine) -> None:
    error = fault(box, "override", "replace", "-y", file(box, "pair-3-1.x86_64"))
    what = "pair-1-1.i686 and pair-3-1.x86_64: different content, mode or owner"
    assert error[:2] == [
        "error: these paths have two owners:",
        f"  /usr/share/doc/pair: {what}",
    ]


def test_what_the_base_has_again_is_left_behind_by_nobody(box: Machine) -> None:
    run(box, "override", "replace", "-y", file(box, "editor-4"))
    etc, var = box.pending().path / "etc", box.path / "ostree/deploy/tiny/var"
    for name in ("editor.conf", "editor-4.conf"):
        (etc / name).write_text("edited\n")
    (var / "lib/editor").mkdir(parents=True, exist_ok=True)
    (var / "lib/editor-4").write_bytes(b"4\n")
    out = run(box, "override", "reset", "-n", "editor", repositories=False)
    listed = out.partition("Left behind")[2].partition("\n\n")[0].splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["/etc/editor-4.conf", "/var/lib/editor-4"]
    run(box, "reset", "-y", "--purge")
    assert (etc / "editor.conf").exists()
    assert (var / "lib/editor").is_dir()
    assert not (var / "lib/editor-4").exists()


def test_status_names_overrides_as_rpm_ostree_does(box: Machine) -> None:
    run(box, "override", "remove", "-y", "pager")
    run(box, "override", "replace", "-y", file(box, "editor-2"))
    run(box, "install", "-y", file(box, "loc-1"))
    old = ["editor-1-1.x86_64", "editor", 0, "1", "1", "x86_64"]
    new = ["editor-2-1.x86_64", "editor", 0, "2", "1", "x86_64"]
    entry = first(box)
    assert entry["requested-base-removals"] == ["pager"]
    assert entry["base-removals"] == [["pager-1-1.x86_64", "pager", 0, "1", "1", "x86_64"]]
    assert entry["requested-base-local-replacements"] == ["editor-2-1.x86_64"]
    assert entry["base-local-replacements"] == [[new, old]]
    assert entry["requested-local-packages"] == ["loc-1-1.x86_64"]
    shown = box.layer("status").stdout
    assert "RemovedBasePackages: pager-1-1.x86_64\n" in shown
    assert "ReplacedBasePackages: editor-1-1.x86_64 -> 2-1\n" in shown
    assert "LocalPackages: loc-1-1.x86_64\n" in shown


def test_a_replacement_of_a_repository_moves_with_upgrades(tmp_path: Path) -> None:
    with make_world(tmp_path / "w" if (tmp_path / "w").mkdir() is None else tmp_path, *BASE) as w:
        machine = w.machine(tmp_path / "machine")
        try:
            w.publish(editor("1.5"))
            words = ("--experimental", "--from", "repo=tiny", "editor")
            run(machine, "override", "replace", "-y", *words)
            assert "replace=repo=tiny,editor;" in origin_of(machine)
            w.publish(editor("1.6"))
            machine.install("web")
            assert "editor-1.5-1.x86_64" in rpm(machine, "-qa")
            machine.apply(verbs.upgrade)
            assert "editor-1.6-1.x86_64" in rpm(machine, "-qa")
        finally:
            remove([machine.path])


def test_overrides_sleep_and_wake_over_three_bases(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with make_world(tmp_path / "w", *BASE) as w:
        tiny_repository(w.path / "files", *FILES)
        machine = w.machine(tmp_path / "machine")
        treefile = (w.path / "tree.toml").read_text()
        try:
            run(machine, "override", "remove", "-y", "pager")
            run(machine, "override", "replace", "-y", file(machine, "editor-2"))
            run(machine, "install", "-y", file(machine, "loc-1"))
            for path in (w.path / "files").rglob("*.rpm"):
                path.unlink()  # they are not needed again
            # The second base has no pager, and the very editor that was asked for.
            w.publish(editor("2", "/usr/share/editor/only-2"))
            (w.path / "tree.toml").write_text(treefile.replace(', "pager"', ""))
            compose(w.path)
            machine.apply(verbs.upgrade)
            shown = machine.layer("status").stdout.split("\n\n")[0] + "\n"
            assert "InactiveBaseRemovals: pager\n" in shown
            assert "InactiveBaseReplacements: editor-2-1.x86_64" in shown
            assert " LocalPackages: loc-1-1.x86_64\n" in shown
            assert first(machine)["base-removals"] == []
            assert first(machine)["requested-base-removals"] == ["pager"]
            machine.layer("cleanup", "-b", "-p", "-r")
            # The third has both again, and a newer editor: the file stays what it is.
            w.publish(editor("9"))
            (w.path / "tree.toml").write_text(treefile)
            compose(w.path)
            plan = run(machine, "upgrade", "--preview")
            assert "editor-9-1.x86_64 -> 2-1 (downgrade)" in plan
            machine.apply(verbs.upgrade)
            shown = machine.layer("status").stdout.split("\n\n")[0] + "\n"
            assert "RemovedBasePackages: pager-1-1.x86_64\n" in shown
            assert "ReplacedBasePackages: editor-9-1.x86_64 -> 2-1\n" in shown
            assert there(machine, "usr/bin/pager") == []
            assert "editor-2-1.x86_64" in rpm(machine, "-qa")
        finally:
            remove([machine.path])


def test_a_file_needs_repositories_only_for_what_they_have(box: Machine, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    (dead / "dead.repo").write_text("[dead]\nname=dead\nbaseurl=http://127.0.0.1:1/\n")
    options = ("--repo-dir", str(dead), "-y")
    run(box, "install", *options, file(box, "loc-1"), repositories=False)
    lines = run(box, "install", *options, file(box, "needy"), status=1, repositories=False)
    assert "repository dead" in lines
    assert "and without it: needy-1-1.x86_64 needs libseed" in lines


def test_a_file_is_kept_replaced_by_a_newer_one_and_taken_away(box: Machine) -> None:
    run(box, "install", "-y", file(box, "loc-1"), repositories=False)
    with_one = box.pending().checksum
    assert fault(box, "install", "-y", file(box, "loc-1"))[0] == (
        "error: asked for already: loc-1-1.x86_64"
    )
    out = run(box, "install", "-y", file(box, "loc-2"), repositories=False)
    assert "loc  1-1  ->  2-1" in out
    assert first(box)["requested-local-packages"] == ["loc-2-1.x86_64"]
    run(box, "install", "-y", file(box, "loc-1"), repositories=False)
    assert box.pending().checksum == with_one
    run(box, "uninstall", "-y", "loc-1-1.x86_64.rpm", repositories=False)
    assert box.pending().checksum == box.world.base.checksum


def test_a_file_gives_way_to_a_repository_where_that_is_said(box: Machine, tmp_path: Path) -> None:
    newer = tiny_rpm("loc", "/usr/bin/loc", arch="x86_64", version="3")
    options = ("-y", *extra_repository(tmp_path / "extra", newer))
    run(box, "install", "-y", file(box, "loc-1"), repositories=False)
    run(box, "upgrade", *options)
    assert first(box)["requested-local-packages"] == ["loc-1-1.x86_64"]
    # What is layered stays the same file until an upgrade.
    run(box, "install", *options, "loc", "--uninstall", "loc-1-1.x86_64")
    assert "loc-1-1.x86_64" in rpm(box, "-qa")
    run(box, "rollback", "-y", repositories=False)
    plan = run(box, "upgrade", *options, "--install", "loc", "--uninstall", "loc-1-1.x86_64")
    assert "loc  1-1  ->  3-1" in plan
    assert first(box)["requested-packages"] == ["loc"]
    assert first(box)["requested-local-packages"] == []
    assert "loc-3-1.x86_64" in rpm(box, "-qa")


def test_a_url_is_fetched_and_remembered(box: Machine) -> None:
    name = Path(file(box, "loc-1")).name
    served = box.world.path / "served" / name
    served.write_bytes(Path(file(box, "loc-1")).read_bytes())
    run(box, "install", "-y", f"{box.world.url}{name}", repositories=False)
    served.unlink()
    assert box.layered() == ["loc"]
    assert "cannot fetch" in fault(box, "install", "-y", f"{box.world.url}none.rpm")[0]


FAULTS = [
    (("override", "remove", "nano"), "nano: the base has no such package"),
    (("override", "remove", "web"), "web: layered, not of the base; layer uninstall web"),
    (("override", "remove", "tiny-kernel"), "tiny-kernel-1-1.x86_64 has the kernel"),
    (("override", "replace", "FILE:pager"), "pager-1-1.x86_64: the base has this very version"),
    (("override", "replace", "FILE:loc-1"), "loc: the base has no such package"),
    (("override", "replace", "FILE:editor-2", "--remove", "editor"), "at once: editor"),
    (("override", "replace", "./nothing.rpm"), "nothing.rpm does not exist"),
    (("override", "replace", "--from-repo", "tiny", "nano"), "nano: the base has no such package"),
    (("override", "replace", "--from-repo", "none", "editor"), "repository none has no editor"),
    (("override", "reset", "editor"), "not overridden: editor"),
    (("install", "FILE:arm"), "arm-1-1.aarch64 is of another architecture"),
    (("install", "FILE:pager"), "pager-1-1.x86_64 is already in the base"),
    (("install", "NOT"), "not.rpm"),
]


@pytest.mark.parametrize(("words", "fact"), FAULTS, ids=[f[1][:40] for f in FAULTS])
def test_bad_input_is_one_error_and_changes_nothing(
    web_box: Machine, tmp_path: Path, words: tuple[str, ...], fact: str
) -> None:
    bad = tmp_path / "not.rpm"
    bad.write_text("this is no package\n")
    words = tuple(
        file(web_box, w.removeprefix("FILE:")) if w.startswith("FILE:") else w for w in words
    )
    words = tuple(str(bad) if w == "NOT" else w for w in words)
    lines = fault(web_box, *words, "-y")
    assert any(fact in line for line in lines), lines
    assert sum(line.startswith("error: ") for line in lines) == 1


@pytest.fixture(scope="module")
def web_box(over: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with `web` layered, which no test changes."""
    path = tmp_path_factory.mktemp("web") / "machine"
    machine = over.machine(path)
    machine.install("web")
    yield machine
    remove([path])


def test_a_package_and_what_takes_its_work_in_one_change(box: Machine) -> None:
    run(box, "override", "remove", "-y", "pager", "--install", "web")
    assert box.layered() == ["web"]
    assert fault(box, "install", "-y", "pager")[0] == "error: taken away by an override: pager"
    words = (file(box, "editor-2"), "--remove", "theme", "--install", file(box, "loc-1"))
    run(box, "override", "replace", "-y", *words)
    assert there(box, "usr/bin/theme", "usr/bin/loc", "usr/share/editor/only-2") == [
        "usr/bin/loc",
        "usr/share/editor/only-2",
    ]


def test_a_lost_file_is_named_when_the_tree_is_made_anew_and_its_key_stays(box: Machine) -> None:
    key = f"requested-local={'a' * 64}:foo-1-1.x86_64;"
    text = origin_of(box).replace("refspec", "baserefspec") + f"\n[packages]\n{key}\n"
    pending = box.pending()
    pending.path.with_name(f"{pending.path.name}.origin").write_text(text)
    assert "InactiveLocalPackages: foo-1-1.x86_64" in box.layer("status").stdout
    lines = fault(box, "install", "-y", "web")
    assert lines[:2] == [
        "error: these packages came as files, and are not here:",
        f"  foo-1-1.x86_64 (SHA-256 {'a' * 64})",
    ]
    box.apply(lambda host: verbs.uninstall(host, ["foo"]))
    box.apply(lambda host: overriding.override_remove(host, ["pager"]))


FOREIGN = f"""\
[origin]
baserefspec=tiny:tiny/1/x86_64/base
custom-url=https://example.com

[rpmostree]
ex-cliwrap=true

[packages]
requested=web;
requested-local={"a" * 64}:foo-1-1.x86_64;
requested-local-fileoverride={"b" * 64}:bar-1-1.x86_64;

[modules]
enable=foo:2.0;bar:rolling;

[overrides]
remove=pager;
replace-local={"c" * 64}:editor-2:2-1.x86_64;
replace=repo=one,systemd;repo=two,kernel,kernel-core;
"""


def test_no_key_of_rpm_ostree_is_lost() -> None:
    origin = parse_origin(FOREIGN)
    assert origin.overrides == Overrides(
        removed=("pager",),
        files=(LockedPackage(Nevra("editor", 2, "2", "1", "x86_64"), "c" * 64),),
        offered=(
            Offered("one", "systemd"),
            Offered("two", "kernel"),
            Offered("two", "kernel-core"),
        ),
    )
    written = format_origin(origin)
    assert {line for line in FOREIGN.splitlines() if line} <= set(written.splitlines())
    assert parse_origin(written) == origin


def test_what_a_package_of_the_base_leaves_behind_is_said(box: Machine) -> None:
    """Once, when it goes; what nobody edited is removed where that is asked for."""
    etc = box.pending().path / "etc"
    var = box.host().sysroot.var(box.host().stateroot)
    (etc / "editor.conf").write_text("mine\n")
    (var / "lib/editor").mkdir(parents=True)
    words = ("override", "remove", "editor", "plugin", "theme")
    expected = (
        "Left behind on this machine (--purge removes what nobody edited):\n"
        "  /etc/editor.conf (editor-1-1.x86_64, edited)\n"
        "  /var/lib/editor (editor-1-1.x86_64)\n"
    )
    assert expected in run(box, *words, "-n")
    assert "Removed /var/lib/editor\n" in run(box, *words, "-y", "--purge")
    assert not (var / "lib/editor").exists()
    assert (box.pending().path / "etc/editor.conf").read_text() == "mine\n"
    assert "Left behind" not in run(box, "install", "-n", "pear")


def test_what_takes_the_place_of_a_package_leaves_nothing_behind(box: Machine) -> None:
    (box.pending().path / "etc/editor.conf").write_text("mine\n")
    assert "Left behind" not in run(box, "override", "replace", "-n", file(box, "editor-4"))


def test_a_url_is_not_fetched_where_nothing_may_be(box: Machine) -> None:
    words = ("override", "replace", "-y", "--cache-only", "http://127.0.0.1:1/editor.rpm")
    assert fault(box, *words)[0] == (
        "error: --cache-only: http://127.0.0.1:1/editor.rpm would have to be fetched"
    )
