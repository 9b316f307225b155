"""A command in the pending deployment's /usr, before any reboot."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from layer import bootplan
from layer.errors import NotFound
from layer.host import Host, require_root
from layer.sandbox.process import attached

_LINKS = ("bin", "sbin", "lib", "lib64")


def run(host: Host, words: Sequence[str]) -> int:
    """Runs `words` attached to our terminal; returns its exit status.

    It sees the pending deployment's /usr read-only, the machine's /etc with the
    new files under it and the new ld.so.cache over it. What it writes to /etc
    goes to memory. On a sysroot that has not booted, /var is the stateroot's,
    read-only, and nothing else of this machine is seen.
    """
    require_root()
    pending = host.require_pending()
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    is_booted = merge is not None and merge.is_booted
    etc = Path("/etc") if is_booted else pending.path / "etc"
    # What is staged gets an /etc of its own at shutdown.
    new = pending.path / ("usr/etc" if pending.is_staged else "etc")
    _require_command(words[0], pending.path, is_booted=is_booted)
    view = _whole_machine() if is_booted else _deployment_alone(host)
    with host.scratch() as point:
        bwrap = [
            "bwrap",
            *view,
            "--ro-bind",
            str(pending.path / "usr"),
            "/usr",
            *("--bind", str(point / "etc"), "/etc", "--die-with-parent"),
            *("--chdir", str(Path.cwd()) if is_booted else "/"),
            "--",
            *words,
        ]
        script = _script(point, etc, new, bwrap)
        return attached(
            ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-euc", script]
        )


def _require_command(word: str, tree: Path, *, is_booted: bool) -> None:
    """NotFound where the command will not be there: bubblewrap has no words of ours for it."""
    folders = [""] if "/" in word else os.environ.get("PATH", os.defpath).split(":")
    found = [_seen(Path("/", folder, word), tree, is_booted=is_booted) for folder in folders]
    if not word or not any(_is_command(path) for path in found):
        raise NotFound(
            f"what boots next has no command {word!r}",
            "it is looked for in the directories of $PATH",
        )


def _seen(path: Path, tree: Path, *, is_booted: bool) -> Path:
    """Where a path of the command's view lies on this machine."""
    top = path.parts[1] if len(path.parts) > 1 else ""
    if top in _LINKS:
        return tree / "usr" / path.relative_to("/")
    if top in ("usr", "etc") or not is_booted:
        return tree / path.relative_to("/")
    return path


def _is_command(path: Path) -> bool:
    """Links count: they are those of the tree, and only there it shows where they lead."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and bool(mode & 0o111))


def _script(point: Path, etc: Path, new: Path, bwrap: Sequence[str]) -> str:
    """Mounts the view of /etc in a namespace of its own and becomes the command.

    Lower layers, uppermost first: the new ld.so.cache, /etc as it is, the new /etc.
    """
    lowers = ["cache", "present"]
    commands = [
        f"mount -t tmpfs -o mode=0755 layer {shlex.quote(str(point))}",
        f"cd {shlex.quote(str(point))}",
        "mkdir cache upper work etc",
        f"ln -s {shlex.quote(str(etc))} present",
        f"cp -a {shlex.quote(str(new / 'ld.so.cache'))} cache/ 2>/dev/null || :",
    ]
    if new != etc:
        commands.append(f"ln -s {shlex.quote(str(new))} new")
        lowers.append("new")
    options = f"lowerdir={':'.join(lowers)},upperdir=upper,workdir=work"
    commands.append(f"mount -t overlay -o {options} layer etc")
    commands.append(f"exec {shlex.join(bwrap)}")
    return "\n".join(commands)


def _whole_machine() -> list[str]:
    return ["--dev-bind", "/", "/"]


def _deployment_alone(host: Host) -> list[str]:
    var = str(host.sysroot.var(host.stateroot))
    view = [word for name in _LINKS for word in ("--symlink", f"usr/{name}", f"/{name}")]
    view += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", var, "/var"]
    for place in ("/tmp", "/run"):  # noqa: S108  # the command's own
        view += ["--tmpfs", place]
    if Path(var, "tmp").is_dir():
        view += ["--tmpfs", "/var/tmp"]  # noqa: S108
    return view
