"""What repositories' keys have signed is taken, and nothing else where that is wanted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testdata.distro.tiny import tiny_repository, tiny_rpm
from tests.cli import do, fails
from tests.world import Machine, layer, served

_PACKAGES = ("good", "bad", "plain")


@dataclass(frozen=True)
class Keys:
    """A GnuPG home with two keys."""

    home: Path

    def gpg(self, *words: str) -> bytes:
        """What gpg prints."""
        base = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet"]
        base += ["--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run([*base, *words], check=True, capture_output=True).stdout

    def make(self, user: str) -> str:
        """A new key; its fingerprint."""
        self.gpg("--quick-generate-key", user, "rsa2048", "sign", "never")
        listed = self.gpg("--with-colons", "--list-keys", user).decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def sign_package(self, path: Path, user: str) -> None:
        """As who releases a package does."""
        words = ["--define", "__gpg /usr/bin/gpg", "--define", f"_gpg_name {user}"]
        subprocess.run(
            ["rpmsign", *words, "--addsign", str(path)],
            check=True,
            capture_output=True,
            env={**os.environ, "GNUPGHOME": str(self.home)},
        )


@dataclass(frozen=True)
class Signed:
    """A repository with a package signed by its key, by another, and by none."""

    folder: Path
    keys: Keys
    ours: str
    theirs: str

    @property
    def options(self) -> list[str]:
        """The options that add it."""
        return ["--repo-dir", str(self.folder / "repos")]

    def configure(self, **settings: str) -> None:
        """Writes its .repo file."""
        found = {
            "name": "Signed",
            "baseurl": f"file://{self.folder}/packages",
            "gpgkey": f"file://{self.folder}/key.asc",
            **settings,
        }
        lines = [f"{key}={value}" for key, value in found.items() if value]
        (self.folder / "repos/signed.repo").write_text("\n".join(["[signed]", *lines, ""]))

    def sign_metadata(self, user: str) -> None:
        """Signs repomd.xml."""
        repomd = self.folder / "packages/repodata/repomd.xml"
        self.keys.gpg("--armor", "--detach-sign", "-u", user, str(repomd))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The repository, its keys and packages."""
    folder = tmp_path_factory.mktemp("signed")
    home = folder / "home"
    home.mkdir(mode=0o700)
    keys = Keys(home)
    ours, theirs = keys.make("Tiny <tiny@example.org>"), keys.make("Other <o@example.org>")
    (folder / "key.asc").write_bytes(keys.gpg("--armor", "--export", ours))
    (folder / "other.asc").write_bytes(keys.gpg("--armor", "--export", theirs))
    (folder / "repos").mkdir()
    packages = folder / "packages"
    specs = [tiny_rpm(name, f"/usr/bin/{name}", arch="x86_64") for name in _PACKAGES]
    tiny_repository(packages, *specs)
    keys.sign_package(packages / "good-1-1.x86_64.rpm", "tiny@example.org")
    keys.sign_package(packages / "bad-1-1.x86_64.rpm", "o@example.org")
    subprocess.run(["createrepo_c", "-q", str(packages)], check=True)
    return Signed(folder, keys, ours, theirs)


@pytest.fixture
def signed(made: Signed) -> Iterator[Signed]:
    """The same, configured as repositories are that say nothing about checks."""
    made.configure()
    yield made
    (made.folder / "packages/repodata/repomd.xml.asc").unlink(missing_ok=True)


def install(machine: Machine, signed: Signed, *words: str, status: int = 0):  # type: ignore[no-untyped-def]
    """With the signed repository."""
    return do(machine, "install", "-y", *signed.options, *words, status=status)


def test_a_signed_package_is_taken_and_its_key_shown_once(machine: Machine, signed: Signed) -> None:
    planned = do(machine, "install", "-n", *signed.options, "good").stdout
    shown = (
        "Keys that vouch for packages, new on this machine:\n"
        f"  {signed.ours}\n"
        f"    Tiny <tiny@example.org>, file://{signed.folder}/key.asc"
    )
    assert shown in planned
    assert shown in install(machine, signed, "good").stdout  # a plan alone trusts nothing
    do(machine, "uninstall", "-y", "good")
    assert "vouch" not in install(machine, signed, "good").stdout
    record = json.loads((machine.path / "ostree/deploy/tiny/var/lib/layer/keys.json").read_text())
    assert record == {"schema": 1, "trusted": [signed.ours]}


def test_what_no_key_of_the_repository_signed_is_refused_all_at_once(
    machine: Machine, signed: Signed
) -> None:
    lines = fails(machine, "install", "-y", *signed.options, "bad", "good", "plain")
    key = signed.theirs[-16:]
    assert lines == [
        "error: bad-1-1.x86_64 of repository signed: public key not available: "
        f"it is signed with the key {key}",
        "plain-1-1.x86_64 of repository signed: it is not signed",
        f"hint: the keys of the repositories are {signed.ours}; "
        "gpgcheck=0 takes packages that nobody vouches for",
    ]


def test_a_second_key_vouches_too_and_gpgcheck_0_asks_nobody(
    machine: Machine, signed: Signed
) -> None:
    both = f"file://{signed.folder}/key.asc file://{signed.folder}/other.asc"
    signed.configure(gpgkey=both)
    assert signed.theirs in install(machine, signed, "bad").stdout
    signed.configure(gpgcheck="0", gpgkey="")
    assert "vouch" not in install(machine, signed, "plain").stdout


def test_what_was_imported_unchecked_is_checked_when_it_is_wanted_again(
    machine: Machine, signed: Signed
) -> None:
    signed.configure(gpgcheck="0")
    install(machine, signed, "plain")
    do(machine, "uninstall", "-y", "plain")
    signed.configure()
    assert "it is not signed" in fails(machine, "install", "-y", *signed.options, "plain")[0]


def test_what_is_layered_remembers_who_signed_it(machine: Machine, signed: Signed) -> None:
    install(machine, signed, "good")
    signed.configure(gpgcheck="0")
    install(machine, signed, "plain")
    for name, key in (("good", signed.ours[-16:]), ("plain", "no key")):
        shown = do(machine, "info", *signed.options, name).stdout
        assert f"Signed with  : {key}\n" in shown
        (found,) = json.loads(do(machine, "info", *signed.options, "--json", name).stdout)[
            "packages"
        ]
        assert found["signed-with"] == (None if key == "no key" else key)
    assert "Signed with" not in do(machine, "info", *signed.options, "bad").stdout


def test_what_is_layered_stays_without_its_key(machine: Machine, signed: Signed) -> None:
    install(machine, signed, "good")
    signed.configure(gpgkey=f"file://{signed.folder}/other.asc")
    do(machine, "install", "-y", "web")
    do(machine, "uninstall", "-y", "web")
    assert machine.layered() == ["good"]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "repository signed is to be signed and names no key"),
        ("missing.asc", "cannot be used: No such file or directory"),
        ("repos/signed.repo", "has no OpenPGP key"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(
    machine: Machine, signed: Signed, key: str, why: str
) -> None:
    signed.configure(gpgkey=key and f"file://{signed.folder}/{key}")
    assert why in fails(machine, "install", "-y", *signed.options, "good")[0]


def test_a_key_of_the_web_is_fetched_once(machine: Machine, signed: Signed) -> None:
    with served(signed.folder) as url:
        signed.configure(gpgkey=f"{url}key.asc")
        install(machine, signed, "good")
    do(machine, "uninstall", "-y", "good")
    install(machine, signed, "good")


def test_a_page_in_place_of_a_key_is_asked_for_again(machine: Machine, signed: Signed) -> None:
    place = signed.folder / "later.asc"
    with served(signed.folder) as url:
        signed.configure(gpgkey=f"{url}later.asc")
        for page in (b"<html>log in first</html>", b"x" * (2 << 20)):
            place.write_bytes(page)
            (error, *_) = fails(machine, "install", "-y", *signed.options, "good")
            assert f"the key {url}later.asc cannot be used" in error
        cache = machine.path / "ostree/deploy/tiny/var/cache/layer/keys"
        assert [path for path in cache.rglob("*") if path.is_file()] == []
        place.write_bytes((signed.folder / "key.asc").read_bytes())
        install(machine, signed, "good")


def test_the_deployments_own_repositories_name_files_of_its_etc(
    machine: Machine, signed: Signed
) -> None:
    etc = machine.pending().path / "etc"
    (etc / "yum.repos.d").mkdir()
    (etc / "pki").mkdir()
    (etc / "pki/tiny.asc").write_bytes((signed.folder / "key.asc").read_bytes())
    (etc / "yum.repos.d/own.repo").write_text(
        f"[own]\nbaseurl=file://{signed.folder}/packages\ngpgkey=file:///etc/pki/tiny.asc\n"
    )
    done = machine.layer("install", "-y", "good")
    assert f"Tiny <tiny@example.org>, file://{machine.pending().path.parent}" in done.stdout


def test_signed_metadata(machine: Machine, signed: Signed) -> None:
    signed.configure(repo_gpgcheck="1")
    missing = fails(machine, "install", "-y", *signed.options, "good")[0]
    assert "repomd.xml.asc" in missing
    signed.sign_metadata("o@example.org")
    wrong = fails(machine, "install", "-y", *signed.options, "good")[0]
    assert "the signature of repodata/repomd.xml is not good" in wrong
    signed.sign_metadata("tiny@example.org")
    install(machine, signed, "good")
    do(machine, "uninstall", "-y", "good")
    cached = machine.path / "ostree/deploy/tiny/var/cache/layer/signed/repomd.xml"
    cached.write_bytes(cached.read_bytes().replace(b"<revision>", b"<revision>1"))
    offline = fails(machine, "install", "-y", "-C", *signed.options, "good")[0]
    assert "the signature of repodata/repomd.xml is not good" in offline


def test_compose_takes_only_what_is_signed(tmp_path: Path, signed: Signed) -> None:
    treefile = tmp_path / "tree.toml"
    text = 'ref = "x/1"\nrepositories = ["signed"]\npackages = ["{}"]\n'
    for name, why in (("plain", "it is not signed"), ("bad", "public key not available")):
        treefile.write_text(text.format(name))
        done = layer(
            "compose", "tree", *signed.options, f"--repo={tmp_path}/repo", str(treefile), status=1
        )
        assert f"{name}-1-1.x86_64 of repository signed: {why}" in done.stderr


def test_an_expired_key_is_named(machine: Machine, signed: Signed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    keys = Keys(home)
    words = ("--faked-system-time", "20200101T000000")
    keys.gpg(*words, "--quick-generate-key", "Old <old@example.org>", "rsa2048", "sign", "1d")
    (tmp_path / "old.asc").write_bytes(keys.gpg("--armor", "--export", "old@example.org"))
    signed.configure(gpgkey=f"file://{tmp_path}/old.asc")
    assert " is expired" in fails(machine, "install", "-y", *signed.options, "good")[0]
