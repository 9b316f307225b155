"""What is deployed, as people and programs ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from layer.frozen import dataclass
from layer.grouped import groups_among, without_groups
from layer.lock import Lock
from layer.model import (
    Commit,
    Deployment,
    LockedPackage,
    Nevra,
    PackageHeader,
    Request,
    RequestKind,
)
from layer.nevra import successors
from layer.origin import Origin

if TYPE_CHECKING:
    from layer.live.plan import Process


@dataclass(frozen=True, slots=True)
class Signature:
    """A GPG signature of a commit, with libostree's fields in their order; times in seconds."""

    is_valid: bool
    is_expired: bool
    is_key_expired: bool
    is_key_revoked: bool
    is_key_missing: bool
    fingerprint: str
    timestamp: int
    expiry: int
    key_algorithm: str
    hash_algorithm: str
    user: str
    email: str
    primary_fingerprint: str
    key_expiry: int
    primary_key_expiry: int


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment with what was asked for in it and what came of that.

    `signatures` are those of the base, None where its remote is not verified.
    `reasons` say why an inactive request is.
    `lines_not_run` counts lines of scriptlets that nothing stands in for.
    `pending_base` is what the repository has under the base's ref, where that is another one.
    `problem` says why `origin` is None, if it is: another program or a newer
    version wrote what cannot be read here.
    """

    deployment: Deployment
    origin: Origin | None
    commit: Commit
    base: Commit
    lock: Lock
    active: tuple[Request, ...]
    inactive: tuple[Request, ...]
    problem: str = ""
    signatures: tuple[Signature, ...] | None = None
    lines_not_run: int = 0
    reasons: tuple[tuple[Request, str], ...] = ()
    pending_base: Commit | None = None

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Requests that did not fit the base when it came, each with the reason."""
        return self.origin.left_out if self.origin else ()

    @property
    def version(self) -> str:
        """The base's version, "" where it says none."""
        return str(self.base.metadata.get("version", ""))

    @property
    def is_layered(self) -> bool:
        """Whether the commit is a derived one."""
        return self.commit != self.base


@dataclass(frozen=True, slots=True)
class LiveNow:
    """What is seen in /usr in place of what was booted.

    `commit` is "" where that is the booted one, and `target` what a change is leading to that
    was begun and is not finished, "" where none is. `old` are processes that still run files
    which are others now, with these.
    """

    commit: str
    target: str = ""
    old: tuple[tuple[Process, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class MachineState:
    """All deployments in the order of the boot menu, and what needs attention.

    `lost` was staged and did not come to be. `is_locked`: what is staged is not finalized at
    shutdown. `is_once`: it is tried for one boot. `live` is None where nothing was live.
    """

    deployments: tuple[DeploymentState, ...]
    lost: Lost | None = None
    is_locked: bool = False
    is_once: bool = False
    live: LiveNow | None = None

    @property
    def has_pending(self) -> bool:
        """Whether something else than what runs boots next."""
        return not self.deployments or not self.deployments[0].deployment.is_booted


@dataclass(frozen=True, slots=True)
class Lost:
    """A deployment that was staged and did not come to be.

    `checksum` is "" for one that another program staged, `reason` where libostree gave none.
    """

    checksum: str
    reason: str


def fulfils(header: PackageHeader, request: Request) -> bool:
    """Whether a layered package is what a request asked for, or of a group that it names."""
    if request.kind is RequestKind.GROUP:
        return header.nevra.name in request.members
    if request.kind is RequestKind.PATH:
        names = {file.path for file in header.files} | set(header.provides)
        return request.text in names
    if request.kind is RequestKind.PROVIDE:
        return any(provide.split()[0] == request.text.split()[0] for provide in header.provides)
    return is_named(header.nevra, request.text)


def is_asked(nevra: Nevra, request: Request) -> bool:
    """Whether a request names a package, or a group that it is of."""
    return nevra.name in request.members or is_named(nevra, request.label)


def is_named(nevra: Nevra, word: str) -> bool:
    """Whether a word is one of the forms in which a package is named, or its file's name."""
    forms = {
        f"{nevra.name}-{nevra.version}-{nevra.release}.{nevra.arch}.rpm",
        nevra.name,
        str(nevra),
        f"{nevra.name}.{nevra.arch}",
        f"{nevra.name}-{nevra.version}",
        f"{nevra.name}-{nevra.evr}",
        f"{nevra.name}-{nevra.version}-{nevra.release}",
        f"{nevra.name}-{nevra.version}-{nevra.release}.{nevra.arch}",
        f"{nevra.name}-{nevra.epoch}:{nevra.version}-{nevra.release}",
        f"{nevra.name}-{nevra.epoch}:{nevra.version}-{nevra.release}.{nevra.arch}",
    }
    return word.rpartition("/")[2] in forms if word.endswith(".rpm") else word in forms


def removals(state: DeploymentState) -> tuple[Nevra, ...]:
    """The packages of the base that are taken away and not replaced."""
    taken = set(state.origin.overrides.removed if state.origin else ())
    return tuple(nevra for nevra in state.lock.gone if nevra.name in taken)


def replacements(state: DeploymentState) -> tuple[tuple[Nevra, Nevra], ...]:
    """The packages in others' places, each with the base's: the new one first."""
    gone = set(state.lock.gone) - set(removals(state))
    found = successors(gone, [package.nevra for package in state.lock.packages])
    return tuple(sorted((new, old) for old, new in found.items()))


def as_json(machine: MachineState, update: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object that `rpm-ostree status --json` prints, with the same keys and types.

    `update` is the value of `cached-update`. docs/status.schema.json describes all of it;
    `requested-groups`, `finalization-failed`, `finalization-locked` and
    `processes-with-old-files` are ours.
    """
    lost = machine.lost
    return {
        "deployments": [
            {**_entry(state), **(_live(machine.live) if state.deployment.is_booted else {})}
            for state in machine.deployments
        ],
        "transaction": None,
        "cached-update": update,
        "finalization-failed": lost and {"checksum": lost.checksum, "reason": lost.reason},
        "finalization-locked": machine.is_locked,
        "processes-with-old-files": [
            {"pid": one.pid, "name": one.name, "unit": one.unit, "files": list(paths)}
            for one, paths in (machine.live.old if machine.live else ())
        ],
    }


def _live(live: LiveNow | None) -> dict[str, str]:
    """rpm-ostree's keys on what is seen in place of the booted deployment, where it applies."""
    if live is None:
        return {}
    found = {"live-replaced": live.commit} if live.commit else {}
    return {**found, "live-inprogress": live.target} if live.target else found


def _entry(state: DeploymentState) -> dict[str, Any]:
    deployment, requests = state.deployment, state.origin.requests if state.origin else ()
    entry: dict[str, Any] = {
        "id": f"{deployment.stateroot}-{deployment.checksum}.{deployment.serial}",
        "osname": deployment.stateroot,
        "checksum": deployment.checksum,
        "serial": deployment.serial,
        "booted": deployment.is_booted,
        "staged": deployment.is_staged,
        "pinned": deployment.is_pinned,
        "unlocked": deployment.unlocked,
        "timestamp": state.commit.timestamp,
        "requested-packages": [request.text for request in without_groups(requests)],
        "requested-groups": [
            {"request": request.text, "packages": list(request.members)}
            for request in groups_among(requests)
        ],
        "packages": [request.text for request in without_groups(state.active)],
        "base-commit-meta": dict(state.base.metadata),
        "regenerate-initramfs": bool(state.origin and state.origin.options.regenerate_initramfs),
        "scriptlet-lines-not-run": state.lines_not_run,
        "inactive-requests": [
            {"request": request.text, "reason": reason} for request, reason in state.reasons
        ],
        "left-out-requests": [
            {"request": text, "reason": reason} for text, reason in state.left_out
        ],
        **_overrides(state),
    }
    if state.origin:
        entry["origin"] = str(state.origin.base)
        if state.origin.initramfs_etc:
            entry["initramfs-etc"] = list(state.origin.initramfs_etc)
        if state.origin.options.regenerate_initramfs:
            entry["initramfs-args"] = list(state.origin.options.initramfs_arguments)
        entry["gpg-enabled"] = state.signatures is not None
    if state.signatures is not None:
        entry["signatures"] = [list(astuple(signature)) for signature in state.signatures]
    if state.version:
        entry["version"] = state.version
    if state.pending_base:
        entry["pending-base-checksum"] = state.pending_base.checksum
        entry["pending-base-version"] = str(state.pending_base.metadata.get("version", ""))
        entry["pending-base-timestamp"] = state.pending_base.timestamp
    if state.is_layered:
        entry["base-checksum"] = state.base.checksum
        entry["base-version"] = state.version
        entry["base-timestamp"] = state.base.timestamp
        entry["layered-commit-meta"] = dict(state.commit.metadata)
    return entry


def _overrides(state: DeploymentState) -> dict[str, Any]:
    """The keys of `status --json` on overrides and files; a package is rpm-ostree's six fields."""
    origin = state.origin
    overrides = origin.overrides if origin else None
    from_repositories: dict[str, list[str]] = {}
    for item in overrides.offered if overrides else ():
        from_repositories.setdefault(f"repo={item.repository}", []).append(item.name)
    return {
        "requested-local-packages": _names(origin.local if origin else ()),
        "requested-base-removals": list(overrides.removed) if overrides else [],
        "requested-base-local-replacements": _names(overrides.files if overrides else ()),
        "requested-base-remote-replacements": from_repositories,
        "base-removals": [_fields(nevra) for nevra in removals(state)],
        "base-local-replacements": [
            [_fields(new), _fields(old)]
            for new, old in replacements(state)
            if any(p.nevra == new for p in (overrides.files if overrides else ()))
        ],
        "base-remote-replacements": {
            source: [
                [_fields(new), _fields(old)]
                for new, old in replacements(state)
                if new.name in names
            ]
            for source, names in from_repositories.items()
        },
    }


def _names(packages: Sequence[LockedPackage]) -> list[str]:
    return sorted(str(package.nevra) for package in packages)


def _fields(nevra: Nevra) -> list[int | str]:
    return [str(nevra), nevra.name, nevra.epoch, nevra.version, nevra.release, nevra.arch]
