"""What of a new tree's /etc is put into the running one, and how it goes again.

New files come; a file that somebody changed is never touched. What triggers write (accounts,
the loader's cache) takes the place of what was as the tree had it, and a copy is kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from layer import ids
from layer.durable import sync_directory
from layer.frozen import dataclass
from layer.live.record import Addition, LiveState, Placed, Replacement
from layer.machine_etc import is_same_itself
from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import diff, empty_tree, lookup
from layer.words import is_number

ACCOUNT_FILES = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")
CACHE = "etc/ld.so.cache"
_SUFFIX = ".layer-live"  # of a file that has not got its name yet


@dataclass(frozen=True, slots=True)
class EtcPlan:
    """What is to come into /etc, and what of it cannot.

    `replacements` are paths whose new content the tree has, `edited` such that the machine has its
    own version of. `accounts` are lines of sysusers.d for what is new.
    """

    additions: tuple[Addition, ...] = ()
    replacements: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()


def plan_etc(
    store: ObjectStore,
    booted: Tree,
    wanted: Tree,
    deployment: Path,
    ours: Collection[str],
    known: LiveState | None,
    backups: Path,
) -> EtcPlan:
    """What the /etc of a booted deployment is to have for the tree that is to be seen.

    `ours` are paths of the new tree that triggers wrote; `known` says what was put there before,
    and `backups` holds what it took the place of.
    """
    shipped, new = (_etc_of(store, root) for root in (booted, wanted))
    found = diff(store, shipped, new)
    placed = {one.path for one in known.additions} if known else set()
    replaced = {one.path: one for one in known.replacements} if known else {}
    additions, notes, refusals = [], [], []
    for path, kind in (
        *((path, Placed.DIRECTORY) for path in _new_directories(store, shipped, new)),
        *((path, Placed.FILE) for path in found.added),
    ):
        place = deployment / "etc" / path
        fault = _blocked(deployment / "etc", path, is_directory=kind is Placed.DIRECTORY)
        if fault:
            refusals.append((f"etc/{path}", fault))
        elif f"etc/{path}" in placed or not os.path.lexists(place):
            additions.append(_addition(store, new, path, kind))
        elif kind is Placed.FILE and not _is_as_shipped(store, new, path, place):
            notes.append(f"/etc/{path} is there already, and stays as it is")
    replacements, edited = [], []
    for path in found.changed:
        machine, tree = f"etc/{path}", f"usr/etc/{path}"
        is_pristine = _is_pristine(deployment, path, deployment / machine) or (
            machine in replaced
            and digest(deployment / machine) == replaced[machine].says
            and _is_pristine(deployment, path, backups / replaced[machine].backup)
        )
        if tree not in ours:
            notes.append(f"/etc/{path} stays as it is until the reboot")
        elif is_pristine:
            replacements.append(machine)
        else:
            edited.append(machine)
    lines = new_accounts(store, booted, wanted)
    refusals += account_conflicts(deployment, lines, known.accounts if known else ())
    return EtcPlan(
        tuple(sorted(additions)),
        tuple(replacements),
        tuple(edited),
        tuple(text for _, text in lines),
        tuple(notes),
        tuple(refusals),
    )


def new_accounts(
    store: ObjectStore, booted: Tree, wanted: Tree
) -> tuple[tuple[ids.UserLine, str], ...]:
    """The users and groups that a tree has beyond those of the booted one, with their lines."""
    before, after = (read_text(store, root, ids.IDS_PATH) for root in (booted, wanted))
    old = {(line.kind, line.name) for line in ids.parse_sysusers(before, ids.IDS_PATH)}
    found = []
    for text in after.splitlines():
        for line in ids.parse_sysusers(text, ids.IDS_PATH):
            if (line.kind, line.name) not in old:
                found.append((line, text))
    return tuple(found)


def account_conflicts(
    deployment: Path, lines: Iterable[tuple[ids.UserLine, str]], ours: Collection[str]
) -> list[tuple[str, str]]:
    """New users and groups whose name has another number here, or whose number another name."""
    texts = []
    for name in ("passwd", "group"):
        with suppress(OSError):
            texts.append((deployment / "etc" / name).read_text(errors="surrogateescape"))
    present = ids.parse_accounts(*texts) if len(texts) == 2 else ids.Accounts()
    found = []
    for line, _ in lines:
        there = present.users if line.kind == "u" else present.groups
        kind = "user" if line.kind == "u" else "group"
        number = line.own_number
        if line.name in ours or not is_number(number):
            continue
        if line.name in there and there[line.name] != int(number):
            has = there[line.name]
            found.append((f"{kind} {line.name}", f"it has number {has} here, and {number} there"))
        others = sorted(n for n, taken in there.items() if taken == int(number) and n != line.name)
        if others:
            found.append((f"{kind} {line.name}", f"its number {number} is that of {others[0]}"))
    return found


# --- acting --------------------------------------------------------------------------------------


def bring(deployment: Path, checkout: Path, wanted: Iterable[Addition]) -> None:
    """Puts what is to be in /etc there; what is there already is left alone."""
    for one in sorted(wanted):  # a directory before what is in it
        place, source = deployment / one.path, checkout / "usr" / one.path
        if os.path.lexists(place):
            continue
        if one.placed is Placed.DIRECTORY:
            place.mkdir()
            copy_attributes(source, place)
        else:
            _copy_to(source, place, is_new=True)
        sync_directory(place.parent)


def take_away(deployment: Path, known: Iterable[Addition]) -> tuple[str, ...]:
    """Takes back what was put somewhere, where it is as it was put; returns what stays."""
    kept = []
    for one in sorted(known, reverse=True):
        place = deployment / one.path
        _aside(place).unlink(missing_ok=True)
        if not os.path.lexists(place):
            continue
        if one.placed is Placed.ATTRIBUTES:
            set_attributes(place, one.says)
        elif one.placed is Placed.DIRECTORY and place.is_dir():
            with suppress(OSError):  # somebody has put something in it
                place.rmdir()
        elif is_as_placed(place, one):
            place.unlink()
        if one.placed is not Placed.ATTRIBUTES and os.path.lexists(place):
            kept.append(f"/{one.path}")
    return tuple(sorted(kept))


def is_as_placed(place: Path, one: Addition) -> bool:
    """Whether a file or link is as it was put there."""
    if one.placed is Placed.LINK:
        return place.is_symlink() and os.readlink(place) == one.says  # noqa: PTH115
    return place.is_file() and not place.is_symlink() and digest(place) == one.says


def keep_copy(deployment: Path, path: str, backups: Path, *, is_known: bool) -> Replacement:
    """Keeps what is at a path of /etc, which is going to be another, with all its attributes.

    `is_known`: that was done before anything was live, and is what counts.
    """
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = backups / path.replace("/", "-")
    if not (is_known and copy.exists()):
        _copy_to(deployment / path, copy, is_new=False)
        sync_directory(backups)
    return Replacement(path, copy.name)


def put_new(deployment: Path, checkout: Path, item: Replacement) -> Replacement:
    """Puts the tree's version in a file's place, in one step."""
    source = checkout / "usr" / item.path
    _copy_to(source, deployment / item.path, is_new=False)
    return replace(item, says=digest(source))


def put_back(
    deployment: Path, item: Replacement, backups: Path, accounts: Collection[str]
) -> str | None:
    """Gives a file the content that it had; what was edited since is kept but for our accounts.

    Returns the path where it stays as it is.
    """
    place, copy = deployment / item.path, backups / item.backup
    _aside(place).unlink(missing_ok=True)
    if not copy.exists() or not place.is_file():
        return None
    if digest(place) in (item.says, digest(copy)) or not item.says:
        if not is_same_itself(place, copy):
            _copy_to(copy, place, is_new=False)
        return None
    if item.path not in ACCOUNT_FILES:
        return f"/{item.path}"
    known = {line.partition(":")[0] for line in copy.read_text(errors="replace").splitlines()}
    drop_accounts(place, set(accounts) - known)
    return None


def drop_accounts(place: Path, names: Collection[str]) -> None:
    """Takes the lines of these users and groups out of a file; all others stay."""
    text = place.read_bytes()
    lines = [
        line
        for line in text.splitlines(keepends=True)
        if line.partition(b":")[0].decode(errors="replace") not in names
    ]
    if b"".join(lines) != text:
        aside = _aside(place)
        aside.write_bytes(b"".join(lines))
        copy_attributes(place, aside)
        _settle(aside, place)


def snapshot(root: Path, paths: Iterable[str]) -> tuple[Addition, ...]:
    """What is at these paths (no leading slash) below `root`, directories with all in them."""
    found: set[Addition] = set()
    for path in paths:
        top = root / path
        if not os.path.lexists(top):
            continue
        found.add(_as_it_is(root, top))
        if top.is_dir() and not top.is_symlink():
            for folder, names, files in os.walk(top):
                found |= {_as_it_is(root, Path(folder, name)) for name in (*names, *files)}
    return tuple(sorted(found))


def attributes_of(place: Path) -> str:
    """Owner and mode as the record has them."""
    info = place.lstat()
    return f"{stat.S_IMODE(info.st_mode):04o}:{info.st_uid}:{info.st_gid}"


def set_attributes(place: Path, says: str) -> None:
    """Gives a file or directory the owner and mode that the record has."""
    mode, uid, gid = says.split(":")
    if not place.is_symlink() and attributes_of(place) != says:
        os.chown(place, int(uid), int(gid))
        place.chmod(int(mode, 8))


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_attributes(source: Path, place: Path) -> None:
    """Owner, mode, times and extended attributes, labels included."""
    info = source.lstat()
    os.chown(place, info.st_uid, info.st_gid, follow_symlinks=False)
    shutil.copystat(source, place, follow_symlinks=False)


# --- below ---------------------------------------------------------------------------------------


def _etc_of(store: ObjectStore, root: Tree) -> Tree:
    found = lookup(store, root, "usr/etc")
    return found if isinstance(found, Tree) else empty_tree(store)


def _new_directories(
    store: ObjectStore, old: Tree | None, new: Tree, prefix: str = ""
) -> Iterator[str]:
    """The directories that are in the new tree alone, each before what is in it."""
    if old is not None and old.contents == new.contents:
        return
    before = store.read_directory(old.contents).directories if old else {}
    for name, tree in sorted(store.read_directory(new.contents).directories.items()):
        if name not in before:
            yield prefix + name
        yield from _new_directories(store, before.get(name), tree, f"{prefix}{name}/")


def _addition(store: ObjectStore, new: Tree, path: str, kind: Placed) -> Addition:
    found = lookup(store, new, path)
    if kind is Placed.DIRECTORY:
        return Addition(f"etc/{path}", Placed.DIRECTORY.value)
    assert isinstance(found, str), path
    target = store.read_file_attributes(found).target
    if target:
        return Addition(f"etc/{path}", Placed.LINK.value, target)
    with store.open_file(found) as file:
        content = hashlib.sha256(file.read()).hexdigest()
    return Addition(f"etc/{path}", Placed.FILE.value, content)


def _blocked(etc: Path, path: str, *, is_directory: bool) -> str:
    """Why the merge of /etc could not make a path, "" where it can."""
    place = etc / path
    for parent in reversed(place.relative_to(etc).parents):
        if os.path.lexists(etc / parent) and not (etc / parent).is_dir():
            return f"/etc/{parent} is no directory here"
    is_folder = place.is_dir() and not place.is_symlink()
    if os.path.lexists(place) and is_folder != is_directory:
        return f"/etc/{path} is another kind of file here"
    return ""


def _is_as_shipped(store: ObjectStore, new: Tree, path: str, place: Path) -> bool:
    return is_as_placed(place, _addition(store, new, path, Placed.FILE))


def _is_pristine(deployment: Path, path: str, mine: Path) -> bool:
    """Whether a file is what the booted tree has at a path of /etc."""
    shipped = deployment / "usr/etc" / path
    there = os.path.lexists(mine) and os.path.lexists(shipped)
    return there and is_same_itself(mine, shipped)


def _as_it_is(root: Path, place: Path) -> Addition:
    path = str(place.relative_to(root))
    if place.is_symlink():
        return Addition(path, Placed.LINK.value, os.readlink(place))  # noqa: PTH115
    if place.is_dir():
        return Addition(path, Placed.DIRECTORY.value)
    is_regular = stat.S_ISREG(place.lstat().st_mode)
    return Addition(path, Placed.FILE.value, digest(place) if is_regular else "")


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}{_SUFFIX}")


def _copy_to(source: Path, place: Path, *, is_new: bool) -> None:
    """Copies a file or link whole, or not at all; a new one never over what came meanwhile."""
    aside = _aside(place)
    aside.unlink(missing_ok=True)
    if source.is_symlink():
        aside.symlink_to(os.readlink(source))  # noqa: PTH115  # Path would tidy it up
    else:
        shutil.copyfile(source, aside)
    copy_attributes(source, aside)
    if not aside.is_symlink():
        with aside.open("rb") as file:
            os.fsync(file.fileno())
    if not is_new:
        _settle(aside, place)
        return
    with suppress(FileExistsError):
        os.link(aside, place, follow_symlinks=False)
    aside.unlink()


def _settle(aside: Path, place: Path) -> None:
    aside.replace(place)
    sync_directory(place.parent)


def accounts_of(plan: EtcPlan) -> tuple[str, ...]:
    """The names in a plan's lines, sorted."""
    lines = ids.parse_sysusers("\n".join(plan.accounts), ids.IDS_PATH)
    return tuple(sorted({line.name for line in lines}))


def changed_by(deployment: Path, items: Sequence[Replacement]) -> tuple[Replacement, ...]:
    """The replacements with what the files now say."""
    return tuple(
        replace(item, says=digest(deployment / item.path)) if not item.says else item
        for item in items
    )
