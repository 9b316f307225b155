"""What goes into a trigger's run, by checksum: the program, the arguments, the files it reads.

Nothing here costs what the base's size is: directories below which a pattern
matches at any depth count with the checksum that the tree `before` has for
them, and only what differs from that is looked at path by path.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Collection, Iterator

from layer.errors import StoreError
from layer.frozen import dataclass
from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.triggers.format import Trigger, trigger_digest
from layer.triggers.globs import Glob, descent, match
from layer.triggers.match import Job, is_excluded, matching

_KEY_VERSION = 1  # changes when the engine itself gives other output for the same inputs
_MOST_LINKS = 40  # as the kernel has it
_TOP_LINKS = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "etc")}


@dataclass(frozen=True, slots=True)
class Program:
    """A program of a tree: the path by which it is called, the checksum of what that leads to."""

    path: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the work stands: the tree at first, the tree now, the paths that differ, sorted."""

    before: Tree
    tree: Tree
    changed: tuple[str, ...]


def find_program(store: ObjectStore, tree: Tree, trigger: Trigger) -> Program | None:
    """The tree's program for `exec[0]`: that path, or the first of that name along `search`."""
    name = trigger.exec[0]
    candidates = (
        [name.removeprefix("/")]
        if "/" in name
        else [
            f"{path}/{name}"
            for glob in trigger.search
            for path, found in _descend(store, tree, glob)
            if isinstance(found, Tree)
        ]
    )
    for path in candidates:
        checksum = _follow(store, tree, path)
        if checksum is not None:
            return Program(path, checksum) if _has_needs(store, tree, trigger) else None
    return None


def _has_needs(store: ObjectStore, tree: Tree, trigger: Trigger) -> bool:
    """Whether one of the programs that the command itself starts is there, where it says any."""
    return not trigger.needs or any(
        _follow(store, tree, path) is not None
        for glob in trigger.needs
        for path, _ in _descend(store, tree, glob)
    )


def key_of(
    store: ObjectStore,
    trigger: Trigger,
    job: Job,
    program: Program | None,
    moment: Moment,
    *,
    epoch: int,
) -> str:
    """SHA-256 in hex over all that decides what a job writes.

    That is what the trigger says, its program, arguments and time, the files
    it reads, and what stands now where it writes.
    """
    read = [
        *_inputs(store, moment, job.include, trigger),
        *_inputs(store, moment, job.reads, None),
        *_inputs(store, moment, trigger.needs, None),
        *_inputs(store, moment, job.writes, None),
    ]
    parts = [
        str(_KEY_VERSION),
        trigger_digest(trigger),
        [program.path, program.checksum] if program else [],
        job.commands,
        str(epoch),
        sorted(set(read)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _inputs(
    store: ObjectStore, moment: Moment, globs: Collection[Glob], trigger: Trigger | None
) -> Iterator[tuple[str, str]]:
    """Paths with checksums; `trigger` is the one whose `exclude` holds for them."""
    for glob in globs:
        if glob.is_deep:
            yield from _inputs_at_any_depth(store, moment, glob, trigger)
            continue
        for path, found in _descend(store, moment.tree, glob):
            if isinstance(found, str) and not (trigger and is_excluded(trigger, path)):
                yield path, found


def _inputs_at_any_depth(
    store: ObjectStore, moment: Moment, glob: Glob, trigger: Trigger | None
) -> Iterator[tuple[str, str]]:
    for path, found in _descend(store, moment.before, glob):
        if isinstance(found, Tree):
            yield f"{path}/", f"{found.contents} {found.attributes}"
    for path, _ in matching(glob, moment.changed):
        if not (trigger and is_excluded(trigger, path)):
            now = lookup(store, moment.tree, path)
            yield path, now if isinstance(now, str) else ""


def _descend(store: ObjectStore, tree: Tree, glob: Glob) -> Iterator[tuple[str, Tree | str]]:
    """What matches; for a pattern with `**` the directories where "any depth" begins."""
    levels: list[tuple[str, Tree | str]] = [("", tree)]
    for step in descent(glob).steps:
        below: list[tuple[str, Tree | str]] = []
        for path, found in levels:
            if not isinstance(found, Tree):
                continue
            directory = store.read_directory(found.contents)
            entries: dict[str, Tree | str] = {**directory.files, **directory.directories}
            names = [step] if isinstance(step, str) else sorted(filter(step.fullmatch, entries))
            prefix = f"{path}/" if path else ""
            below += [(f"{prefix}{name}", entries[name]) for name in names if name in entries]
        levels = below
    for path, found in levels:
        if glob.is_deep or match(glob, path) is not None:
            yield path, found


def _follow(store: ObjectStore, tree: Tree, path: str) -> str | None:
    """The checksum of the regular file that `path` leads to inside the tree, or None."""
    names = path.split("/")
    done: list[str] = []
    links = 0
    while names:
        name = names.pop(0)
        found = lookup(store, tree, "/".join([*done, name]))
        if found is None:
            return None
        target = "" if isinstance(found, Tree) else store.read_file_attributes(found).target
        if target:
            links += 1
            if links > _MOST_LINKS:
                raise StoreError(f"too many links on the way to {path} in the tree")
            names = [*_resolved("/".join(done), target).split("/"), *names]
            done = []
        elif isinstance(found, str):
            return None if names else found
        else:
            done.append(name)
    return None


def _resolved(folder: str, target: str) -> str:
    """Where a link points, as a path of the tree: there /bin is usr/bin, and /etc is usr/etc."""
    path = posixpath.normpath(posixpath.join(f"/{folder}", target)).lstrip("/")
    top, _, rest = path.partition("/")
    return posixpath.join(_TOP_LINKS.get(top, top), rest) if rest else _TOP_LINKS.get(top, top)
