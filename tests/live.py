"""A running machine whose /usr is its own: mounts last, and processes go on between commands.

A process holds a mount namespace with a deployment as its root, /usr bound read-only from it as at
a boot, and is the first of its processes. `layer` runs beside, with the test machine's /usr in a
namespace of its own, as libostree gives it one on a machine that booted.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.world import Machine, write_repo_file

_HERE = Path(__file__).parent.parent
_HOST = "/run/host"
ON_TOP = "from layer import mounts\nmounts.has_beneath = lambda: False"  # as an older kernel
_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_PIDS, _NEW_MOUNTS = 0x20000000, 0x20000


class Living:
    """A machine that runs; `layer` changes it, `sh` and `start` are programs of its own."""

    def __init__(self, machine: Machine, folder: Path, index: int = 0) -> None:
        self.machine = machine
        self._index = index
        self._folder = folder
        self._repos = folder / "repos"
        self._repos.mkdir(parents=True)
        self._holder: subprocess.Popen[str] | None = None
        self._own: list[subprocess.Popen[str]] = []
        write_repo_file(self._repos, "tiny", f"file://{_HOST}{machine.world.packages}")
        self.log = folder / "told"
        self.boot()

    def boot(self) -> None:
        """Starts what is the default, or the `index`-th; what ran before is gone."""
        self.close()
        run = self._folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        (run / "ostree-booted").touch()
        (self._folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self.deployment = self.machine.host().sysroot.deployments()[self._index]
        root, here = self.machine.path, self.deployment.path
        var = root / "ostree/deploy" / self.deployment.stateroot / "var"
        view = [
            *("--bind", here, "/", "--ro-bind", here / "usr", "/usr"),
            *("--ro-bind", root, "/sysroot", "--bind", root / "boot", "/boot"),
            *("--bind", var, "/var", "--bind", run, "/run", "--ro-bind", "/", _HOST),
            *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
            *("--ro-bind", self._folder / "boot_id", "/proc/sys/kernel/random/boot_id"),
            *("--cap-add", "ALL", "--unshare-pid", "--die-with-parent", "--clearenv"),
            *("--setenv", "PATH", "/usr/bin:/usr/sbin", "--setenv", "LC_ALL", "C.UTF-8"),
            *("--json-status-fd", "1", "--", "/usr/bin/sh", "-c", "read -r _"),
        ]
        self._holder = subprocess.Popen(
            ["bwrap", *map(str, view)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        self.pid = int(json.loads(self._holder.stdout.readline())["child-pid"])
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        while not children.read_text():  # the shell is started when all is mounted
            time.sleep(0.005)

    def close(self) -> None:
        """Ends all that runs in it."""
        for process in self._own:
            process.kill()
            process.communicate()
        self._own = []
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
        self._holder = None

    def shut_down(self) -> None:
        """Finalizes what is staged, and boots."""
        self._do(["own", "ostree", "admin", "finalize-staged"], {})
        self.boot()

    @property
    def etc(self) -> Path:
        """The /etc that is in use."""
        return self.deployment.path / "etc"

    @property
    def var(self) -> Path:
        """The /var that is in use."""
        return self.machine.path / "ostree/deploy" / self.deployment.stateroot / "var"

    def layer(
        self,
        *arguments: str,
        status: int | None = 0,
        repositories: bool = False,
        driver: str = "",
        under: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real program; `driver` are lines of Python that run before it.

        `under` is a command that runs the one behind it.
        """
        verb, *rest = arguments
        options = ["--repo-dir", f"{_HOST}{self._repos}"] if repositories else []
        program = "from layer.__main__ import main\nmain()"
        words = ["python3", "-c", f"{driver}\n{program}", verb, *options, *rest]
        done = self._do(["own", *under, *words], {})
        assert "Traceback" not in done.stderr, done.stderr
        if status is not None:
            assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def install(self, *names: str) -> None:
        """Stages packages."""
        self.layer("install", "-y", *names, repositories=True)

    def python(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs Python beside it, as `layer` runs."""
        return self._do(["own", "python3", "-c", script], {})

    def sh(self, script: str, status: int | None = 0) -> str:
        """What a script of the machine's own shell prints."""
        done = self._do(["machine", "/usr/bin/sh", "-c", script], {})
        if status is not None:
            assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, script: str, where: str = "machine") -> subprocess.Popen[str]:
        """A process of the machine's own shell that goes on; its first line was printed.

        In namespace `apart` it has mounts of its own, which follow the machine's.
        """
        return self._start([where, "/usr/bin/sh", "-c", script])

    def share_mounts(self) -> None:
        """What is mounted is seen by those who follow, as systemd has it."""
        script = """
import ctypes
from layer import mounts
libc = ctypes.CDLL(None, use_errno=True)
with mounts.in_namespace_of(1):
    assert libc.mount(None, b"/", None, ctypes.c_ulong(0x104000), None) == 0
"""
        assert self.python(script).returncode == 0

    def start_python(self, script: str) -> subprocess.Popen[str]:
        """The same of this machine's Python, which looks up paths as the machine's programs do."""
        host = "/run/host/usr/lib/x86_64-linux-gnu"
        loader = [f"{host}/ld-linux-x86-64.so.2", "--library-path", host]
        return self._start(["machine", *loader, "/run/host/usr/bin/python3", "-u", "-c", script])

    def _start(self, words: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self._enter(), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_HERE,
        )
        assert process.stdout is not None
        self._own.append(process)
        process.first = process.stdout.readline()  # type: ignore[attr-defined]
        return process

    def mounts(self) -> list[str]:
        """What is mounted at /usr, as mountinfo says it but for numbers."""
        lines = self.sh('while read -r l; do echo "$l"; done </proc/self/mountinfo').splitlines()
        return [" ".join(words[3:]) for line in lines if (words := line.split())[4] == "/usr"]

    def status(self) -> dict[str, Any]:
        """`layer status --json`."""
        found: dict[str, Any] = json.loads(self.layer("status", "--json", status=None).stdout)
        return found

    def _enter(self) -> list[str]:
        return [sys.executable, "-m", "tests.live", str(self.pid)]

    def _do(self, words: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter(), *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=_HERE,
            env={**os.environ, **env},
        )


@contextmanager
def living(machine: Machine, folder: Path, index: int = 0) -> Iterator[Living]:
    """Such a machine, ended at last."""
    found = Living(machine, folder, index)
    try:
        yield found
    finally:
        found.close()


def tree(top: Path) -> dict[str, tuple[object, ...]]:
    """All below a directory: owner, mode, content; but what `layer` keeps for itself."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if name.startswith(("lib/layer", "cache")) or name == "lib":
            continue
        info = path.lstat()
        content: object = None
        if stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        elif path.is_symlink():
            content = str(path.readlink())
        found[name] = (info.st_mode, info.st_uid, info.st_gid, content)
    return found


def live_of(running: Living) -> str | None:
    """The commit that `status` says is live."""
    booted = next(d for d in running.status()["deployments"] if d["booted"])
    found: str | None = booted.get("live-replaced")
    return found


def ask(process: subprocess.Popen[str], line: str = "") -> str:
    """Gives a process that waits a line; what it says to that."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().rstrip("\n")


def enter(pid: str, where: str, words: list[str]) -> None:
    """Becomes a command in the namespaces of a process: in its /usr, or `own` in ours."""
    with pid_namespace(int(pid)):
        child = os.fork()
        if child == 0:
            become(int(pid), where, words)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) % 256)


@contextmanager
def pid_namespace(pid: int) -> Iterator[None]:
    """What is forked in this context is among the processes of that one, and cannot leave it."""
    with open("/proc/self/ns/pid_for_children") as own, open(f"/proc/{pid}/ns/pid") as other:
        _call(_LIBC.setns(other.fileno(), _NEW_PIDS))
        try:
            yield
        finally:
            _call(_LIBC.setns(own.fileno(), _NEW_PIDS))


def become(pid: int, where: str, words: list[str]) -> None:
    """The same as `enter`, for who is among its processes already: does not return."""
    from layer import mounts

    with contextlib.ExitStack() as stack:
        usr = stack.enter_context(mounts.read_only_clone(Path("/usr")))
        with open(f"/proc/{pid}/ns/mnt") as namespace:
            _call(_LIBC.setns(namespace.fileno(), _NEW_MOUNTS))
        if where != "machine":
            _call(_LIBC.unshare(_NEW_MOUNTS))
        if where == "apart":  # it follows, as a service with PrivateMounts= does
            _call(_LIBC.mount(None, b"/", None, ctypes.c_ulong(0x84000), None))
        if where == "own":
            mounts.make_private("/", is_recursive=True)
            mounts.put_on_top(usr, "/usr")
    os.chdir("/")
    environment = {"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8"}
    environment["PYTHONHOME"] = "/usr" if where == "own" else f"{_HOST}/usr"
    if where == "own":
        paths = (_HERE, sysconfig.get_path("purelib"))
        environment["PYTHONPATH"] = ":".join(f"{_HOST}{path}" for path in paths)
    os.execvpe(words[0], words, environment)


def _call(result: int) -> None:
    assert result == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    enter(sys.argv[1], sys.argv[2], sys.argv[3:])
