"""Package repositories that are away, broken or hostile: one error that names them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import do, fails
from tests.snapshot import unchanged
from tests.world import Machine, World, served, write_repo_file


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A copy of the repository that may be damaged, and where it is served."""
    path = tmp_path / "copy"
    shutil.copytree(world.packages, path)
    with served(path) as url:
        yield path, url


def install(machine: Machine, folder: Path, url: str, *words: str) -> list[str]:
    """The error and hint of an install of what only a repository `other` may have."""
    repos = folder / "other-repos"
    repos.mkdir(exist_ok=True)
    write_repo_file(repos, "other", url)
    lines = fails(machine, "install", "--repo-dir", str(repos), "-y", *(words or ("quince",)))
    return [lines[0], lines[-1]]


def metadata(repository: Path, kind: str) -> Path:
    """The one metadata file of a kind."""
    return next((repository / "repodata").glob(f"*-{kind}.xml.gz"))


def test_a_closed_port_is_one_error(machine_kept: Machine, tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        error, hint = install(machine_kept, tmp_path, url)
    assert error.startswith(
        f"error: repository other: cannot fetch {url}repodata/repomd.xml: Failed to connect to "
    )
    assert hint == (
        "hint: check the network and the repository's baseurl, or disable the repository"
    )


def test_an_unknown_name_is_one_error(machine_kept: Machine, tmp_path: Path) -> None:
    error, _ = install(machine_kept, tmp_path, "http://nowhere.invalid/")
    assert error.startswith(
        "error: repository other: cannot fetch http://nowhere.invalid/repodata/repomd.xml: "
    )


def test_a_missing_repository_is_one_error(
    machine_kept: Machine, tmp_path: Path, copied: tuple[Path, str]
) -> None:
    _, url = copied
    error, _ = install(machine_kept, tmp_path, f"{url}nowhere")
    assert error == (
        f"error: repository other: cannot fetch {url}nowhere/repodata/repomd.xml: "
        "the server answers 404"
    )
    error, _ = install(machine_kept, tmp_path, f"file://{tmp_path}/nowhere")
    assert error.startswith(f"error: repository other: cannot fetch file://{tmp_path}/nowhere/")


def test_a_web_page_is_no_repository(
    machine_kept: Machine, tmp_path: Path, copied: tuple[Path, str]
) -> None:
    path, url = copied
    (path / "repodata/repomd.xml").write_text("<!DOCTYPE html><html>Please log in</html>\n")
    error, hint = install(machine_kept, tmp_path, url)
    assert error == (
        f"error: repository other ({url}): repodata/repomd.xml is no repository metadata"
    )
    assert hint.startswith("hint: try again later")


def test_metadata_with_a_wrong_checksum_are_refused(
    machine_kept: Machine, tmp_path: Path, copied: tuple[Path, str]
) -> None:
    path, url = copied
    primary = metadata(path, "primary")
    damaged = bytearray(primary.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    primary.write_bytes(damaged)
    error, _ = install(machine_kept, tmp_path, url)
    assert error.startswith(f"error: repository other: cannot fetch {url}repodata/{primary.name}: ")
    assert "checksum" in error.lower()


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"", b"\x1f\x8b\x08", None], ids=repr)
def test_metadata_that_match_their_checksum_and_are_none_are_refused(
    machine_kept: Machine, tmp_path: Path, copied: tuple[Path, str], content: bytes | None
) -> None:
    """As when the server's disk was full while the repository was made."""
    path, url = copied
    primary = metadata(path, "primary")
    data = primary.read_bytes()
    primary.write_bytes(data[: len(data) // 2] if content is None else content)
    digest = hashlib.sha256(primary.read_bytes()).hexdigest()
    repomd = path / "repodata/repomd.xml"
    text = repomd.read_text()
    start = text.index('<data type="primary">')
    end = text.index("</data>", start)
    record = re.sub(r"(<checksum [^>]*>)[0-9a-f]+", rf"\g<1>{digest}", text[start:end], count=1)
    record = re.sub(r"<size>\d+", f"<size>{primary.stat().st_size}", record)
    repomd.write_text(text[:start] + record + text[end:])
    error, *_ = install(machine_kept, tmp_path, url)
    assert "other" in error


def test_a_package_that_is_gone_is_one_error(
    machine_kept: Machine, tmp_path: Path, own_repository: tuple[Path, str]
) -> None:
    path, url = own_repository
    next(path.rglob("extra-1-1.noarch.rpm")).unlink()
    error, _ = install(machine_kept, tmp_path, url, "extra")
    assert error.startswith("error: repository other: cannot fetch ")
    assert error.endswith("extra-1-1.noarch.rpm: the server answers 404")


@pytest.mark.parametrize("place", ["header", "payload"])
def test_a_package_with_a_wrong_checksum_is_refused(
    machine_kept: Machine, tmp_path: Path, own_repository: tuple[Path, str], place: str
) -> None:
    path, url = own_repository
    package = next(path.rglob("extra-1-1.noarch.rpm"))
    intact = package.read_bytes()
    damaged = bytearray(intact)
    damaged[200 if place == "header" else -3] ^= 1
    package.write_bytes(damaged)
    error, *_ = install(machine_kept, tmp_path, url, "extra")
    assert "extra" in error
    package.write_bytes(intact)
    with unchanged(machine_kept.path):
        do(machine_kept, "install", "--repo-dir", str(tmp_path / "other-repos"), "-n", "extra")


def test_a_dead_repository_does_not_block_what_needs_none(machine: Machine, tmp_path: Path) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    write_repo_file(repos, "dead", "http://127.0.0.1:1/")
    do(machine, "install", "-y", "apple", "pear")
    do(machine, "uninstall", "--repo-dir", str(repos), "-y", "apple")
    do(machine, "reset", "--repo-dir", str(repos), "-y")
    assert machine.layered() == []


def test_what_others_have_is_installed_without_a_dead_repository(
    machine: Machine, tmp_path: Path
) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    file = write_repo_file(repos, "dead", "http://127.0.0.1:1/")
    options = ("--repo-dir", str(repos), "-y")
    done = do(machine, "install", *options, "pear")
    dead = "repository dead: cannot fetch http://127.0.0.1:1/repodata/repomd.xml: Failed to connect"
    assert f"note: left out: {dead}" in done.stderr
    # An upgrade wants the newest, which it may have; a preferred one may have better ones.
    (error, *_) = fails(machine, "upgrade", *options)
    assert error.startswith(f"error: {dead}")
    text = file.read_text()
    file.write_text(f"{text}priority=1\n")
    assert fails(machine, "install", *options, "apple")[0].startswith(f"error: {dead}")
    file.write_text(f"{text}priority=1\nskip_if_unavailable=1\n")
    assert f"left out: {dead}" in do(machine, "install", *options, "apple").stderr
    assert f"left out: {dead}" in do(machine, "upgrade", *options).stderr
    error, without, *_ = fails(machine, "install", *options, "quince")
    assert error.startswith(f"error: {dead}")
    assert without.startswith("and without it: ")


def test_a_dead_repository_is_used_as_it_was(
    machine: Machine, tmp_path: Path, own_repository: tuple[Path, str]
) -> None:
    path, url = own_repository
    repos = tmp_path / "other-repos"
    repos.mkdir(exist_ok=True)
    file = write_repo_file(repos, "other", url)
    file.write_text(f"{file.read_text()}metadata_expire=0\n")
    options = ("--repo-dir", str(repos), "-y")
    do(machine, "install", "-n", *options, "extra")
    (path / "repodata/repomd.xml").rename(path / "away")
    done = do(machine, "install", *options, "extra")
    assert "note: repository other: cannot fetch" in done.stderr
    assert re.search(r"404; what it had at [-\dT:]+Z is used\n", done.stderr)
    # What was fetched from somewhere else is of no use.
    file.write_text(file.read_text().replace(url, f"{url}nowhere"))
    assert "other" in fails(machine, "upgrade", *options)[0]


def test_metadata_are_asked_for_when_they_are_old(
    machine: Machine, tmp_path: Path, world: World
) -> None:
    asked: list[str] = []
    with served(world.packages, asked) as url:
        repos = tmp_path / "repos"
        repos.mkdir()
        file = write_repo_file(repos, "web", url)
        options = ("--repo-dir", str(repos))

        def requests(verb: str, *words: str) -> int:
            asked.clear()
            machine.layer(verb, *options, *words)
            return asked.count("/repodata/repomd.xml")

        assert requests("install", "-n", "pear") == 1
        assert requests("install", "-n", "pear") == 0
        assert requests("refresh-md") == 1
        assert requests("upgrade", "-n") == 0  # which has no use for repositories here
        (repomd,) = machine.path.glob("ostree/deploy/*/var/cache/layer/web/repomd.xml")
        two_days = 2 * 86400 + 10
        os.utime(repomd, (0, repomd.stat().st_mtime - two_days))
        assert requests("install", "-n", "pear") == 1
        file.write_text(f"{file.read_text()}metadata_expire=never\n")
        os.utime(repomd, (0, repomd.stat().st_mtime - 99 * two_days))
        assert requests("install", "-n", "pear") == 0
        file.write_text(file.read_text().replace("never", "0"))
        assert requests("install", "-n", "pear") == 1
        do(machine, "install", "-y", *options, "pear")
        file.write_text(
            file.read_text().replace("=0\n", "=1d\n").replace("gpgcheck=1d", "gpgcheck=0")
        )
        assert requests("upgrade", "-n", "--repo-dir", str(world.repo_dir)) == 1


def test_repositories_are_chosen_for_one_command(
    machine: Machine, tmp_path: Path, own_repository: tuple[Path, str]
) -> None:
    _, url = own_repository
    repos = tmp_path / "other-repos"
    repos.mkdir(exist_ok=True)
    off = write_repo_file(repos, "other", url)
    off.write_text(off.read_text().replace("enabled=1", "enabled=0") + "[bare]\nenabled=0\n")
    options = ("--repo-dir", str(repos), "-n")
    assert "extra" in fails(machine, "install", *options, "extra")[0]
    assert (
        "[bare]: baseurl is missing"
        in fails(machine, "install", *options, "--enablerepo=bare", "pear")[0]
    )
    for words in (
        ("--enablerepo", "other"),
        ("--enablerepo=tin*,oth*",),
        ("--repo", "other"),
        ("--repoid=*the?",),
        ("--disablerepo=*", "--enablerepo=other"),
        ("--enablerepo=bare", "--disablerepo=bare,other", "--enablerepo=other"),
        ("--repo=tiny", "--disablerepo=other", "--enablerepo=other"),
    ):
        assert "Installing 1 package" in do(machine, "install", *options, *words, "extra").stdout
    for words in (
        ("--repo=other", "pear"),
        ("--disablerepo=tiny", "pear"),
        ("--enablerepo=*", "--disablerepo=bare,tiny", "pear"),
        ("--enablerepo=other", "--disablerepo=oth*", "extra"),
    ):
        assert words[-1] in fails(machine, "install", *options, *words)[0]
    error, hint = fails(machine, "install", *options, "--enablerepo=a,other,z*", "extra")
    assert error == "error: no repository is called a, z*"
    assert hint == "hint: there is: bare, other, tiny"


def test_two_dead_repositories_are_both_named(machine_kept: Machine, tmp_path: Path) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    for name in ("dead-a", "dead-b"):
        write_repo_file(repos, name, f"file:///nowhere/{name}")
    lines = fails(machine_kept, "install", "--repo-dir", str(repos), "-y", "quince")
    assert [name for name in ("dead-a", "dead-b") if any(name in line for line in lines)] == [
        "dead-a",
        "dead-b",
    ]


def test_a_cache_that_cannot_be_kept_is_named_once(
    machine_kept: Machine, world: World, tmp_path: Path
) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    for name in ("one", "two"):
        write_repo_file(repos, name, f"file://{world.packages}")
    (tmp_path / "file").touch()
    cache = tmp_path / "file/cache"
    where = ("--repo-dir", str(repos), "--cachedir", str(cache))
    told = f"cannot keep downloads in {cache}/one: Not a directory"
    assert fails(machine_kept, "install", *where, "-n", "pear")[0] == f"error: {told}"
    assert len(fails(machine_kept, "install", *where, "-n", "pear")) == 2
    assert len(fails(machine_kept, "refresh-md", *where)) == 2


def test_without_any_repository_the_error_says_so(machine_kept: Machine) -> None:
    with unchanged(machine_kept.path):
        done = machine_kept.layer("install", "-y", "pear", status=1)
    assert "error: without repositories, nothing has pear\n" in done.stderr


def test_refresh_md_names_the_repositories(machine: Machine, world: World) -> None:
    line = f"tiny: file://{world.packages}\n"
    with unchanged(machine.path):
        assert do(machine, "refresh-md").stdout == line
        assert do(machine, "refresh-md", "--force").stdout == line
        done = machine.layer("refresh-md", status=1)
    assert done.stderr == (
        "error: no repository is enabled\n"
        "hint: put a .repo file into /etc/yum.repos.d or use --repo-dir\n"
    )


def test_refresh_md_fetches_what_it_can_and_names_all_else(
    machine_kept: Machine, world: World, tmp_path: Path
) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    for name in ("dead-a", "dead-b", "spared"):
        file = write_repo_file(repos, name, f"file:///nowhere/{name}")
    file.write_text(f"{file.read_text()}skip_if_unavailable=1\n")
    done = do(machine_kept, "refresh-md", "--repo-dir", str(repos), status=1)
    assert done.stdout == f"tiny: file://{world.packages}\n"
    told = [line.partition(": cannot fetch")[0] for line in done.stderr.splitlines()]
    assert told[:3] == [
        "note: left out: repository spared",
        "error: repository dead-a",
        "repository dead-b",
    ]
    for name in ("dead-a", "dead-b"):
        (repos / f"{name}.repo").unlink()
    do(machine_kept, "refresh-md", "--repo-dir", str(repos))


def test_a_forced_refresh_that_fails_leaves_what_is_cached(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    packages, repos = tmp_path / "packages", tmp_path / "repos"
    shutil.copytree(world.packages, packages)
    repos.mkdir()
    write_repo_file(repos, "own", f"file://{packages}")
    options, kept = ("--repo-dir", str(repos)), machine.host().cache
    machine.layer("refresh-md", *options)
    cached = {path.name: path.read_bytes() for path in (kept / "own").iterdir()}
    (packages / "repodata").rename(tmp_path / "elsewhere")
    machine.layer("refresh-md", "--force", *options, status=1)
    assert {p.name: p.read_bytes() for p in (kept / "own").iterdir()} == cached
    assert [path.name for path in kept.glob(".aside*")] == []
    machine.layer("search", "-C", *options, "pear")


def test_the_deployments_own_repo_files_are_read(machine: Machine, world: World) -> None:
    folder = machine.pending().path / "etc/yum.repos.d"
    folder.mkdir()
    write_repo_file(folder, "own", f"file://{world.packages}")
    assert machine.layer("refresh-md").stdout == f"own: file://{world.packages}\n"
    machine.layer("install", "-y", "web")
    assert machine.layered() == ["web"]
    assert (machine.pending().path / "etc/yum.repos.d/own.repo").exists()


def test_a_repo_file_that_is_none_is_one_error(machine_kept: Machine, tmp_path: Path) -> None:
    (tmp_path / "bad.repo").write_text("enabled=1\n")
    error, *_ = fails(machine_kept, "install", "--repo-dir", str(tmp_path), "-y", "pear")
    assert f"{tmp_path}/bad.repo" in error


@pytest.fixture
def own_repository(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A repository with a package that no other one has, and where it is served."""
    from testdata.distro.tiny import tiny_repository, tiny_rpm

    path = tmp_path / "own"
    tiny_repository(path, tiny_rpm("extra", "/usr/bin/extra"))
    with served(path) as url:
        yield path, url
