"""The demonstration's base: 176 real packages, all nine triggers, and a boot."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer import verbs
from layer.compose import compose_and_publish
from layer.lock import read_lock, read_record
from layer.model import LockedPackage
from layer.owners import OwnerKind
from layer.report import SILENT
from layer.sandbox.box import SandboxOptions
from layer.store.files import read_text
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from testdata.distro.boot import boot_sysroot
from testdata.distro.build import DemoRepository, ensure_demo
from tests.elsewhere import CLOCK
from tests.ownership import check_owners
from tests.world import Machine, World, layer, ostree, remove, served, write_repo_file

TREEFILE = Path(__file__).parent.parent / "testdata/distro/demo-tree.toml"
REF = "demo/12/x86_64/base"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SYNTHETIC = (
    "demo-daemon",
    "demo-desktop",
    "demo-lib",
    "demo-links",
    "demo-module",
    "demo-ping",
)
ALL_NINE = {
    "sysusers",
    "ldconfig",
    "preset",
    "tmpfiles",
    "icon-cache",
    "glib-schemas",
    "desktop-database",
    "mime-database",
    "depmod",
}


class DemoWorld(World):
    """The demonstration's base, served."""

    def machine(self, path: Path, sandbox: SandboxOptions | None = None) -> Machine:
        """A fresh machine on it."""
        initialize(path, "demo")
        machine = Machine(path, self, sandbox)
        add_remote(machine.host().store, "demo", self.url, verify=False)
        first = self.path / "came-by-http"
        if first.exists():  # as hard links then, in a tenth of the time
            into = f"--repo={path}/ostree/repo"
            ostree("pull-local", into, "--remote=demo", str(self.path / "build/repo"), REF)
        machine.apply(lambda host: verbs.rebase(host, f"demo:{REF}"))
        first.touch()
        return machine


@pytest.fixture(scope="module")
def demo() -> DemoRepository:
    return ensure_demo()


@pytest.fixture(scope="module")
def demo_world(
    tmp_path_factory: pytest.TempPathFactory, demo: DemoRepository
) -> Iterator[DemoWorld]:
    path = tmp_path_factory.mktemp("demo")
    (path / "repos").mkdir()
    write_repo_file(path / "repos", "demo", f"file://{demo.path}")
    served_ = f"--repo={path / 'served'}"
    ostree("init", served_, "--mode=archive")
    ostree("config", "set", served_, "archive.zlib-level", "1")  # of 9; it goes no further than us
    composed = compose_and_publish(
        TREEFILE, path / "served", (path / "repos",), path / "build", SILENT
    )
    with served(path / "served") as url:
        yield DemoWorld(path, url, composed)


@pytest.fixture(scope="module")
def plain(demo_world: DemoWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with nothing in its past, on which the synthetic packages are layered."""
    path = tmp_path_factory.mktemp("plain") / "machine"
    machine = demo_world.machine(path)
    machine.install(*SYNTHETIC, "strace")
    yield machine
    remove([path])


def test_synthetic_packages_fire_all_nine_triggers(plain: Machine) -> None:
    host = plain.host()
    runs = read_record(host.store.read_commit(plain.pending().checksum)).runs
    assert {run.name: run.status for run in runs} == {
        **dict.fromkeys(ALL_NINE, "done"),
        # For the running machine.
        "tmpfiles": "deferred",
        "daemon-reload": "deferred",
        # The base's initramfs comes with a package, and a module makes no new one without dracut.
        "initramfs": "no tool",
    }


def test_strace_starts_no_trigger_but_its_librarys(demo_world: DemoWorld, tmp_path: Path) -> None:
    machine = demo_world.machine(tmp_path / "machine")
    machine.install("strace")
    commit = machine.host().store.read_commit(machine.pending().checksum)
    # libunwind8, which it needs, is a library; manual pages start nothing.
    assert [run.name for run in read_record(commit).runs] == ["ldconfig"]


def test_commit_does_not_depend_on_history(
    plain: Machine, demo_world: DemoWorld, tmp_path: Path
) -> None:
    machine = demo_world.machine(tmp_path / "machine")
    machine.install("tmux", "jq", "htop", "nano")
    machine.install("tree", "demo-desktop", "demo-daemon")
    machine.uninstall("tmux", "jq", "htop", "nano", "tree", "demo-daemon")
    machine.install("strace", *(name for name in SYNTHETIC if name != "demo-desktop"))
    assert machine.pending().checksum == plain.pending().checksum
    remove([machine.path])


def test_commit_does_not_depend_on_circumstances(
    plain: Machine, demo_world: DemoWorld, tmp_path: Path
) -> None:
    machine = demo_world.machine(tmp_path / "machine")
    assert elsewhere(machine, *SYNTHETIC, "strace") == plain.pending().checksum
    remove([machine.path])


def test_the_sandboxs_clock_really_was_another(demo_world: DemoWorld, tmp_path: Path) -> None:
    """A trigger that writes the date sees the shifted one."""
    machine = demo_world.machine(tmp_path / "machine")
    checksum = elsewhere(machine, "--date-trigger", "strace")
    store = machine.host().store
    written = int(read_text(store, store.read_commit(checksum).root, CLOCK))
    assert abs(written - time.time() - 400 * 86400) < 3600
    remove([machine.path])


def elsewhere(machine: Machine, *words: str) -> str:
    """The commit that packages give with another clock, umask, locale and one processor."""
    environment = {
        **os.environ,
        "LD_PRELOAD": FAKETIME,
        "FAKETIME": "+400d",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "HOME": "/nonexistent",
    }
    command = [sys.executable, "-m", "tests.elsewhere", str(machine.path)]
    command += [str(machine.world.repo_dir), FAKETIME, "+400d", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_owners_modes_and_capabilities_are_those_of_the_packages(plain: Machine) -> None:
    root = plain.pending().path
    repo = f"--repo={plain.host().store.path}"
    lines = (root / "etc/passwd").read_text().splitlines()
    accounts = {line.split(":")[0]: int(line.split(":")[2]) for line in lines}
    demod = accounts["demod"]
    found = {
        name: (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        for name in ("demo-daemon-id", "demo-whoami", "demo-ping", "demo-links")
        for status in [(root / "usr/bin" / name).stat()]
    }
    assert found["demo-daemon-id"] == (0o2755, 0, demod)
    assert found["demo-whoami"] == (0o4755, 0, 0)
    assert b"\x00\x20\x00\x00" in os.getxattr(root / "usr/bin/demo-ping", "security.capability")
    names = ("usr/lib/demo-links/data", "usr/lib/demo-links/again", "usr/bin/demo-links")
    assert len({(root / name).stat().st_ino for name in names}) == 1
    ostree("fsck", "--quiet", repo)


def test_database_lists_base_and_layers_and_is_only_read(
    plain: Machine, demo: DemoRepository
) -> None:
    database = plain.pending().path / "usr/share/rpm"
    before = {file.name: file.read_bytes() for file in database.iterdir()}
    command = ["bwrap", "--ro-bind", "/", "/", "rpm", "--dbpath", str(database)]
    query = [*command, "-qa", "--qf", "%{NAME}\n"]
    listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    assert set(listed) == {*demo.base, *SYNTHETIC, "strace", "libunwind8"}
    assert {file.name: file.read_bytes() for file in database.iterdir()} == before


def test_every_path_has_one_owner(plain: Machine) -> None:
    store = plain.host().store
    for checksum in (plain.pending().checksum, plain.world.base.checksum):
        found = check_owners(store, store.read_commit(checksum))
        assert set(found) == set(OwnerKind)
        assert found[OwnerKind.PACKAGE] > 5000


def test_another_glibc_is_refused_with_both_versions(
    plain: Machine, demo: DemoRepository, tmp_path: Path
) -> None:
    before = plain.pending()
    has = next(p.nevra for p in _base_lock(plain) if p.nevra.name == "libc6")
    repos = str(plain.world.repo_dir)
    write_repo_file(tmp_path, "extra", f"file://{demo.extra}")
    for name, where in (("demo-newglibc", repos), ("demo-newglibc-alt", str(tmp_path))):
        done = plain.layer("install", "-y", "--repo-dir", where, name, status=1)
        assert has.evr in done.stderr
        assert "9.99-1" in done.stderr
        assert name in done.stderr
    assert plain.pending() == before


def _base_lock(machine: Machine) -> tuple[LockedPackage, ...]:
    host = machine.host()
    return read_lock(host.base_commit(host.require_pending())).packages


def test_second_install_unpacks_nothing_and_executes_no_trigger(
    demo_world: DemoWorld, tmp_path: Path
) -> None:
    machine = demo_world.machine(tmp_path / "machine")
    first = machine.install("strace", "demo-desktop").checksum
    machine.reset()
    done = machine.layer(
        "install", "-y", "--repo-dir", str(demo_world.repo_dir), "strace", "demo-desktop"
    )
    steps = done.stderr.splitlines()
    assert not [line for line in steps if line.startswith(("Importing", "Running"))]
    assert machine.pending().checksum == first
    remove([machine.path])


def test_what_an_admin_disabled_stays_disabled(demo_world: DemoWorld, tmp_path: Path) -> None:
    """Only the units that a package brings are preset."""
    machine = demo_world.machine(tmp_path / "machine")
    wants = "etc/systemd/system/multi-user.target.wants"
    base = min((machine.pending().path / wants).iterdir())
    base.unlink()
    machine.install("demo-daemon")
    links = {path.name for path in (machine.pending().path / wants).iterdir()}
    assert "demo-daemon.service" in links
    assert base.name not in links
    (machine.pending().path / wants / "demo-daemon.service").unlink()
    machine.install("demo-desktop")
    links = {path.name for path in (machine.pending().path / wants).iterdir()}
    assert links.isdisjoint({"demo-daemon.service", base.name})
    assert (machine.pending().path / "usr" / wants / "demo-daemon.service").is_symlink()
    remove([machine.path])


@pytest.mark.slow
def test_layered_machine_boots(plain: Machine) -> None:
    result = boot_sysroot(plain.path)
    assert result.state == "running", result.console
    assert result.values("usr") == ("read-only",)
    assert result.values("ostree-booted") == ("yes",)


def test_composing_an_existing_version_is_refused(demo_world: DemoWorld, tmp_path: Path) -> None:
    treefile = tmp_path / "again.toml"
    treefile.write_text(TREEFILE.read_text().replace('version = "auto"', "version = 1"))
    served_, repos = str(demo_world.path / "served"), str(demo_world.repo_dir)
    cache = str(demo_world.path / "build")
    before = ostree(f"--repo={served_}", "rev-parse", REF)
    words = ["--repo", served_, "--repo-dir", repos, "--cachedir", cache]
    done = layer("compose", "tree", str(treefile), *words, status=1)
    assert "has a version 1 already" in done.stderr
    assert ostree(f"--repo={served_}", "rev-parse", REF) == before


def edit_etc(machine: Machine) -> None:
    """What an admin does, and what then stays in /etc for good."""
    etc = machine.pending().path / "etc"
    for name, line in {
        "passwd": "admin:x:2000:2000::/var/home/admin:/bin/bash\n",
        "group": "admin:x:2000:\n",
        "shadow": "admin:*:19000::::::\n",
    }.items():
        with (etc / name).open("a") as file:
            file.write(line)
    # As after ldconfig with a library of the admin's own.
    with (etc / "ld.so.cache").open("ab") as cache:
        cache.write(b"\0")


BOOT_TEST = """\
#!/bin/sh
echo "uid=$(id -u demod)"
echo "daemon-group=$(stat -c %G:%g /usr/bin/demo-daemon-id)"
echo "admin=$(id -u admin)"
demo-lib-cp --version >/dev/null && echo "library=found"
echo "seed=$(stat -c %U:%G:%a /var/lib/demo-daemon/seed)"
echo "daemon=$(systemctl is-active demo-daemon.service)"
"""


@pytest.fixture
def edited(demo_world: DemoWorld, tmp_path: Path) -> Iterator[Machine]:
    """A machine with an edited /etc, and layers that bring users and libraries."""
    machine = demo_world.machine(tmp_path / "edited")
    edit_etc(machine)
    machine.install("demo-daemon", "demo-lib")
    yield machine
    remove([machine.path])


def test_units_for_an_edited_etc_bring_accounts_and_libraries(edited: Machine) -> None:
    """The merge keeps the admin's files; what the units run adds what is missing."""
    tree = edited.pending().path
    baked = (tree / "usr/bin/demo-daemon-id").stat().st_gid
    assert "demod" not in (tree / "etc/passwd").read_text()
    for unit in ("layer-accounts.service", "layer-libraries.service"):
        path = tree / "usr/lib/systemd/system" / unit
        assert (path.parent / "sysinit.target.wants" / unit).resolve() == path
        for line in path.read_text().replace("\\\n", "").splitlines():
            if line.startswith(("ExecStartPre=", "ExecStart=")):
                command = shlex.split(line.split("=", 1)[1].replace("$$", "$"))
                in_deployment(tree, *command)
    assert f"demod:x:{baked}:{baked}:" in (tree / "etc/passwd").read_text()
    assert "admin:x:2000" in (tree / "etc/passwd").read_text()
    done = in_deployment(tree, "/usr/sbin/ldconfig", "-p")
    assert "libdemo.so.1" in done.stdout


def in_deployment(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a deployment as it will be: /usr read-only, its own /etc."""
    places = ["--ro-bind", str(tree / "usr"), "/usr", "--bind", str(tree / "etc"), "/etc"]
    links = [w for n in ("bin", "sbin", "lib", "lib64") for w in ("--symlink", f"usr/{n}", f"/{n}")]
    rest = ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/var", "--dir", "/var/cache"]
    command = ["bwrap", *places, *links, *rest, "--", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_a_machine_with_an_edited_etc_boots_with_its_layers(edited: Machine) -> None:
    script = edited.host().sysroot.var("demo") / "boot-test"
    script.write_text(BOOT_TEST)
    script.chmod(0o755)
    gid = (edited.pending().path / "usr/bin/demo-daemon-id").stat().st_gid
    result = boot_sysroot(edited.path)
    assert result.state == "running", result.console
    assert not [line for line in result.values("journal") if "ordering cycle" in line]
    assert set(result.values("test")) == {
        f"uid={gid}",
        f"daemon-group=demod:{gid}",
        "admin=2000",
        "library=found",
        "seed=demod:demod:640",
        "daemon=active",
    }
