"""`layer repo`: what is known of repositories."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layer.fetch import contents
from layer.repository import Repository, RepositoryMetadata
from testdata.distro.hostile_repository import Claim, primary_of
from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.snapshot import unchanged
from tests.test_mirrors import Site, site
from tests.test_signing import Keys
from tests.world import Machine, World, layer, served, write_repo_file

__all__ = ["site"]
_FETCHED = 1_700_000_000
_WHEN = "2023-11-14T22:13:20Z"


def run(machine: Machine, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs it."""
    return layer("repo", *words, status=status, env={"OSTREE_SYSROOT": str(machine.path)})


def repo(machine: Machine, *words: str) -> str:
    """What it prints; it changes nothing."""
    with unchanged(machine.path):
        return run(machine, *words).stdout


def as_json(machine: Machine, *words: str) -> list[dict[str, Any]]:
    """The same, read."""
    found: list[dict[str, Any]] = json.loads(repo(machine, *words, "--json"))["repositories"]
    return found


def cached(machine: Machine, name: str) -> Path:
    """The cached repomd.xml of a repository."""
    return machine.path / f"ostree/deploy/tiny/var/cache/layer/{name}/repomd.xml"


def test_repositories_are_listed_with_what_was_fetched(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    off = write_repo_file(repos, "off", "http://127.0.0.1:1/")
    off.write_text(off.read_text().replace("enabled=1", "enabled=0").replace("name=o", "name=O"))
    options = ("--repo-dir", str(world.repo_dir), "--repo-dir", str(repos))
    assert repo(machine, "list", *options) == "tiny  enabled  not fetched  tiny\n"
    machine.layer("refresh-md", *options)
    number = len(list(world.packages.rglob("*.rpm")))
    tiny = f"tiny  enabled   {number} packages  tiny\n"
    both = f"off   disabled  not fetched  Off\ntiny  enabled   {number} packages  tiny\n"
    assert repo(machine, "list", *options).split() == tiny.split()
    assert repo(machine, "list", "--enabled", *options).split() == tiny.split()
    assert repo(machine, "list", "--all", *options) == both
    assert repo(machine, "list", "--disabled", *options) == "off  disabled  not fetched  Off\n"
    assert [each["id"] for each in as_json(machine, "list", "--all", *options)] == ["off", "tiny"]
    assert [each["id"] for each in as_json(machine, "info", *options)] == ["tiny"]
    assert [each["id"] for each in as_json(machine, "info", "o*", *options)] == ["off"]
    words = ("--enablerepo=off", "--disablerepo=tiny")
    assert [each["id"] for each in as_json(machine, "list", *options, *words)] == ["off"]
    done = run(machine, "info", *options, "x", "tiny", "y*", status=1)
    assert done.stderr == "error: no repository is called x, y*\nhint: there is: off, tiny\n"
    assert repo(machine, "list") == "No repositories.\n"


def test_all_about_a_repository(machine: Machine, tmp_path: Path) -> None:
    packages, repos, home = tmp_path / "packages", tmp_path / "repos", tmp_path / "home"
    tiny_repository(packages, tiny_rpm("one"), tiny_rpm("two"))
    home.mkdir(mode=0o700)
    repos.mkdir()
    keys = Keys(home)
    fingerprint = keys.make("Tiny <tiny@example.org>")
    (packages / "key.asc").write_bytes(keys.gpg("--armor", "--export", fingerprint))
    with served(packages) as url:
        secret = url.replace("://", "://me:secret@")
        (repos / "web.repo").write_text(
            f"[web]\nname=The web\nbaseurl={secret}\ngpgkey=file://{packages}/key.asc\n"
            "excludepkgs=a* b\nincludepkgs=c\npriority=7\ncost=8\nmetadata_expire=1h\n"
            "skip_if_unavailable=1\npassword=hidden\nusername=me\n"
        )
        options = ("--repo-dir", str(repos))
        machine.layer("refresh-md", *options)
    size = sum(path.stat().st_size for path in packages.glob("*.rpm"))
    os.utime(cached(machine, "web"), (_FETCHED, _FETCHED))
    shown = url.replace("://", "://me:***@")
    (found,) = as_json(machine, "info", *options)
    expected = {
        "id": "web", "name": "The web", "enabled": True, "baseurl": [shown], "metalink": None,
        "mirrorlist": None, "mirrors": [], "packages": 2, "size": size, "fetched": _WHEN,
        "expires": "2023-11-14T23:13:20Z", "metadata_expire": 3600, "fresh": False,
        "problem": None, "gpgcheck": True, "repo_gpgcheck": False,
        "gpgkey": [f"file://{packages}/key.asc"], "excludepkgs": ["a*", "b"],
        "keys": [{"fingerprint": fingerprint, "user": "Tiny <tiny@example.org>"}],
        "includepkgs": ["c"], "priority": 7, "cost": 8, "skip_if_unavailable": True,
        "source": f"{repos}/web.repo",
    }  # fmt: skip
    assert found == expected
    text = repo(machine, "info", *options)
    assert "secret" not in text and "hidden" not in text
    rows = dict(line.split(" : ") for line in text.splitlines())
    assert {key.strip(): value for key, value in rows.items()} == {
        "ID": "web", "Name": "The web", "Status": "enabled", "URL": shown, "Packages": "2",
        "Size": f"{size / 1000:.1f} kB", "Metadata": f"of {_WHEN}, to be looked at anew",
        "Has to be signed": "packages", "Key": f"file://{packages}/key.asc",
        "Known key": f"{fingerprint} Tiny <tiny@example.org>", "Excludes": "a* b",
        "Includes": "c", "Priority": "7", "Cost": "8", "May be missing": "yes",
        "Configured in": f"{repos}/web.repo",
    }  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_packages_are_counted_in_any_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(contents, "_CHUNK", chunk)
    primary = tmp_path / "primary.xml"
    claim = Claim("a", "0" * 64, "40", "a.rpm", "500")
    primary.write_bytes(primary_of([claim, replace(claim, name="packages", size="2")]))
    metadata = RepositoryMetadata(Repository("r", "r", ()), "", primary)
    assert contents.count_contents(metadata) == (2, 42)


def test_until_when_metadata_count(machine: Machine, tmp_path: Path) -> None:
    packages, repos = tmp_path / "packages", tmp_path / "repos"
    tiny_repository(packages, tiny_rpm("one"))
    repos.mkdir()
    with served(packages) as url:
        file = write_repo_file(repos, "web", url)
        options = ("--repo-dir", str(repos))
        machine.layer("refresh-md", *options)
    assert ", which count until 20" in repo(machine, "info", *options)
    file.write_text(f"{file.read_text()}metadata_expire=never\n")
    assert ", which count for ever\n" in repo(machine, "info", *options)
    assert (as_json(machine, "info", *options)[0]["expires"]) is None
    primary = next(cached(machine, "web").parent.glob("*primary*"))
    primary.write_bytes(primary.read_bytes()[:-1])
    assert "web  enabled  damaged  web\n" in repo(machine, "list", *options)
    assert f"{primary.name} in {primary.parent} is damaged" in repo(machine, "info", *options)
    # What was fetched from elsewhere is not this repository's.
    file.write_text(file.read_text().replace(url, f"{url}other"))
    assert "Metadata         : not fetched yet\n" in repo(machine, "info", *options)


def test_a_metalinks_mirrors_are_counted(machine: Machine, site: Site) -> None:
    url = site.metalink(f"{site.url}new/", f"{site.url}old/")
    options = site.configure(metalink=url)
    machine.layer("refresh-md", *options)
    (found,) = as_json(machine, "info", *options)
    assert (found["metalink"], found["baseurl"]) == (url, [])
    assert found["mirrors"] == [f"{site.url}new/", f"{site.url}old/"]
    assert "Mirrors          : 2\n" in repo(machine, "info", *options)


def test_a_wrong_file_is_one_error(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "bad.repo").write_text("[bad]\nbaseurl=http://x/\npriority=high\n")
    done = run(machine, "list", "--repo-dir", str(tmp_path), status=1)
    assert done.stderr.startswith(f"error: {tmp_path}/bad.repo, [bad]: priority")
    (tmp_path / "bad.repo").write_text("[bad]\nbaseurl=ftp://x/\ngpgcheck=0\n")
    text = repo(machine, "info", "--repo-dir", str(tmp_path))
    assert "Problem          : layer cannot do baseurl=ftp://x/ (only file://" in text
