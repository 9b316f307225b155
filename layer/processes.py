"""The processes of the machine, as /proc tells: what each has open or mapped, and what it sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from layer.frozen import dataclass
from layer.live.plan import Process
from layer.mounts import Mount, namespace_of, read_mounts
from layer.words import is_number

FileId = tuple[int, int]
"""Device and inode: what tells files apart, whatever they are called and wherever they are seen."""

_USR = "/usr"
# What lies there is in no /usr, and asking a network filesystem for it may take for ever.
_ELSEWHERE = ("/dev/", "/proc/", "/sys/", "/run/", "/var/", "/home/", "/mnt/", "/media/", "/srv/")
_GONE = " (deleted)"
_BELOW = ("/bin/", "/sbin/", "/lib/", "/lib64/", "/libexec/", "/share/")


@dataclass(frozen=True, slots=True)
class Seen:
    """A process with the files that it has open or mapped, by identity, and their names there.

    `usr` is the directory that it sees at /usr. `follows`: it will see what is mounted there.
    """

    process: Process
    files: frozenset[FileId]
    mapped: tuple[tuple[FileId, str], ...]
    usr: FileId
    follows: bool


def scan(machine: int | str = 1) -> tuple[Seen, ...]:
    """All processes but ours; those that end meanwhile, or that we may not ask, are left out."""
    found = []
    ours = ""
    with suppress(PermissionError):  # who is not root sees their own processes alone
        ours = namespace_of(machine)
    for name in os.listdir("/proc"):  # noqa: PTH208 - names alone
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                found.append(_look_at(int(name), ours))
    return tuple(sorted(found, key=lambda seen: seen.process))


def identity(path: Path | str) -> FileId:
    """What tells a file from others; of a link what it leads to. OSError where there is none."""
    found = os.stat(path)  # noqa: PTH116 - of very many files
    return found.st_dev, found.st_ino


def follows(pid: int | str, machine_namespace: str) -> bool:
    """Whether a process will see what is mounted at the machine's /usr."""
    if machine_namespace in ("", namespace_of(pid)):
        return True
    top = uppermost(read_mounts(pid))
    return top is not None and bool(top.peers or top.master)


def uppermost(mounts: tuple[Mount, ...], point: str = _USR) -> Mount | None:
    """The mount that is seen at a place, and not one that it covers; / where none is there."""
    for place in (point, "/"):
        there = {mount.number: mount for mount in mounts if mount.point == place}
        covered = {mount.parent for mount in there.values()}
        for number, mount in there.items():
            if number not in covered:
                return mount
    return None


def old_files(seen: Seen) -> tuple[str, ...]:
    """What the process has mapped that is another file at that place in its own view, sorted."""
    found = set()
    for file, path in seen.mapped:
        place = path.removesuffix(_GONE)
        # Of a /usr that is mounted no longer, names begin below it.
        place = f"{_USR}{place}" if place.startswith(_BELOW) else place
        if place.startswith(f"{_USR}/") and _is_another(seen.process.pid, place, file):
            found.add(place)
    return tuple(sorted(found))


def _is_another(pid: int, place: str, file: FileId) -> bool:
    try:
        return identity(f"/proc/{pid}/root{place}") != file
    except FileNotFoundError:
        return True
    except OSError:  # it has just ended
        return False


def _look_at(pid: int, machine_namespace: str) -> Seen:
    mapped = {found for found in _links(f"/proc/{pid}/map_files") if found[0]}
    opened = {found for found in _links(f"/proc/{pid}/fd") if found[0]}
    with suppress(OSError):  # a thread of the kernel has none
        mapped.add((identity(f"/proc/{pid}/exe"), os.readlink(f"/proc/{pid}/exe")))  # noqa: PTH115
    with suppress(OSError):
        opened.add((identity(f"/proc/{pid}/cwd"), ""))
    return Seen(
        process=Process(pid, _read(pid, "comm").strip(), _unit(_read(pid, "cgroup"))),
        files=frozenset(file for file, _ in (*mapped, *opened)),
        mapped=tuple(sorted(mapped)),
        usr=identity(f"/proc/{pid}/root{_USR}"),
        follows=follows(pid, machine_namespace),
    )


def _links(folder: str) -> Iterator[tuple[FileId, str]]:
    seen: dict[str, FileId | None] = {}
    for entry in os.scandir(folder):
        with suppress(OSError):  # closed since
            path = os.readlink(entry.path)  # noqa: PTH115
            if not path.startswith("/") or path.startswith(_ELSEWHERE):
                continue
            # A library is mapped in several pieces.
            if path not in seen or path.endswith(_GONE):
                seen[path] = identity(entry.path)
            file = seen[path]
            if file is not None:
                yield file, path


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def _unit(text: str) -> str:
    """The system's unit that a process belongs to, by its control group; "" for none."""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        if path.startswith("/system.slice/"):
            return next((n for n in path.split("/")[::-1] if n.endswith((".service",))), "")
    return ""


def lock_holders(path: Path) -> tuple[int, ...]:
    """The processes that hold a lock on a file, as libostree takes it; sorted, none for no file.

    Root sees all, others their own.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    names = os.listdir("/proc")  # noqa: PTH208 - names alone
    return tuple(sorted(int(n) for n in names if is_number(n) and _holds(int(n), path, wanted)))


def _holds(pid: int, path: Path, wanted: str) -> bool:
    """The kernel tells the locks of each open file in fdinfo (proc(5))."""
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.path.basename(os.readlink(descriptor)) == path.name:  # noqa: PTH115,PTH119
                    info = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
                    locks = (line.split() for line in info.splitlines() if line.startswith("lock:"))
                    if any(wanted in words for words in locks):
                        return True
    return False


def command_line(pid: int) -> tuple[str, ...]:
    """The words of a process, () for one that has ended."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return tuple(os.fsdecode(word) for word in words if word)
    return ()
