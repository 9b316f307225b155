"""A machine of the tests as if it had booted: a deployment is its root, and /run lasts.

A mount namespace of its own shows libostree all by which it knows a booted machine: the
deployment at /, /run/ostree-booted, /sysroot and /boot. What is staged is finalized by the program
that systemd runs at shutdown. /usr is the test machine's, for its Python; nothing really reboots.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import uuid
from pathlib import Path

from layer.model import Deployment
from tests.world import Machine, write_repo_file

_HERE = Path(__file__).parent.parent
_HOST = Path("/run/host")


class Booted:
    """A running machine; `layer` and `run` work in it."""

    def __init__(self, machine: Machine, folder: Path, *, is_readonly: bool = True) -> None:
        self._sysroot = "--ro-bind" if is_readonly else "--bind"
        self.machine = machine
        self._folder = folder
        self._programs: list[Path] = []
        self._repos = folder / "repos"
        self._repos.mkdir(parents=True)
        write_repo_file(self._repos, "tiny", f"file://{_HOST}{machine.world.packages}")
        self.boot()

    def boot(self) -> None:
        """Starts what is the default."""
        self.run_folder = self._folder / "run"
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self.run_folder.mkdir()
        (self.run_folder / "ostree-booted").touch()
        (self._folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self.deployment = self.machine.host().sysroot.deployments()[0]

    def shut_down(self) -> str:
        """Finalizes what is staged, as ostree-finalize-staged.service does; what that printed."""
        done = self.run("ostree", "admin", "finalize-staged", status=None)
        return done.stdout + done.stderr

    def break_finalization(self) -> None:
        """Takes away a file without which what is staged cannot be finalized."""
        for tree in self.machine.path.glob("ostree/deploy/*/deploy/*.?/usr/lib/modules/*"):
            if not tree.is_relative_to(self.deployment.path):
                (tree / "vmlinuz").unlink()

    def reboot(self) -> None:
        """Both."""
        self.shut_down()
        self.boot()

    @property
    def etc(self) -> Path:
        """The /etc that is in use."""
        return self.deployment.path / "etc"

    def trees(self) -> set[Path]:
        """The checkouts of deployments that are there, booting or not."""
        folder = self.machine.path / "ostree/deploy" / self.deployment.stateroot / "deploy"
        return {path for path in folder.iterdir() if path.is_dir()}

    def spares(self) -> list[Path]:
        """The checkouts that were put aside for the next deployment."""
        return sorted(self.machine.path.glob("ostree/layer/spare/*"))

    def deployments(self) -> tuple[Deployment, ...]:
        """What is there, seen from without: what is staged is not."""
        return self.machine.host().sysroot.deployments()

    def layer(
        self, *arguments: str, status: int | None = 0, repositories: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real program in it."""
        verb, *rest = arguments
        options = ["--repo-dir", f"{_HOST}{self._repos}"] if repositories else []
        done = self.run("python3", "-m", "layer", verb, *options, *rest, status=status)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def run(self, *words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Runs a command in it as root."""
        root = self.machine.path
        deployment = self.deployment
        var = root / "ostree/deploy" / deployment.stateroot / "var"
        paths = [_HERE, Path(sysconfig.get_path("purelib"))]
        view = [
            *("--bind", deployment.path, "/", "--ro-bind", "/usr", "/usr"),
            *(self._sysroot, root, "/sysroot", "--bind", root / "boot", "/boot"),
            *("--bind", var, "/var", "--bind", self.run_folder, "/run", "--ro-bind", "/", _HOST),
            *(
                word
                for own in self._programs
                for word in ("--ro-bind", own, f"/usr/bin/{own.name}")
            ),
            *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
            *("--ro-bind", self._folder / "boot_id", "/proc/sys/kernel/random/boot_id"),
            *("--cap-add", "ALL", "--unshare-pid", "--clearenv"),
            *("--setenv", "PYTHONPATH", ":".join(f"{_HOST}{path}" for path in paths)),
            *("--setenv", "PATH", "/usr/bin:/usr/sbin"),
            *("--setenv", "LC_ALL", "C.UTF-8"),
        ]
        done = subprocess.run(
            ["bwrap", *map(str, view), "--", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def program(self, name: str, script: str) -> None:
        """Puts a program of the test's in place of the machine's own in /usr/bin."""
        folder = self._folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        self._programs.append(folder / name)
