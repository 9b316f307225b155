"""What packages would do to a machine, from their headers, before they are fetched."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from layer import ids, tmpfiles
from layer.accounts import read_accounts, read_id_map
from layer.audit.verdict import Audit, Mode
from layer.effects import Effects, NewAccount, NewUnit, PlacedPath, Privileged
from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.importer import find_package
from layer.layout import FACTORY, Placement, is_root
from layer.lock import Lock
from layer.model import Commit, Package, PackageHeader, Tree
from layer.paths import user_path
from layer.presets import SUFFIXES, PresetLine, decide, parse_presets
from layer.rpmfile.capabilities import format_capabilities, parse_capabilities
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import files_of, lookup
from layer.words import is_number

_SCOPES = ("system", "user")
_PRESET_FOLDERS = ("usr/lib/systemd/{}-preset", "usr/etc/systemd/{}-preset")
_PRESET_TRIGGERS = {"system": "preset", "user": "preset-user"}


@dataclass(frozen=True, slots=True)
class Coming:
    """A package of a change: what it says of itself, where it goes, what its scriptlets declare.

    `is_new`: it was not layered as this very file. `root` is its tree where it was imported.
    """

    header: PackageHeader
    placement: Placement
    audit: Audit
    is_new: bool
    root: Tree | None = None

    @property
    def name(self) -> str:
        """The package's name."""
        return self.header.nevra.name


def coming(
    store: ObjectStore,
    packages: Sequence[Package],
    previous: Lock,
    headers: Sequence[PackageHeader],
    placements: Sequence[Placement],
    audits: Sequence[Audit],
) -> tuple[Coming, ...]:
    """The packages of a change, beside what is layered now by `previous`."""
    known = {package.checksum for package in previous.packages}
    found = []
    for package, header, placement, audit in zip(
        packages, headers, placements, audits, strict=True
    ):
        imported = find_package(store, package.checksum)
        root = imported.root if imported else None
        found.append(Coming(header, placement, audit, package.checksum not in known, root))
    return tuple(found)


def effects_of(
    store: ObjectStore,
    base: Commit,
    before: Commit | None,
    packages: Sequence[Coming],
    previous_ids: Mapping[str, int],
    triggers: Collection[str],
) -> Effects:
    """What the packages that are new do over a base, where `before` is what boots now.

    `triggers` are the names of those that will fire. What it takes on disk is left open.
    """
    new = [package for package in packages if package.is_new]
    accounts, unread = _accounts(store, base, before or base, packages, previous_ids)
    return Effects(
        privileged=tuple(sorted(file for package in new for file in _privileged(package))),
        accounts=accounts,
        unread=unread,
        units=tuple(sorted(_units(store, before or base, base, packages, triggers))),
        etc=_placed(new, "usr/etc/"),
        opt=_placed(new, "usr/lib/opt/"),
        var=tuple(sorted({path for package in new for path in _in_var(package)})),
    )


def privileged_of(header: PackageHeader, audit: Audit) -> tuple[Privileged, ...]:
    """A package's files with setuid or setgid bits or capabilities, by header or by scriptlet."""
    modes = {mode.path: mode for mode in audit.rewrites.modes}
    capabilities = dict(audit.rewrites.capabilities)
    found = []
    for file in header.files:
        if not stat.S_ISREG(file.mode) or file.is_ghost:
            continue
        made = modes.get(file.path, Mode(file.path))
        bits = file.mode if made.mode is None else made.mode
        one = Privileged(
            path=file.path,
            package=header.nevra.name,
            setuid=(made.user or file.user) if bits & stat.S_ISUID else "",
            setgid=(made.group or file.group) if bits & stat.S_ISGID else "",
            capabilities=_as_printed(capabilities.get(file.path, file.capabilities)),
        )
        if one.setuid or one.setgid or one.capabilities:
            found.append(one)
    return tuple(found)


def _as_printed(capabilities: str) -> str:
    """As getcap prints them; scriptlets and headers may write them in other ways."""
    try:
        return format_capabilities(parse_capabilities(capabilities)) if capabilities else ""
    except InvalidInput:
        return capabilities  # the import refuses the package, and names it


def _privileged(package: Coming) -> Iterator[Privileged]:
    placed = {file.source.path for file in package.placement.files}
    return (one for one in privileged_of(package.header, package.audit) if one.path in placed)


def _placed(packages: Iterable[Coming], folder: str) -> tuple[PlacedPath, ...]:
    """The files and links below a folder of the tree."""
    return tuple(
        sorted(
            PlacedPath(user_path(file.path), package.name)
            for package in packages
            for file in package.placement.files
            if file.path.startswith(folder) and not stat.S_ISDIR(file.source.mode)
        )
    )


def _in_var(package: Coming) -> Iterator[PlacedPath]:
    """What the boot makes in /var: copies of files, and what lines of tmpfiles.d declare."""
    for line in tmpfiles.parse_lines(package.placement.tmpfiles):
        if line.path.startswith("/var/") and line.makes:
            yield PlacedPath(f"{line.path}{'/' if line.kind in 'dDvqQ' else ''}", package.name)
    factory = f"{FACTORY}/var/"
    for file in package.placement.files:
        if file.path.startswith(factory) and not stat.S_ISDIR(file.source.mode):
            yield PlacedPath(user_path(file.path), package.name)
    for text in package.audit.rewrites.tmpfiles:
        for line in tmpfiles.parse_lines(text):
            if line.path.startswith("/var/") and line.makes:
                yield PlacedPath(f"{line.path}{'/' if line.kind in 'dDvqQ' else ''}", package.name)


# --- accounts ---


def _accounts(
    store: ObjectStore,
    base: Commit,
    before: Commit,
    packages: Sequence[Coming],
    previous: Mapping[str, int],
) -> tuple[tuple[NewAccount, ...], tuple[str, ...]]:
    """Accounts that are not there yet, and the packages whose own lines cannot be read yet."""
    there, present = read_accounts(store, base.root), read_accounts(store, before.root)
    lines, unread = [], []
    for package in sorted(packages, key=lambda one: one.header.nevra):
        lines += _declared(store, package)
        if package.root is None and any(
            file.path.rpartition("/")[0] == ids.SYSUSERS for file in package.placement.files
        ):
            unread.append(package.name)
    numbered, _ = ids.assign(lines, there, read_id_map(store, base.root), previous)
    found: dict[tuple[str, str], int | None] = {}
    for line in numbered:
        uid, _, gid = line.number.partition(":")
        is_user = line.kind == "u"
        group = gid or (uid if ("group", line.name) not in found else "")
        if is_user:
            found["user", line.name] = _number(uid)
        if not is_user or (is_number(group) and not gid):
            found.setdefault(("group", line.name), _number(uid))
    for kind, name in _owners(packages) if unread else ():
        found.setdefault((kind, name), None)
    known = {("user", name) for name in {*there.users, *present.users}}
    known |= {("group", name) for name in {*there.groups, *present.groups}}
    fresh = {key: number for key, number in found.items() if key not in known}
    accounts = (NewAccount(kind, name, number) for (kind, name), number in fresh.items())
    new = {package.name for package in packages if package.is_new}
    return tuple(sorted(accounts, key=lambda a: (a.kind, a.name))), tuple(
        sorted(new.intersection(unread))
    )


def _number(text: str) -> int | None:
    return int(text) if is_number(text) else None


def _declared(store: ObjectStore, package: Coming) -> list[ids.UserLine]:
    """The lines of sysusers.d that are known of a package: its own where it was imported."""
    found: list[ids.UserLine] = []
    source = str(package.header.nevra)
    folder = lookup(store, package.root, ids.SYSUSERS) if package.root else None
    if package.root and isinstance(folder, Tree):
        for name, _ in files_of(store, folder):
            text = read_text(store, package.root, f"{ids.SYSUSERS}/{name}")
            found += ids.parse_sysusers(text, source)
    elif not any(file.path.startswith(f"{ids.SYSUSERS}/") for file in package.placement.files):
        text = ids.provided_sysusers(package.header.provides, source)
        found += ids.parse_sysusers(text, source)
    for line in package.audit.rewrites.sysusers:
        found += ids.parse_sysusers(line, source)
    return found


def _owners(packages: Iterable[Coming]) -> Iterator[tuple[str, str]]:
    """Whom files of packages belong to."""
    for package in packages:
        for owner in package.placement.owners:
            if not is_root(owner.user):
                yield "user", owner.user
            if not is_root(owner.group):
                yield "group", owner.group


# --- units ---


def _units(
    store: ObjectStore,
    before: Commit,
    base: Commit,
    packages: Sequence[Coming],
    triggers: Collection[str],
) -> Iterator[NewUnit]:
    for scope in _SCOPES:
        folder = f"usr/lib/systemd/{scope}/"
        lines = _preset_lines(store, base, packages, scope)
        for package in packages:
            for file in package.placement.files if package.is_new else ():
                name = file.path.removeprefix(folder)
                is_unit = file.path.startswith(folder) and name.endswith(SUFFIXES)
                if not is_unit or "/" in name or not stat.S_ISREG(file.source.mode):
                    continue
                if lookup(store, before.root, file.path) is not None:
                    continue
                is_applied = _PRESET_TRIGGERS[scope] in triggers
                preset = None if lines is None else decide(name, lines)
                yield NewUnit(name, scope, package.name, preset if is_applied else "")


def _preset_lines(
    store: ObjectStore, base: Commit, packages: Sequence[Coming], scope: str
) -> tuple[PresetLine, ...] | None:
    """The preset lines of base and packages in their order; None where some cannot be read yet."""
    texts: dict[str, str] = {}
    for pattern in _PRESET_FOLDERS:  # of two files of one name /etc's counts
        folder = pattern.format(scope)
        for root in (base.root, *(p.root for p in packages if p.root is not None)):
            there = lookup(store, root, folder)
            if isinstance(there, Tree):
                for name, _ in files_of(store, there):
                    texts[name] = read_text(store, root, f"{folder}/{name}")
        if any(
            file.path.startswith(f"{folder}/") and p.root is None
            for p in packages
            for file in p.placement.files
        ):
            return None
    for package in packages:
        disabled = [unit for where, unit in package.audit.rewrites.disabled if where == scope]
        if disabled:
            name = f"89-layer-scriptlets-{package.name}.preset"
            texts[name] = "".join(f"disable {unit}\n" for unit in disabled)
    return parse_presets(texts)
