"""The nouns: frozen, without behaviour beyond reading and writing their own text form."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from layer.frozen import dataclass
from layer.nevra import Nevra as Nevra
from layer.repository import Preference as Preference
from layer.repository import Repository as Repository
from layer.repository import RepositoryMetadata as RepositoryMetadata
from layer.repository import SigningKey as SigningKey


class RequestKind(enum.Enum):
    """What a request names; the values stand in the origin file."""

    PACKAGE = "package"
    PROVIDE = "provide"
    PATH = "path"
    GROUP = "group"
    FILE = "file"
    REPLACEMENT = "replacement"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that the user asked for, as they wrote it: a group with its `@`.

    A package that came as a file is `SHA-256:NEVRA`, and what takes the place of a package of
    the base that, too, or `repo=ID,NAME`. `members` are the names of the packages that a group
    came to when it was read last, sorted; they are no part of what was asked for. `word` is what
    the user said for it just now, where that is something else.
    """

    kind: RequestKind
    text: str
    members: tuple[str, ...] = field(default=(), compare=False)
    word: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """What a person calls it: of a file the NEVRA alone, of a repository's package its name."""
        if self.kind is RequestKind.FILE:
            return self.text.partition(":")[2]
        if self.kind is RequestKind.REPLACEMENT:
            return re.sub(r"^([0-9a-f]{64}:|repo=[^,]*,)", "", self.text)
        return self.text


@dataclass(frozen=True, slots=True)
class BaseState:
    """What the solver needs of a base: the directory of its rpm database, None where there is none.

    In place of the directory stands what fetches it, where that takes long. `arch` is None
    where the base's own packages say it; without a database it must be named. `checksum` is
    that of the base's commit, "" where there is none.
    """

    database: Path | Callable[[], Path | None] | None = None
    arch: str | None = None
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that a repository offers.

    `checksum` is the SHA-256 of the whole file in hex, `size` its bytes,
    `installed_size` the bytes of its files. `header_range` is the half-open
    byte range of lead, signature and RPM header at the file's beginning.
    `repository` is the id of the repository, "" for one that is only known from
    the lock; `location` is relative to the repository, or a whole URL where its
    metadata say so by `xml:base`.
    """

    nevra: Nevra
    checksum: str
    size: int
    installed_size: int
    repository: str
    location: str
    header_range: tuple[int, int] = (0, 0)
    summary: str = ""


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file as an RPM header lists it.

    `path` is absolute, bytes outside UTF-8 as surrogate escapes; `mode` holds
    the file type; `digest` is hex or "" ; `link_to` is a symlink's target;
    `link_group` is equal for the hardlinks of one file and 0 where there is
    one name only; `capabilities` is text as getcap prints it.
    """

    path: str
    mode: int
    user: str
    group: str
    size: int
    mtime: int
    digest: str
    link_to: str = ""
    link_group: int = 0
    color: int = 0
    capabilities: str = ""
    is_config: bool = False
    is_ghost: bool = False
    is_doc: bool = False


@dataclass(frozen=True, slots=True)
class Scriptlet:
    """A scriptlet that is read and never run; `slot` is rpm's name of it, such as `post`.

    `about` are the packages, or the beginnings of paths, that a trigger waits for.
    """

    slot: str
    interpreter: str
    body: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageHeader:
    """What an RPM says of itself before its payload.

    `blob` is the file's beginning, byte for byte: lead, signature header with
    padding, and header; rpm reads it as a package without payload.
    `digest_algorithm` is a hashlib name. `payload_digests` are such names and digests of
    the compressed payload (empty where the package has none): one of each name is right.
    """

    nevra: Nevra
    files: tuple[PackageFile, ...]
    scriptlets: tuple[Scriptlet, ...]
    provides: tuple[str, ...]
    digest_algorithm: str
    payload_codec: str
    payload_digests: tuple[tuple[str, str], ...]
    installed_size: int
    build_time: int
    blob: bytes = field(repr=False)


# --- what a store holds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory in a store: the checksums of its contents and of its own attributes."""

    contents: str
    attributes: str


@dataclass(frozen=True, slots=True)
class Directory:
    """The contents of one directory: names to file checksums, names to subtrees."""

    files: Mapping[str, str]
    directories: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class DirectoryAttributes:
    """Owner, mode (with the type bits of a directory) and extended attributes, sorted by name."""

    uid: int = 0
    gid: int = 0
    mode: int = 0o040755
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class FileAttributes:
    """Owner, mode (with type bits), symlink target and extended attributes, sorted by name."""

    uid: int = 0
    gid: int = 0
    mode: int = 0o100644
    target: str = ""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: a root tree, its parent, a time in seconds, and metadata of plain values."""

    checksum: str
    parent: str | None
    timestamp: int
    root: Tree
    metadata: Mapping[str, str | bool]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class TreeDiff:
    """Paths of files and symlinks (no leading slash) that differ between two trees, each sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """A path of a package tree (no leading slash) whose owner or group is not root."""

    path: str
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class PackageTree:
    """An imported package: all files owned by root, and beside it who should own them.

    `checksum` is that of the RPM file, `commit` that of its commit in the store.
    """

    nevra: Nevra
    checksum: str
    commit: str
    root: Tree
    owners: tuple[Owner, ...] = ()


# --- what is decided ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class LockedPackage:
    """A package by its name and by the checksum of its file."""

    nevra: Nevra
    checksum: str


@dataclass(frozen=True, slots=True)
class Selection:
    """A package that is to be added, and why: `requests` asked for it, `needed_by` names others."""

    package: Package
    requests: tuple[Request, ...] = ()
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """The packages to add over the base, sorted by NEVRA; requests that the base fulfils.

    `removed` are packages of the base that overrides take away, `replaced` such with what takes
    their place, `downgraded` the new ones of these that are older; `inactive_overrides` says of
    the other overrides, in words, why they do nothing.
    """

    selections: tuple[Selection, ...] = ()
    requests: tuple[Request, ...] = ()
    inactive: tuple[Request, ...] = ()
    removed: tuple[Nevra, ...] = ()
    replaced: tuple[tuple[Nevra, Nevra], ...] = ()
    downgraded: tuple[Nevra, ...] = ()
    inactive_overrides: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[Package, ...]:
        """The packages to add over the base."""
        return tuple(s.package for s in self.selections)

    @property
    def gone(self) -> tuple[Nevra, ...]:
        """The packages of the base that are not in the tree."""
        return tuple(sorted({*self.removed, *(old for old, _ in self.replaced)}))


@dataclass(frozen=True, slots=True)
class TriggerRun:
    """A trigger that fired: `key` says by content what went in; `status` is `done`, `deferred`
    (to boot) or `no tool`. `values` are the captured words it ran for."""

    name: str
    key: str
    status: str
    values: tuple[str, ...] = ()
    was_cached: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class LeftToBoot:
    """What a trigger is to do on the machine that boots the tree, once for each `key`.

    `timeout` is for each command, in seconds.
    """

    trigger: str
    key: str
    commands: tuple[tuple[str, ...], ...]
    timeout: int
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class NearTree:
    """A clean checkout on disk that resembles the tree in work: its path and what it contains.

    `path` has `usr` below it. Without any (compose), `path` is None and `root` an empty tree.
    """

    path: Path | None
    root: Tree


# --- what boots ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deployment:
    """A bootable checkout of a commit in a sysroot.

    `origin` is the text of its origin file, `path` its directory on disk,
    `kernel_arguments` those of its boot entry. `unlocked` is libostree's word for
    whether /usr is writable: `none`, `development`, `hotfix` or `transient`. `boot_checksum` is
    over its kernel, initramfs and device trees: it names their directory in /boot. `overlays`
    are the checksums of initrds that are appended to the initramfs.
    """

    index: int
    stateroot: str
    checksum: str
    serial: int
    origin: str
    path: Path
    kernel_arguments: tuple[str, ...] = ()
    is_booted: bool = False
    is_staged: bool = False
    is_pinned: bool = False
    unlocked: str = "none"
    boot_checksum: str = ""
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """A deployment that is to be made of a commit; /etc is merged from deployment `merge`.

    `overlay` is an initrd to be appended to the tree's initramfs, b"" for none.
    """

    stateroot: str
    checksum: str
    origin: str
    merge: Deployment | None
    kernel_arguments: tuple[str, ...]
    overlay: bytes = field(default=b"", repr=False)


class Recycling(enum.StrEnum):
    """Whether a new deployment's tree is made of one that nothing boots.

    That is held against its commit in a sample first, or as a whole.
    """

    SAMPLED = "sampled"
    VERIFIED = "verified"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class BootPlan:
    """The deployments in the order in which the boot loader shows them; the first is default.

    `dropped` is what was staged and is not among them.
    """

    deployments: tuple[Deployment | NewDeployment, ...]
    dropped: Deployment | None = None
