"""A whole small world for tests: packages, a repository, a served base, and machines.

The base is real but tiny: its packages hold text files and this machine's own
ldconfig and systemd-sysusers, so that triggers really run. Nothing needs a network.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from layer import transaction, verbs
from layer.change import Change
from layer.compose import Composed, compose_and_publish
from layer.host import Host, Options, open_host
from layer.model import Deployment
from layer.report import SILENT
from layer.running import SandboxOptions
from layer.store.remote import add_remote
from layer.store.sysroot import initialize
from layer.triggers.format import Trigger
from testdata.distro.tiny import FileSpec, RpmSpec, Scriptlet, tiny_repository, tiny_rpm
from testdata.triggers import hosttree
from tests import warm

REF = "tiny/1/x86_64/base"
STATEROOT = "tiny"
TREEFILE = f"""\
ref = "{REF}"
repositories = ["tiny"]
packages = ["tiny-release", "tiny-tools", "tiny-libc"]
[kernel]
package = "tiny-kernel"
arguments = ["root=/dev/vda", "quiet"]
"""
# A real and small library that no program of the tiny base has: ldconfig lists it.
LIBRARY = "/lib/x86_64-linux-gnu/libutil.so.1"
TOOLS = ("/sbin/ldconfig", "/usr/bin/systemd-sysusers", "/bin/sh", "/bin/date", "/bin/rm")


def tools_package() -> RpmSpec:
    """This machine's trigger tools with their libraries, as a package."""
    files = []
    for path, entry in sorted(hosttree.programs(*TOOLS).items()):
        assert entry is not None
        where = f"/{path}" if path.startswith("usr/") else f"/usr/{path}"
        if entry.target:
            files.append(FileSpec.symlink(where, entry.target))
        else:
            files.append(FileSpec(where, Path(entry.host).read_bytes(), mode=0o755))
    files.append(FileSpec.symlink("/usr/lib64/ld-linux-x86-64.so.2", _loader()))
    seen = {file.path: file for file in files}
    return tiny_rpm("tiny-tools", *seen.values(), arch="x86_64")


def _loader() -> str:
    return "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


def base_packages(version: str = "1") -> tuple[RpmSpec, ...]:
    """What the base consists of; another `version` differs in one package."""
    return (
        tiny_rpm(
            "tiny-release",
            FileSpec("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
            FileSpec("/etc/group", b"root:x:0:\n"),
            FileSpec("/usr/lib/os-release", b'ID=tiny\nNAME="Tiny"\nVERSION_ID=0\n'),
            FileSpec.symlink("/etc/os-release", "../usr/lib/os-release"),
            FileSpec("/etc/tiny.conf", b"from=base\n", config=True),
            provides=("/bin/sh",),
            version=version,
            arch="x86_64",
        ),
        tiny_rpm(
            "tiny-libc",
            FileSpec("/usr/lib/libtiny.so.1", b"not really a library\n", mode=0o755),
            version="2.36",
            arch="x86_64",
        ),
        tiny_rpm(
            "tiny-kernel",
            FileSpec("/usr/lib/modules/6.0/vmlinuz", b"kernel\n"),
            FileSpec("/usr/lib/modules/6.0/initramfs.img", b"initramfs\n"),
            arch="x86_64",
        ),
    )


def layer_packages() -> tuple[RpmSpec, ...]:
    """Packages to layer: with dependencies, owners, /etc, /var, libraries, scriptlets."""
    users = b'u alpha - "Alpha daemon" /var/lib/alpha\nu beta - "Beta" /\n'
    return (
        tiny_rpm("apple", "/usr/bin/apple", requires=("libseed",), arch="x86_64"),
        tiny_rpm("pear", "/usr/bin/pear", requires=("libseed",), arch="x86_64"),
        tiny_rpm(
            "libseed",
            FileSpec(f"/usr{LIBRARY}", Path(LIBRARY).read_bytes(), mode=0o755),
            arch="x86_64",
        ),
        tiny_rpm(
            "daemon",
            FileSpec("/usr/bin/daemon", b"#!/bin/sh\n", mode=0o2755, group="alpha"),
            FileSpec("/usr/lib/sysusers.d/daemon.conf", users),
            FileSpec("/etc/daemon.conf", b"setting=1\n", config=True),
            FileSpec.directory("/var/lib/alpha", 0o750, "alpha", "alpha"),
            FileSpec("/var/lib/alpha/seed", b"factory\n"),
            scriptlets=(Scriptlet("post", "echo started\nsystemctl start daemon\n"),),
            arch="x86_64",
        ),
        tiny_rpm("web", "/usr/bin/web", provides=("webserver = 1",), arch="x86_64"),
        tiny_rpm("suid", FileSpec("/usr/bin/suid", b"x", mode=0o4755), arch="x86_64"),
        tiny_rpm("needs-libc", requires=("tiny-libc = 9.99",), arch="x86_64"),
        tiny_rpm("clash-a", FileSpec("/usr/share/clash", b"a")),
        tiny_rpm("clash-b", FileSpec("/usr/share/clash", b"b"), FileSpec("/etc/tiny.conf", b"?")),
        tiny_rpm("old-and-new", "/usr/bin/old-and-new", version="1"),
    )


@dataclass(frozen=True)
class World:
    """A served base and a package repository, in a directory of its own."""

    path: Path
    url: str
    base: Composed
    first: Path | None = None  # a machine on it, once one was asked for

    @property
    def repo_dir(self) -> Path:
        """The directory of .repo files."""
        return self.path / "repos"

    @property
    def packages(self) -> Path:
        """The directory of the package repository."""
        return self.path / "packages"

    def publish(self, *specs: RpmSpec) -> None:
        """Adds packages to the repository."""
        tiny_repository(self.packages, *specs)

    def compose(self) -> Composed:
        """The next commit of the base, published."""
        return compose(self.path)

    def machine(self, path: Path, sandbox: SandboxOptions | None = None) -> Machine:
        """A fresh machine on the newest base.

        That of the first base is a copy of one that was made once: making it costs five times that.
        """
        head = self.path / "served/refs/heads" / REF
        if self.first is None or head.read_text().strip() != self.base.checksum:
            return self._made(path, sandbox)
        if not self.first.exists():
            self._made(self.first, sandbox)
            remove_flags(self.first)  # which copies lack, too
        _copy(self.first, path)
        config = path / "ostree/repo/config"
        config.write_text(re.sub("(?m)^url=.*", f"url={self.url}", config.read_text()))
        subprocess.run(["chattr", "+i", *path.glob("ostree/deploy/*/deploy/*.0")], check=True)
        return Machine(path, self, sandbox)

    def _made(self, path: Path, sandbox: SandboxOptions | None) -> Machine:
        initialize(path, STATEROOT)
        machine = Machine(path, self, sandbox)
        add_remote(machine.host().store, "tiny", self.url, verify=False)
        machine.apply(lambda host: verbs.rebase(host, f"tiny:{REF}"))
        return machine


@dataclass(frozen=True)
class Machine:
    """A sysroot that is worked on through the program's own functions, or its command line."""

    path: Path
    world: World
    sandbox: SandboxOptions | None = None

    def host(self) -> Host:
        """A fresh view of it."""
        options = Options(
            repository_directories=(self.world.repo_dir,), wait=False, sandbox=self.sandbox
        )
        return open_host(self.path, options, SILENT)

    def apply(self, decide) -> Deployment:  # type: ignore[no-untyped-def]
        """Decides and applies a change under the lock."""
        host = self.host()
        with host.locked():
            change: Change = decide(host)
            return transaction.apply(host, change)

    def install(self, *names: str) -> Deployment:
        """As `layer install`."""
        return self.apply(lambda host: verbs.install(host, names))

    def uninstall(self, *names: str) -> Deployment:
        """As `layer uninstall`."""
        return self.apply(lambda host: verbs.uninstall(host, names))

    def reset(self) -> Deployment:
        """As `layer reset`."""
        return self.apply(verbs.reset)

    def pending(self) -> Deployment:
        """What boots next."""
        return self.host().require_pending()

    def triggers(self) -> tuple[Trigger, ...]:
        """The triggers for what boots next."""
        host = self.host()
        return host.triggers(host.store.read_commit(self.pending().checksum).root)

    def layered(self) -> list[str]:
        """Names of the layered packages."""
        host = self.host()
        return [p.nevra.name for p in host.lock_of(host.require_pending()).packages]

    def layer(
        self, *arguments: str, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real program on it, and checks its exit status."""
        return layer(
            *arguments[:1], "--sysroot", str(self.path), *arguments[1:], status=status, env=env
        )


def layer(
    *arguments: str, status: int | None = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the real program; its output must be text, and no traceback."""
    done = warm.run(arguments, {**os.environ, **(env or {})})
    assert "Traceback" not in done.stderr, done.stderr
    if status is not None:
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


@contextmanager
def make_world(path: Path, *more: RpmSpec) -> Iterator[World]:
    """Builds and serves it; the base has `more` packages, too."""
    packages = (*base_packages(), tools_package(), *more, *layer_packages())
    tiny_repository(path / "packages", *packages)
    (path / "repos").mkdir()
    write_repo_file(path / "repos", "tiny", f"file://{path}/packages")
    names = "".join(f', "{_asked_for(spec)}"' for spec in more)
    (path / "tree.toml").write_text(TREEFILE.replace('"tiny-libc"', f'"tiny-libc"{names}'))
    composed = compose(path)
    with served(path / "served") as url:
        yield World(path, url, composed, path / "first-machine")


@contextmanager
def copied_world(world: World, path: Path) -> Iterator[World]:
    """Another world like one to which nothing was done yet, served, too."""
    for name in ("packages", "repos", "served", "build", "tree.toml"):
        _copy(world.path / name, path / name)
    write_repo_file(path / "repos", "tiny", f"file://{path}/packages")
    with served(path / "served") as url:
        yield replace(world, path=path, url=url)


def _copy(old: Path, new: Path) -> None:
    """A copy that shares no file, as tests write into what is there."""
    subprocess.run(["cp", "-a", "-T", str(old), str(new)], check=True)


def _asked_for(spec: RpmSpec) -> str:
    return spec.name if spec.arch in ("x86_64", "noarch") else f"{spec.name}.{spec.arch}"


def compose(path: Path) -> Composed:
    """The next base commit in the world at `path`."""
    return compose_and_publish(
        path / "tree.toml", path / "served", (path / "repos",), path / "build", SILENT
    )


def write_repo_file(directory: Path, name: str, url: str) -> Path:
    """A .repo file with one repository."""
    file = directory / f"{name}.repo"
    file.write_text(f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=0\n")
    return file


Fault = Callable[[Path, BaseHTTPRequestHandler], None]


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def __init__(
        self, *arguments: Any, asked: list[str], faults: Mapping[str, Fault], **rest: Any
    ) -> None:
        self.asked = asked
        self.faults = faults
        super().__init__(*arguments, **rest)

    def do_GET(self) -> None:
        """Notes what is asked for."""
        self.asked.append(self.path)
        if self.path in self.faults:
            self.faults[self.path](Path(self.translate_path(self.path)), self)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def served(
    directory: Path, asked: list[str] | None = None, faults: Mapping[str, Fault] | None = None
) -> Iterator[str]:
    """Serves a directory by plain HTTP on loopback; gives its URL.

    The paths of all requests are added to `asked`; those in `faults` are answered by these.
    """
    asked = [] if asked is None else asked
    handler = partial(
        _Quiet, directory=str(directory), asked=asked, faults={} if faults is None else faults
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # At its end it is noticed but every so many seconds that there is nothing more to serve.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ostree(*arguments: str) -> str:
    """The ostree program's standard output."""
    return subprocess.run(["ostree", *arguments], capture_output=True, text=True, check=True).stdout


def remove(paths: Sequence[Path]) -> None:
    """Removes sysroots with their immutable deployments."""
    for path in paths:
        remove_flags(path)
        subprocess.run(["rm", "-rf", str(path)], check=True)


def remove_flags(sysroot: Path) -> None:
    """Makes its deployments ones that can be removed."""
    deployments = [*sysroot.glob("ostree/deploy/*/deploy/*.?")]
    if deployments:
        command = ["chattr", "-i", *deployments]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
