"""Triggers in their sandbox.

A trigger runs in bubblewrap over an overlay. Every mount lives in a mount
namespace of its own, kept by a holder process that waits for the end of a pipe
from us: however this process ends, SIGKILL included, the pipe closes, the
holder ends, and the kernel takes all mounts away. All commands run in a PID namespace
whose first process the holder is, so that the kernel ends them with it, too: what
bubblewrap asks for (PR_SET_PDEATHSIG) comes too late for who dies while it starts. The
caller's namespace is never touched. What a command wrote is read from outside, through
the holder's view in /proc.
"""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.sandbox.process import HOST_ENVIRONMENT, Finished, run
from layer.sandbox.sleepless import sleepless
from layer.sandbox.tasks import TaskGroup, task_group
from layer.sandbox.usage import usage_of

_TOO_LARGE = 128 + signal.SIGXFSZ  # as a shell tells it
# Enough to own, replace and mark files of a tree as packages' tools do, and nothing of the kernel.
_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
)
# Of a wrapper, which alone bubblewrap would die with.
_DYING_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
_TOP_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# redirect_dir and metacopy would leave files in the upper layer that only the overlay can read.
_OVERLAY_OPTIONS = "redirect_dir=off,metacopy=off,index=off,xino=off"


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Limits: bytes of `memory`, bytes of `space` for all that is written, and `processes`.

    Memory and processes (threads count) are those of a command and all that it started.

    `extra_binds` (host path, path inside) and `extra_env` are for who binds libfaketime: tests,
    and the verification of triggers. What they bring is in no trigger's key.
    """

    memory: int = 4 << 30
    space: int = 4 << 30
    processes: int = 1024
    extra_binds: tuple[tuple[Path, str], ...] = ()
    extra_env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxedCommand:
    """A command line for the sandbox; `timeout` in seconds, `epoch` is its SOURCE_DATE_EPOCH.

    `is_strict` leaves it no capability. `wrapper` are the words of a command line before the
    sandbox's own, which therefore sees all that happens in it. `is_sleepless`: where it sleeps,
    no time passes.
    """

    argv: tuple[str, ...]
    epoch: int
    timeout: float = 120
    env: tuple[tuple[str, str], ...] = ()
    needs_proc: bool = False
    is_strict: bool = False
    is_sleepless: bool = False
    wrapper: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlay:
    """A writable view of a /usr: `upper` collects what is written, `merged` is the view.

    Both paths lead through /proc and can be read from outside while the sandbox is open.
    """

    name: str
    lowers: tuple[Path, ...]
    upper: Path
    merged: Path


class Sandbox:
    """Overlays, and commands that run over them; a context that leaves no mount behind.

    To be used from one thread, but for `kill`: the kernel ends a command with the thread that
    started it. `scratch` is a directory of the caller's, who removes it; the mounts hide
    `scratch/mount`, in the sandbox's own namespace alone.
    """

    def __init__(self, scratch: Path, options: SandboxOptions | None = None) -> None:
        self._point = scratch / "mount"
        self._options = options or SandboxOptions()
        self._holder: subprocess.Popen[str] | None = None
        self._overlays = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def open(self) -> None:
        """Sets up where commands run, unless that is done."""
        if self._holder is not None:
            return
        self._point.mkdir(mode=0o700, exist_ok=True)
        script = f"{self._space_script()}\necho ready\nread -r _ || :"
        holder = subprocess.Popen(
            [*_HOLD, "sh", "-euc", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=HOST_ENVIRONMENT,
            start_new_session=True,
        )
        self._holder = holder
        assert holder.stdout is not None
        try:
            answer = holder.stdout.readline()
            if answer != "ready\n":
                rest = holder.stdout.read()
                raise TriggerFailed(
                    f"cannot set up the sandbox: {(answer + rest).strip()}",
                    "mounting needs root, and the programs unshare and mount",
                )
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def kill(self) -> None:
        """Ends what runs in it, from another thread; it is of no use after this."""
        holder = self._holder
        if holder is not None:
            holder.kill()

    def close(self) -> None:
        """Leaves no mount and no process behind."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        holder.kill()
        holder.wait()
        for pipe in (holder.stdin, holder.stdout):
            if pipe is not None:
                pipe.close()

    def overlay(self, lowers: Sequence[Path]) -> Overlay:
        """A new writable view of a /usr that lies in `lowers`, the uppermost first."""
        name = str(self._overlays)
        self._overlays += 1
        inside = Path(f"/proc/{self._pid}/root{self._point}/{name}")
        for folder in (inside, *(inside / part for part in ("upper", "work", "merged"))):
            folder.mkdir()
        for number, lower in enumerate(lowers):
            # Inside, processes have other numbers: a directory of ours is looked up there.
            (inside / str(number)).symlink_to(str(lower).removeprefix(f"/proc/{self._pid}/root"))
        _copy_attributes(lowers[0], inside / "upper")
        done = run([*self._enter(), *_mount_command(name, lowers)])
        if done.status:
            raise TriggerFailed(f"cannot mount an overlay: {done.output.strip()}")
        return Overlay(name, tuple(lowers), inside / "upper", inside / "merged")

    def directory(self, name: str) -> Path:
        """A new directory in memory, gone with the sandbox; made to lie in an overlay."""
        path = Path(f"/proc/{self._pid}/root{self._point}/{name}")
        path.mkdir()
        return path

    def run(self, overlay: Overlay, command: SandboxedCommand) -> Finished:
        """Runs a command that sees `overlay` as its /usr; `timeout` kills it and all it started."""
        with (
            task_group(self._options.processes) as group,
            sleepless() if command.is_sleepless else nullcontext() as calls,
        ):
            descriptors = () if calls is None else (calls,)
            finished = run(
                group.entered([*self._enter(), *self._boxed(overlay, command, descriptors)]),
                descriptors=descriptors,
                timeout=command.timeout,
                keep=1 << 16,
                watch=lambda pid: self._reached(overlay, group, pid),
            )
            # What was refused may have gone unnoticed, and would have cut short what was written.
            late = self._refused(group) or self._filled(overlay) or self._outgrown(finished)
        return replace(finished, reached=finished.reached or late)

    def replay(self, overlay: Overlay, command: SandboxedCommand) -> str:
        """A shell line that does the same again, as long as the lower directories are there."""
        script = "\n".join(
            (
                self._space_script(),
                _overlay_script(overlay.name, overlay.lowers),
                "umask 022",
                f"exec {shlex.join(self._boxed(overlay, command))}",
            )
        )
        return shlex.join([*_UNSHARE, "sh", "-euc", script])

    def _reached(self, overlay: Overlay, group: TaskGroup, pid: int) -> str:
        options, usage = self._options, usage_of(pid)
        if usage.tasks > options.processes:  # where the kernel keeps no limit
            return self._too_many
        if usage.memory > options.memory:
            return f"used more than {options.memory >> 20} MiB of memory"
        return self._refused(group) or self._filled(overlay)

    def _refused(self, group: TaskGroup) -> str:
        return self._too_many if group.has_refused() else ""

    @property
    def _too_many(self) -> str:
        return f"had more than {self._options.processes} processes"

    def _filled(self, overlay: Overlay) -> str:
        return self._too_large if os.statvfs(overlay.upper).f_bavail == 0 else ""

    def _outgrown(self, finished: Finished) -> str:
        """Temporary folders have room of their own: a file there reaches the limit first."""
        return self._too_large if finished.status == _TOO_LARGE else ""

    @property
    def _too_large(self) -> str:
        return f"filled its {self._options.space >> 20} MiB of disk"

    @property
    def _pid(self) -> int:
        assert self._holder is not None, "the sandbox is not open"
        return self._holder.pid

    def _enter(self) -> list[str]:
        holder = f"/proc/{self._pid}"
        return [
            *("nsenter", f"--target={self._pid}", f"--pid={holder}/ns/pid_for_children"),
            *("--mount", "--root", f"--wd={holder}/root{self._point}", "--"),
        ]

    def _space_script(self) -> str:
        point = shlex.quote(str(self._point))
        return f"mount -t tmpfs -o mode=0755,size={self._options.space} layer {point}\ncd {point}"

    def _boxed(
        self, overlay: Overlay, command: SandboxedCommand, filters: Sequence[int] = ()
    ) -> list[str]:
        """The command line from inside the namespace: limits, bubblewrap, the command."""
        options = self._options
        return [
            *((*_DYING_WITH_US, *command.wrapper) if command.wrapper else ()),
            "prlimit",
            # Address space is no memory yet: this is for what grows faster than we look.
            f"--as={2 * options.memory}",
            f"--fsize={options.space}",
            "--core=0",
            "--",
            "bwrap",
            "--die-with-parent",
            "--new-session",
            *(word for descriptor in filters for word in ("--seccomp", str(descriptor))),
            # No user namespace: in one, chown to an id that it does not map is EINVAL.
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
            *("--unshare-cgroup-try", "--hostname", "layer"),
            *("--cap-drop", "ALL"),
            *(
                word
                for name in _CAPABILITIES
                if not command.is_strict
                for word in ("--cap-add", name)
            ),
            *_environment(command, options),
            *_places(overlay, str(self._point / overlay.name / "merged"), options.space),
            # bubblewrap takes /proc/sys for unwritable, as its mode says; but root without any
            # capability may write the files below it, core_pattern of the whole machine too.
            *(["--proc", "/proc", "--remount-ro", "/proc"] if command.needs_proc else []),
            *(
                word
                for host, inside in options.extra_binds
                for word in ("--ro-bind", str(host), inside)
            ),
            # Else a file at the top would be written and silently lost.
            *("--remount-ro", "/", "--chdir", "/", "--"),
            *command.argv,
        ]


_UNSHARE = ("unshare", "--mount", "--propagation", "private", "--")
_HOLD = (*_UNSHARE[:-1], "--pid", "--fork", "--kill-child", "--mount-proc", "--")


def _mount_command(name: str, lowers: Sequence[Path]) -> list[str]:
    """Links stand for the lower directories: mount options are short, and "," and ":" end them."""
    links = ":".join(f"{name}/{number}" for number in range(len(lowers)))
    layers = f"lowerdir={links},upperdir={name}/upper,workdir={name}/work"
    options = f"{layers},{_OVERLAY_OPTIONS}"
    return ["mount", "-t", "overlay", "-o", options, "overlay", f"{name}/merged"]


def _copy_attributes(source: Path, folder: Path) -> None:
    """The upper directory's own attributes are those that the view's top shows."""
    info = source.stat()
    os.chown(folder, info.st_uid, info.st_gid)
    folder.chmod(stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(folder, name, os.getxattr(source, name))
    os.utime(folder, (0, 0))


def _overlay_script(name: str, lowers: Sequence[Path]) -> str:
    """The same as `Sandbox.overlay`, for a shell."""
    quoted = [shlex.quote(str(lower)) for lower in lowers]
    return "\n".join(
        (
            f"mkdir {name} {name}/upper {name}/work {name}/merged",
            *(f"ln -s {lower} {name}/{number}" for number, lower in enumerate(quoted)),
            f"chown --reference={quoted[0]} {name}/upper",
            f"chmod --reference={quoted[0]} {name}/upper",
            f"touch --date=@0 {name}/upper",
            shlex.join(_mount_command(name, lowers)),
        )
    )


def _environment(command: SandboxedCommand, options: SandboxOptions) -> list[str]:
    values = {
        "PATH": "/usr/bin:/usr/sbin",
        "HOME": "/tmp",  # noqa: S108  # the sandbox's own
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SYSTEMD_OFFLINE": "1",
        "SOURCE_DATE_EPOCH": str(command.epoch),
        **dict(command.env),
        **dict(options.extra_env),
    }
    words = ["--clearenv"]
    for name, value in sorted(values.items()):
        words += ["--setenv", name, value]
    return words


def _places(overlay: Overlay, usr: str, space: int) -> list[str]:
    words = ["--bind", usr, "/usr"]
    words += ["--bind", f"{usr}/etc", "/etc"] if _is_directory(overlay.merged / "etc") else []
    for name in _TOP_LINKS:
        if os.path.lexists(overlay.merged / name):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
    for place in ("/tmp", "/run", "/var"):  # noqa: S108  # the sandbox's own
        words += ["--size", str(space), "--tmpfs", place]
    for place in ("/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/tmp"):  # noqa: S108
        words += ["--dir", place]
    words += ["--symlink", "var/opt", "/opt"]
    if _is_directory(overlay.merged / "lib/opt"):
        for name in sorted(path.name for path in (overlay.merged / "lib/opt").iterdir()):
            words += ["--symlink", f"/usr/lib/opt/{name}", f"/var/opt/{name}"]
    # Without a /dev, `>/dev/null` makes a regular file.
    return [*words, "--dev", "/dev"]


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False
