"""A command in the pending deployment's /usr, before any reboot."""

from __future__ import annotations

import enum
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from layer import bootplan
from layer.errors import NotFound
from layer.frozen import dataclass
from layer.host import Host, require_root
from layer.sandbox.process import attached
from layer.scratch import scratch_directory

_RUN = Path("/run")
_LINKS = ("bin", "sbin", "lib", "lib64")


class Home(enum.Enum):
    """What a tried command sees of the homes; the values are words of the command line."""

    REAL = "real"  # they themselves
    COPY = "copy"  # what is in them; what is written is thrown away
    EMPTY = "empty"  # nothing; what is written is thrown away


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory in which homes lie, or one home: where it is, and where the command sees it."""

    source: Path
    point: Path


def run(
    host: Host, words: Sequence[str], *, home: Home = Home.REAL, has_network: bool = True
) -> int:
    """Runs `words` attached to our terminal; returns its exit status.

    It sees the pending deployment's /usr read-only, the machine's /etc with the
    new files under it and the new ld.so.cache over it. What it writes to /etc
    goes to memory. On a sysroot that has not booted, /var is the stateroot's,
    read-only, and nothing else of this machine is seen. What is private is noted before.
    """
    require_root()
    pending = host.require_pending()
    merge = bootplan.merge_source(host.sysroot.deployments(), host.stateroot)
    is_booted = merge is not None and merge.is_booted
    etc = Path("/etc") if is_booted else pending.path / "etc"
    # What is staged gets an /etc of its own at shutdown.
    new = pending.path / ("usr/etc" if pending.is_staged else "etc")
    _require_command(words[0], pending.path, is_booted=is_booted)
    places = () if home is Home.REAL else _homes(host, is_booted=is_booted)
    host.reporter.note(_privacy(pending.checksum, home, is_booted=is_booted, net=has_network))
    # A running machine's sysroot is read-only where its lock is not held.
    with scratch_directory(_RUN) if is_booted else host.scratch() as point:
        bwrap = [
            "bwrap",
            *(_whole_machine() if is_booted else _deployment_alone(host)),
            *("--ro-bind", str(pending.path / "usr"), "/usr"),
            *("--bind", str(point / "etc"), "/etc", "--die-with-parent"),
            *_bound_homes(places, point),
            *(() if has_network else ("--unshare-net",)),
            *("--chdir", str(_directory(places, home, is_booted=is_booted))),
            "--",
            *words,
        ]
        commands = [*_etc_view(point, etc, new), *_home_views(places, home)]
        script = "\n".join([*commands, f"exec {shlex.join(bwrap)}"])
        return attached(
            ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-euc", script]
        )


def _privacy(commit: str, home: Home, *, is_booted: bool, net: bool) -> str:
    """What the command has for itself, and what it shares, in a line."""
    own = [f"/usr (of {commit[:12]}, read-only)", "/etc (what it writes is thrown away)"]
    if not is_booted:
        own += ["/tmp", "/run"]  # noqa: S108  # the command's own
    if home is not Home.REAL:
        seen = "empty" if home is Home.EMPTY else "as they are"
        own += [f"homes ({seen}; what it writes is thrown away)"]
    own += [] if net else ["no network"]
    shared = "all else is this machine's, and changes there stay"
    if not is_booted:
        shared = f"of this machine it sees {'the network alone' if net else 'nothing'}"
    return f"private: {', '.join(own)}; {shared}"


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


def _etc_view(point: Path, etc: Path, new: Path) -> Iterator[str]:
    """Commands that mount the view of /etc in a namespace of its own, in a directory of memory.

    Lower layers, uppermost first: the new ld.so.cache, /etc as it is, the new /etc.
    """
    yield f"mount -t tmpfs -o mode=0755 layer {shlex.quote(str(point))}"
    yield f"cd {shlex.quote(str(point))}"
    yield "mkdir cache upper work etc"
    yield f"ln -s {shlex.quote(str(etc))} present"
    yield f"cp -a {shlex.quote(str(new / 'ld.so.cache'))} cache/ 2>/dev/null || :"
    lowers = ["cache", "present"]
    if not new.samefile(etc):  # as where the pending deployment is the one that runs
        yield f"ln -s {shlex.quote(str(new))} new"
        lowers.append("new")
    options = f"lowerdir={':'.join(lowers)},upperdir=upper,workdir=work"
    yield f"mount -t overlay -o {options} layer etc"


def _homes(host: Host, *, is_booted: bool) -> tuple[_Place, ...]:
    """Where homes are, none of them inside another."""
    if not is_booted:
        var = host.sysroot.var(host.stateroot)
        found = [_Place(var / name, Path("/var", name)) for name in ("home", "roothome")]
        return tuple(place for place in found if place.source.is_dir())
    # /home is often a link, and ours may lie elsewhere.
    named = [Path("/home"), Path("/root"), Path(os.environ.get("HOME", "/root"))]
    tops: list[Path] = []
    for path in (name.resolve() for name in named if name.is_absolute() and name.is_dir()):
        if path != Path("/") and not any(path.is_relative_to(top) for top in tops):
            tops.append(path)
    return tuple(_Place(top, top) for top in tops)


def _home_views(places: Sequence[_Place], home: Home) -> Iterator[str]:
    """Commands that make what is seen of the homes, in the directory of memory."""
    for number, place in enumerate(places):
        source, name = shlex.quote(str(place.source)), f"home{number}"
        if home is Home.COPY:
            yield f"ln -s {source} {name}.below"
            yield f"mkdir {name}.upper {name}.work {name}"
            yield _alike(source, f"{name}.upper")
            options = f"lowerdir={name}.below,upperdir={name}.upper,workdir={name}.work"
            yield f"mount -t overlay -o {options} layer {name}"
        else:
            yield from (f"mkdir {name}", _alike(source, name))
            for one in sorted(p for p in place.source.iterdir() if _is_home(p, place)):
                inside = shlex.quote(f"{name}/{one.name}")
                yield from (f"mkdir {inside}", _alike(shlex.quote(str(one)), inside))


def _is_home(path: Path, place: _Place) -> bool:
    return place.point.name == "home" and path.is_dir() and not path.is_symlink()


def _alike(source: str, place: str) -> str:
    return f"chown --reference={source} {place}; chmod --reference={source} {place}"


def _directory(places: Sequence[_Place], home: Home, *, is_booted: bool) -> Path:
    """Where the command starts: here, if it sees that."""
    here = Path.cwd() if is_booted else Path("/")
    if home is not Home.EMPTY:
        return here
    return next((p.point for p in places if here.is_relative_to(p.point)), here)


def _bound_homes(places: Sequence[_Place], point: Path) -> Iterator[str]:
    for number, place in enumerate(places):
        yield from ("--bind", str(point / f"home{number}"), str(place.point))


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
