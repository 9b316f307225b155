"""Base commits: versions, refusals, and what stands in the tree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from layer.skeleton import with_version_id
from layer.store.objects import OstreeStore
from testdata.distro.tiny import Scriptlet, tiny_repository, tiny_rpm
from tests.world import REF, World, base_packages, layer, ostree, write_repo_file


def compose(world: World, treefile: Path, *more: str, status: int = 0) -> tuple[str, str]:
    """Runs the program; its output and errors."""
    words = ["--repo", str(world.path / "served"), "--repo-dir", str(world.repo_dir), *more]
    cache = ["--cachedir", str(world.path / "build")]
    done = layer("compose", "tree", str(treefile), *words, *cache, status=status)
    return done.stdout, done.stderr


def head(world: World) -> str:
    """The newest commit that is published."""
    return ostree(f"--repo={world.path}/served", "rev-parse", REF).strip()


def test_versions_count_up_and_each_commit_has_its_predecessor(own_world: World) -> None:
    first = head(own_world)
    own_world.publish(*base_packages("2"))
    second = own_world.compose()
    assert second.version == 2
    repo = f"--repo={own_world.path}/served"
    assert ostree(repo, "rev-parse", f"{second.checksum}^").strip() == first
    release = ostree(repo, "cat", REF, "/usr/lib/os-release")
    assert "VERSION_ID=2\n" in release


@pytest.mark.parametrize("is_cache_lost", [False, True])
def test_an_existing_version_is_never_overwritten(own_world: World, is_cache_lost: bool) -> None:
    """Nor one from long ago that only the published repository remembers."""
    own_world.publish(*base_packages("2"))
    own_world.compose()
    if is_cache_lost:
        shutil.rmtree(own_world.path / "build")
    before = head(own_world)
    treefile = own_world.path / "again.toml"
    treefile.write_text("version = 1\n" + (own_world.path / "tree.toml").read_text())
    _, errors = compose(own_world, treefile, status=1)
    assert f"error: {REF} has a version 1 already\nhint: the next free one is 3" in errors
    assert head(own_world) == before


def test_a_lost_cache_changes_nothing(own_world: World) -> None:
    shutil.rmtree(own_world.path / "build")
    before = head(own_world)
    again = own_world.compose()
    assert again.version == 2
    assert ostree(f"--repo={own_world.path}/served", "rev-parse", f"{REF}^").strip() == before


def test_a_commit_is_later_than_its_predecessor(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines take a base with an earlier time for the older one, whatever a build says."""
    store = OstreeStore.open(own_world.path / "build/repo")
    before = store.read_commit(own_world.base.checksum).timestamp
    for epoch, expected in (("1000000000", before + 1), (str(before + 100), before + 100)):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        again = own_world.compose()
        assert store.read_commit(again.checksum).timestamp == expected


def test_the_same_packages_give_the_same_tree(own_world: World) -> None:
    """But for the version, a base follows from its packages."""
    again = own_world.compose()
    store = OstreeStore.open(own_world.path / "build/repo")
    diff = ostree(f"--repo={store.path}", "diff", own_world.base.checksum, again.checksum)
    paths = {line.split()[1] for line in diff.splitlines()}
    assert paths - {"/usr/share/rpm/rpmdb.sqlite"} == {"/usr/lib/os-release"}  # its own time


def test_scriptlets_stop_a_base_unless_the_treefile_accepts_them(own_world: World) -> None:
    scripted = tiny_rpm("scripted", scriptlets=(Scriptlet("post", "true", "<lua>"),))
    own_world.publish(scripted)
    treefile = own_world.path / "tree.toml"
    text = treefile.read_text().replace('"tiny-libc"', '"tiny-libc", "scripted"')
    treefile.write_text(text)
    before = head(own_world)
    _, errors = compose(own_world, treefile, status=1)
    assert "  scripted-1-1.noarch:\n    %post 1: true  (" in errors
    assert head(own_world) == before
    treefile.write_text('scriptlets = "warn"\n' + text)
    _, errors = compose(own_world, treefile)
    assert "note: scripted-1-1.noarch: 1 line of its scriptlets not run: layer audit" in errors


def test_a_wrong_treefile_is_told_all_at_once(own_world: World) -> None:
    treefile = own_world.path / "wrong.toml"
    text = 'ref = "a b"\npackages = [1]\nfoo = 1\nversion = "x"\n[[users]]\nname = "x"\n'
    treefile.write_text(text)
    _, errors = compose(own_world, treefile, status=1)
    assert errors.splitlines()[1:-1] == [
        "  foo: unknown key",
        "  repositories: is missing",
        "  packages: must hold strings",
        '  version: must be an integer or "auto"',
        "  ref: 'a b' is not the name of an OSTree ref",
        "  users[0].id: is missing",
    ]


def test_a_base_without_its_kernel_is_refused(own_world: World) -> None:
    treefile = own_world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"tiny-kernel"', '"tiny-libc"'))
    _, errors = compose(own_world, treefile, status=1)
    assert "the tree has 0 kernels (none); it needs one" in errors


def test_a_missing_repository_or_package_is_named(own_world: World) -> None:
    treefile = own_world.path / "tree.toml"
    text = treefile.read_text()
    treefile.write_text(text.replace('["tiny"]', '["tiny", "else"]'))
    assert "no such repository: else" in compose(own_world, treefile, status=1)[1]
    treefile.write_text(text.replace('"tiny-libc"', '"no-1", "no-2"'))
    errors = compose(own_world, treefile, status=1)[1]
    assert "no-1, no-2" in errors


COMPS = """<comps>
<group><id>more</id><name>More</name><packagelist><packagereq>web</packagereq>
<packagereq>casper</packagereq><packagereq type="default">needs-libc</packagereq>
<packagereq type="conditional" requires="web">pear</packagereq></packagelist></group>
<group><id>old</id><name>Old</name><packagelist><packagereq>needs-libc</packagereq>
</packagelist></group>
<environment><id>all</id><name>All</name><grouplist><groupid>more</groupid></grouplist>
</environment></comps>
"""


def programs(world: World) -> list[str]:
    """The programs of the newest base that it need not have."""
    listed = ostree(f"--repo={world.path}/served", "ls", "-R", REF, "/usr/bin")
    return [name for name in ("other", "pear", "web") if f"/usr/bin/{name}\n" in listed]


def test_groups_of_a_treefile(own_world: World) -> None:
    comps, treefile = own_world.path / "comps.xml", own_world.path / "tree.toml"
    comps.write_text(COMPS)
    command = ["modifyrepo_c", "--mdtype=group", str(comps)]
    subprocess.run([*command, str(own_world.packages / "repodata")], check=True)
    text = treefile.read_text()
    for word in ("@more", "@^all"):
        treefile.write_text(text.replace('"tiny-libc"', f'"tiny-libc", "{word}"'))
        _, errors = compose(own_world, treefile)
        assert programs(own_world) == ["pear", "web"]
        assert f"note: {word}: no enabled repository has casper, which is left out\n" in errors
        assert f"note: {word}: needs-libc is left out: needs-libc-1-1.x86_64 needs " in errors
    before = head(own_world)
    treefile.write_text(text.replace('"tiny-libc"', '"tiny-libc", "@old"'))
    _, errors = compose(own_world, treefile, status=1)
    assert "error: needs-libc-1-1.x86_64 needs tiny-libc = 9.99" in errors
    treefile.write_text(text.replace('"tiny-libc"', '"tiny-libc", "@nonesuch"'))
    _, errors = compose(own_world, treefile, status=1)
    assert "error: no enabled repository has the group nonesuch\n" in errors
    assert head(own_world) == before


def test_repositories_and_packages_may_be_chosen_for_once(own_world: World) -> None:
    other = own_world.path / "other"
    tiny_repository(other, tiny_rpm("web", "/usr/bin/other", version="2", arch="x86_64"))
    write_repo_file(own_world.repo_dir, "other", other.as_uri())
    treefile = own_world.path / "tree.toml"
    treefile.write_text(treefile.read_text().replace('"tiny-libc"', '"tiny-libc", "web"'))
    for words, expected in (
        ((), ["web"]),  # the treefile names one repository alone, enabled or not
        (("--enablerepo", "other"), ["other"]),
        (("--enablerepo", "*", "-x", "web-2*"), ["web"]),
        (("--enablerepo", "other", "--disablerepo", "oth*"), ["web"]),
        (("--disablerepo", "oth*", "--enablerepo", "other"), ["other"]),
        (("--repoid", "tiny,other"), ["other"]),
    ):
        compose(own_world, treefile, *words)
        assert programs(own_world) == expected
    before = head(own_world)
    errors = compose(own_world, treefile, "--repoid=other", status=1)[1]
    assert "error: no enabled repository has tiny-kernel" in errors
    errors = compose(own_world, treefile, "--disablerepo=*", status=1)[1]
    assert "error: no repository is left to take packages from" in errors
    errors = compose(own_world, treefile, "--repoid=othr", status=1)[1]
    assert "error: no repository is called othr\nhint: did you mean other?" in errors
    assert head(own_world) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "VERSION_ID=7\n"),
        ("ID=x\n", "ID=x\nVERSION_ID=7\n"),
        ('VERSION_ID="12"\nID=x\n', "VERSION_ID=7\nID=x\n"),
    ],
)
def test_version_id_is_set_where_it_stands(before: str, after: str) -> None:
    assert with_version_id(before, 7) == after
