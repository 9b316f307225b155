"""Repositories that a list or a metalink leads to."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine, served

METALINK = """\
<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic">
 <files>
  <file name="repomd.xml">
   <size>{size}</size>
   <verification>{hashes}</verification>
   <resources maxconnections="1">{mirrors}</resources>
  </file>
 </files>
</metalink>
"""
DEAD = "http://127.0.0.1:1/dead/"


@dataclass(frozen=True)
class Site:
    """A web server with a repository at two places, the first of which is behind."""

    folder: Path
    url: str

    def configure(self, **settings: str) -> list[str]:
        """Writes the .repo file; the options that add it."""
        lines = [f"{key}={value}" for key, value in {"gpgcheck": "0", **settings}.items()]
        repos = self.folder / "repos"
        repos.mkdir(exist_ok=True)
        (repos / "far.repo").write_text("\n".join(["[far]", *lines, ""]))
        return ["--repo-dir", str(repos)]

    def metalink(self, *mirrors: str, algorithm: str = "sha256") -> str:
        """Writes a metalink for the newest repomd.xml; its URL."""
        repomd = (self.folder / "new/repodata/repomd.xml").read_bytes()
        digest = hashlib.new(algorithm, repomd).hexdigest()
        urls = (
            f'<url protocol="http" type="http" preference="{100 - i}">'
            f"{mirror}repodata/repomd.xml</url>"
            for i, mirror in enumerate(mirrors)
        )
        text = METALINK.format(
            size=len(repomd),
            hashes=f'<hash type="{algorithm}">{digest}</hash>',
            mirrors="".join(urls),
        )
        (self.folder / "metalink").write_text(text)
        return f"{self.url}metalink"

    def mirrorlist(self, *lines: str) -> str:
        """Writes a list; its URL."""
        (self.folder / "list").write_text("\n".join(lines) + "\n")
        return f"{self.url}list"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of its own."""
    folder = tmp_path / "site"
    tiny_repository(folder / "old", tiny_rpm("far", "/usr/bin/far", version="1", arch="x86_64"))
    shutil.copytree(folder / "old", folder / "new")
    tiny_repository(folder / "new", tiny_rpm("far", "/usr/bin/far", version="2", arch="x86_64"))
    with served(folder) as url:
        yield Site(folder, url)


def layered(machine: Machine) -> list[str]:
    """What is layered, with versions."""
    host = machine.host()
    return [str(p.nevra) for p in host.lock_of(host.require_pending()).packages]


def test_a_metalink_leads_past_mirrors_that_are_dead_or_behind(
    machine: Machine, site: Site
) -> None:
    url = site.metalink(DEAD, f"{site.url}old/", f"{site.url}new/")
    do(machine, "install", "-y", *site.configure(metalink=url), "far")
    assert layered(machine) == ["far-2-1.x86_64"]


def test_a_list_leads_past_mirrors_that_are_dead(machine: Machine, site: Site) -> None:
    url = site.mirrorlist("# mirrors", "ftp://old.example/x", DEAD, f"{site.url}new/")
    do(machine, "install", "-y", *site.configure(mirrorlist=url), "far")
    assert layered(machine) == ["far-2-1.x86_64"]


def test_nothing_is_left_where_it_was_called(
    machine: Machine, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    do(machine, "install", "-n", *site.configure(metalink=site.metalink(f"{site.url}new/")), "far")
    assert list(here.iterdir()) == []


def test_the_list_is_kept_for_want_of_a_network(machine: Machine, site: Site) -> None:
    options = site.configure(metalink=site.metalink(f"{site.url}new/"))
    lines = fails(machine, "install", "-y", "-C", *options, "far")
    assert "repository far has no metalink in " in lines[0]
    do(machine, "install", "-y", "--download-only", *options, "far")
    (site.folder / "metalink").unlink()
    do(machine, "install", "-y", "-C", *options, "far")
    assert layered(machine) == ["far-2-1.x86_64"]


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("metalink", "<html>log in first</html>", "its metalink names no mirror"),
        ("mirrorlist", "<html>log in first</html>", "its mirrorlist names no mirror"),
        ("metalink", '<!DOCTYPE x [<!ENTITY a "b">]><metalink/>', "its metalink "),
        ("mirrorlist", "ftp://a.example/x", "names no mirror that can be used"),
        ("mirrorlist", "file:///etc", "names no mirror that can be used"),
        ("mirrorlist", "", "its mirrorlist names no mirror"),
    ],
    ids=["html", "html-list", "entity", "ftp", "file", "empty"],
)
def test_a_list_that_leads_nowhere_is_refused(
    machine: Machine, site: Site, kind: str, text: str, why: str
) -> None:
    (site.folder / "bad").write_text(text)
    options = site.configure(**{kind: f"{site.url}bad"})
    lines = fails(machine, "install", "-y", *options, "far")
    assert lines[0].startswith(f"error: repository far ({site.url}bad): ")
    assert why in lines[0]


def test_a_list_that_cannot_be_had_is_named(machine: Machine, site: Site) -> None:
    options = site.configure(metalink=f"{site.url}nowhere")
    (error, *_) = fails(machine, "install", "-y", *options, "far")
    assert error.endswith(f"cannot fetch {site.url}nowhere: the server answers 404")


def test_a_metalink_without_a_strong_checksum_is_refused(machine: Machine, site: Site) -> None:
    options = site.configure(metalink=site.metalink(f"{site.url}new/", algorithm="md5"))
    (error, *_) = fails(machine, "install", "-y", *options, "far")
    assert "its metalink has no strong checksum of repomd.xml" in error


def test_mirrors_that_are_all_behind_are_an_error(machine: Machine, site: Site) -> None:
    options = site.configure(metalink=site.metalink(f"{site.url}old/"))
    assert "cannot fetch" in fails(machine, "install", "-y", *options, "far")[0]
