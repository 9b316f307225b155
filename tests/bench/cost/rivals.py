"""The same packages by dnf, by rpm, and by the classic way."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost.machine import STATEROOT, Machine
from tests.bench.cost.metering import Cost, Failed, measure

_SOURCE = Path(__file__).with_name("classic.c")
DATABASE = "usr/share/rpm"


class Root:
    """An installation root that has the base's rpm database, and no files but what is installed.

    dnf and rpm look at the database alone for what is there; so they have less to do here.
    """

    def __init__(self, machine: Machine) -> None:
        self.path = machine.folder / "root"
        self._machine = machine
        # Where this machine's rpm looks for its database.
        evaluated = subprocess.check_output(["rpm", "--eval", "%{_dbpath}"], text=True)
        self._place = evaluated.strip().lstrip("/")

    def dnf(self, *packages: str) -> Cost:
        """`dnf --installroot` with warm metadata, without scriptlets: ours run none either."""
        settings = {
            "cachedir": self._machine.folder / "dnf",
            "reposdir": self._machine.folder / "none",
            "pluginpath": self._machine.folder / "none",
            "install_weak_deps": 0,
            "tsflags": "noscripts",
            "metadata_expire": -1,
        }
        command = [
            *("dnf", "--installroot", str(self.path), "--releasever", "12"),
            *("--forcearch", "x86_64", "--nogpgcheck", "--disablerepo", "*"),
            *("--repofrompath", f"bench,{self._machine.start.packages.as_uri()}"),
            *(f"--setopt={key}={value}" for key, value in settings.items()),
            *("-y", "install", *packages),
        ]
        return self._measure(command)

    def rpm(self, files: Sequence[Path]) -> Cost:
        """`rpm -U --noscripts --nodeps`."""
        words = ["--noscripts", "--notriggers", "--nodeps"]
        return self._measure(["rpm", "-U", *words, "--root", str(self.path), *map(str, files)])

    def differences(self, files: dict[str, str]) -> list[str]:
        """The paths that are not there, or whose SHA-256 is another one."""
        found = []
        for path, digest in files.items():
            try:
                content = (self.path / path.lstrip("/")).read_bytes()
            except OSError:
                found.append(path)
            else:
                found += [path] if hashlib.sha256(content).hexdigest() != digest else []
        return found

    def _measure(self, command: Sequence[str]) -> Cost:
        self._machine.discard(self.path)
        database = self._machine.deployment / DATABASE
        shutil.copytree(database, self.path / self._place)
        return measure(command, self._machine.synced)


@dataclass(frozen=True, slots=True)
class Classic:
    """Our reconstruction of rpm-ostree's way; `program` is compiled from classic.c."""

    program: Path

    def run(
        self, machine: Machine, stop: str, commits: Sequence[str], rpms: Sequence[Path]
    ) -> Cost:
        """As far as `stop`: commit or deploy. The packages are imported."""
        checkout = machine.folder / "checkout"
        words = [str(machine.path), STATEROOT, machine.start.versions[0], stop, str(checkout)]
        return measure([str(self.program), *words, _recording(rpms), *commits], machine.synced)

    def clean_up(self, machine: Machine) -> Cost:
        """What `run` has left to do."""
        removal = f"rm -rf {shlex.quote(str(machine.folder / 'checkout'))}"
        cleanup = f"ostree admin cleanup --sysroot={shlex.quote(str(machine.path))}"
        return measure(["sh", "-c", f"{removal} && {cleanup}"], machine.synced)


def compile_classic(folder: Path) -> Classic:
    """Compiles the classic way with optimizations."""
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "ostree-1"], text=True)
    program = folder / "classic"
    command = ["gcc", "-O2", "-o", str(program), str(_SOURCE), *flags.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{shlex.join(command)}\n{done.stderr}")
    return Classic(program)


def _recording(rpms: Sequence[Path]) -> str:
    """A shell command that lists the packages in the database of the checkout it is run in."""
    database = f"{DATABASE}/rpmdb.sqlite"
    words = "--justdb --noscripts --notriggers --nodeps --nosignature --nodigest --noplugins"
    names = shlex.join(map(str, rpms))
    return (
        # A file of its own: the checkout's is the repository's object.
        f"cp {database} {database}.new && mv {database}.new {database} && "
        f'rpm -U {words} --dbpath "$PWD/{DATABASE}" {names} && '
        f"rm -f {database}-shm {database}-wal {DATABASE}/.rpm.lock"
    )
