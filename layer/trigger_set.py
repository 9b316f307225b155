"""The set of triggers for a tree: the program's own, those of the tree, and the machine's.

A file of a later place takes the place of one with the same name, and a link to
/dev/null masks it. /etc counts as it will be when the tree is deployed: what the
tree ships, but for the files that somebody has changed on the machine.
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

from layer.errors import TriggerFailed
from layer.frozen import dataclass
from layer.model import Tree
from layer.paths import user_path
from layer.store.contract import ObjectStore
from layer.store.trees import lookup
from layer.triggers.format import Trigger, parse_trigger
from layer.triggers.order import in_order

VENDOR_DIRECTORY = "usr/share/layer/triggers.d"
LOCAL_DIRECTORY = "usr/etc/layer/triggers.d"
_MASK = "/dev/null"


class Place(enum.Enum):
    """Where a trigger file is from; a later one counts more."""

    PACKAGED = "packaged"
    TREE = "tree"
    LOCAL = "local"


class State(enum.Enum):
    """What became of a trigger file."""

    USED = "used"
    OVERRIDDEN = "overridden"
    MASKED = "masked"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class TriggerFile:
    """A file as read: its name without `.toml`, the path that people know, its text.

    `text` is None for a mask.
    """

    name: str
    place: Place
    source: str
    text: str | None


@dataclass(frozen=True, slots=True)
class ListedTrigger:
    """A file of the set, what became of it, and the trigger that it says where it is used."""

    file: TriggerFile
    state: State
    trigger: Trigger | None = None


@dataclass(frozen=True, slots=True)
class TriggerSet:
    """All files, by name and place, and the triggers of those that count, in their order."""

    files: tuple[ListedTrigger, ...]
    triggers: tuple[Trigger, ...]


LocalFiles = Mapping[str, TriggerFile | None]
"""What somebody has changed in a machine's /etc/layer/triggers.d; None for a file taken away."""


def read_triggers(
    store: ObjectStore, tree: Tree, local: LocalFiles | None = None
) -> tuple[Trigger, ...]:
    """The triggers for a tree in the order in which they run; TriggerFailed names what is wrong."""
    return read_trigger_set(store, tree, local).triggers


def packaged_triggers() -> tuple[Trigger, ...]:
    """The program's own triggers, where there is no tree to ask."""
    return in_order([parse_file(file) for file in _packaged()])


def read_trigger_set(store: ObjectStore, tree: Tree, local: LocalFiles | None = None) -> TriggerSet:
    """The same, with every file that there is; all that is wrong in any file is named at once."""
    files = _files(store, tree, local)
    last = {file.name: file for file in files}
    triggers, faults = {}, []
    for file in last.values():
        try:
            if file.text is not None:
                triggers[file.name] = parse_file(file)
        except TriggerFailed as error:
            faults.append(error)
    if faults:
        message = "\n".join(fault.message for fault in faults)
        raise TriggerFailed(message, faults[0].hint) from faults[0]
    masked = [file.name for file in last.values() if file.text is None]
    in_this_order = in_order([triggers[name] for name in sorted(triggers)], masked)
    order = list(Place)
    listed = [
        _listed(file, last[file.name], triggers)
        for file in sorted(files, key=lambda file: (file.name, order.index(file.place)))
    ]
    return TriggerSet(tuple(listed), in_this_order)


def check_among(
    checked: Sequence[Trigger], store: ObjectStore, tree: Tree, local: LocalFiles | None = None
) -> None:
    """TriggerFailed where triggers do not fit among those of a tree, were they the machine's own.

    What is wrong with other files is not said: of these the names alone count.
    """
    last = {file.name: file for file in _files(store, tree, local)}
    own = {trigger.name for trigger in checked}
    known = own | last.keys()
    others: list[Trigger] = []
    for name in sorted(known - own):
        with suppress(TriggerFailed):  # a mask is no trigger, either
            other = parse_file(last[name])
            in_order([*others, other], known)
            others.append(other)
    in_order([*others, *checked], known)


def read_local(deployment: Path) -> LocalFiles:
    """The files of a deployment's own /etc that are not as its tree ships them."""
    own = _in_directory(deployment / "etc/layer/triggers.d", deployment)
    shipped = _in_directory(deployment / LOCAL_DIRECTORY, deployment)
    changed: dict[str, TriggerFile | None] = {}
    for name in sorted(own.keys() | shipped.keys()):
        mine, theirs = own.get(name), shipped.get(name)
        if (mine and mine.text) != (theirs and theirs.text) or (mine is None) != (theirs is None):
            changed[name] = mine
    return changed


def read_file(path: Path) -> TriggerFile:
    """A file that somebody names."""
    return TriggerFile(path.stem, Place.LOCAL, str(path), _read(path, str(path)))


@cache  # a change asks twice: for the plan, and for the tree
def parse_file(file: TriggerFile) -> Trigger:
    """The trigger that a file says; its name must be the file's."""
    trigger = parse_trigger(file.text or "", file.source, is_ours=file.place is Place.PACKAGED)
    if trigger.name != file.name:
        raise TriggerFailed(
            f"{file.source}: name: {trigger.name!r} must be the file's name, {file.name!r}",
            "a file is overridden and masked by its name",
        )
    return trigger


def _files(store: ObjectStore, tree: Tree, local: LocalFiles | None) -> list[TriggerFile]:
    """All files, those of a later place after those of an earlier one."""
    shipped = {file.name: file for file in _in_tree(store, tree, LOCAL_DIRECTORY, Place.LOCAL)}
    return [
        *_packaged(),
        *_in_tree(store, tree, VENDOR_DIRECTORY, Place.TREE),
        *(file for file in {**shipped, **(local or {})}.values() if file is not None),
    ]


def _listed(file: TriggerFile, last: TriggerFile, triggers: Mapping[str, Trigger]) -> ListedTrigger:
    if file is last:
        used = State.USED if file.text is not None else State.MASK
        return ListedTrigger(file, used, triggers.get(file.name))
    return ListedTrigger(file, State.MASKED if last.text is None else State.OVERRIDDEN)


def packaged_directory(module: Path = Path(__file__)) -> Path:
    """`triggers/` of a checkout, else `share/layer/triggers` of what it is installed under.

    The prefix is found from where this module lies: what sysconfig says of it is, on Debian,
    /usr/local for packages, too.
    """
    checkout = module.parent.parent / "triggers"
    if checkout.is_dir():
        return checkout
    places = [folder / "share/layer/triggers" for folder in module.parents]
    return next((place for place in places if place.is_dir()), places[-1])


def _packaged() -> Sequence[TriggerFile]:
    folder = packaged_directory()
    files = [
        TriggerFile(path.stem, Place.PACKAGED, str(path), _read(path, str(path)))
        for path in sorted(folder.glob("*.toml"))
    ]
    if not files:
        raise TriggerFailed(f"there are no triggers in {folder}", "layer is not fully installed")
    return files


def _in_tree(store: ObjectStore, tree: Tree, folder: str, place: Place) -> Iterator[TriggerFile]:
    found = lookup(store, tree, folder)
    if not isinstance(found, Tree):
        return
    for name, checksum in sorted(store.read_directory(found.contents).files.items()):
        if not _is_trigger_file(name):
            continue
        source = user_path(f"{folder}/{name}")
        target = store.read_file_attributes(checksum).target
        if target:
            text = None
            _check_mask(target, source)
        else:
            with store.open_file(checksum) as content:
                text = _decoded(content.read(), source)
        yield TriggerFile(PurePosixPath(name).stem, place, source, text)


def _in_directory(folder: Path, deployment: Path) -> dict[str, TriggerFile]:
    """By name; their source is what the path is on the machine that boots this."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(path for path in folder.iterdir() if _is_trigger_file(path.name)):
        source = f"/{path.relative_to(deployment)}"
        text = None
        if path.is_symlink():  # it would lead to a file of the machine that we run on
            _check_mask(os.fspath(path.readlink()), source)
        else:
            text = _read(path, source)
        found[path.stem] = TriggerFile(path.stem, Place.LOCAL, source, text)
    return found


def is_trigger_file(path: str) -> bool:
    """Whether a file of a tree is one of its triggers."""
    folder, _, name = path.rpartition("/")
    return folder in (VENDOR_DIRECTORY, LOCAL_DIRECTORY) and _is_trigger_file(name)


def _is_trigger_file(name: str) -> bool:
    return name.endswith(".toml") and not name.startswith(".")


def _read(path: Path, source: str) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TriggerFailed(f"{source}: is no file")
        return _decoded(path.read_bytes(), source)
    except OSError as error:
        raise TriggerFailed(f"{source}: cannot be read: {error.strerror}") from error


def _check_mask(target: str, source: str) -> None:
    """Nothing, for a link that masks; TriggerFailed for any other."""
    if target != _MASK:
        raise TriggerFailed(
            f"{source}: is a link to {target}", "only a link to /dev/null means anything"
        )


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TriggerFailed(f"{source}: is not UTF-8") from error
