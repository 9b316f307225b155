"""The nouns an RPM is written from."""

from __future__ import annotations

import stat
from dataclasses import dataclass

# 2023-11-14T22:13:20Z: every time that a package carries unless it is told otherwise.
BUILD_TIME = 1_700_000_000

# One dependency, written as in a spec file: "libc6 >= 2.36", "/bin/sh", "(a or b)".
Relation = str


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One path of a package; a regular file unless made by one of the class methods.

    Nothing is validated: tests write packages that must be refused.
    """

    path: str
    content: bytes = b""
    mode: int = 0o644
    user: str = "root"
    group: str = "root"
    config: bool = False  # %config(noreplace)
    doc: bool = False
    ghost: bool = False  # in the header, not in the payload
    capabilities: str = ""  # as text, "cap_net_raw=ep"
    mtime: int = BUILD_TIME
    kind: int = stat.S_IFREG  # a file type of stat(2)
    target: str = ""  # of a symlink, as written
    hardlink_to: str = ""  # another path of the package
    digest: str | None = None  # SHA-256 to claim instead of the content's own
    in_header: bool = True
    in_payload: bool = True

    @classmethod
    def directory(
        cls, path: str, mode: int = 0o755, user: str = "root", group: str = "root"
    ) -> FileSpec:
        """A directory that the package owns."""
        return cls(path, mode=mode, user=user, group=group, kind=stat.S_IFDIR)

    @classmethod
    def symlink(cls, path: str, target: str) -> FileSpec:
        """A symbolic link at `path` that says `target`."""
        return cls(path, mode=0o777, kind=stat.S_IFLNK, target=target)

    @classmethod
    def hardlink(cls, path: str, hardlink_to: str) -> FileSpec:
        """A further name of the package's regular file `hardlink_to`, attributes included."""
        return cls(path, hardlink_to=hardlink_to)

    @property
    def is_regular(self) -> bool:
        """Whether this is a regular file or a further name of one."""
        return self.kind == stat.S_IFREG

    @property
    def is_elf(self) -> bool:
        """Whether the content is an ELF program or shared object."""
        return (
            self.is_regular
            and self.content[:4] == b"\x7fELF"
            and len(self.content) > 16
            and self.content[16] in (2, 3)  # ET_EXEC, ET_DYN
        )


@dataclass(frozen=True, slots=True)
class Scriptlet:
    """What rpm would run at `slot`: pre, post, preun, postun, pretrans, posttrans, verify."""

    slot: str
    body: str
    interpreter: str = "/bin/sh"  # with its arguments, "/bin/sh -e"; "<lua>" is rpm's own


@dataclass(frozen=True, slots=True)
class FileTrigger:
    """A %transfiletriggerin: what rpm would run after files below `prefixes` arrive."""

    prefixes: tuple[str, ...]
    body: str
    interpreter: str = "/bin/sh"


@dataclass(frozen=True, slots=True)
class RpmSpec:
    """All that a binary package says."""

    name: str
    version: str = "1"
    release: str = "1"
    epoch: int | None = None
    arch: str = "x86_64"  # or "noarch"
    summary: str = ""
    description: str = ""
    license: str = "MIT"
    section: str = "misc"
    url: str = ""
    source: str = ""  # name of the source package; the package's own if empty
    requires: tuple[Relation, ...] = ()
    pre_requires: tuple[Relation, ...] = ()
    provides: tuple[Relation, ...] = ()
    conflicts: tuple[Relation, ...] = ()
    obsoletes: tuple[Relation, ...] = ()
    recommends: tuple[Relation, ...] = ()
    suggests: tuple[Relation, ...] = ()
    supplements: tuple[Relation, ...] = ()
    enhances: tuple[Relation, ...] = ()
    files: tuple[FileSpec, ...] = ()
    scriptlets: tuple[Scriptlet, ...] = ()
    file_triggers: tuple[FileTrigger, ...] = ()
    build_time: int = BUILD_TIME

    @property
    def evr(self) -> str:
        """[EPOCH:]VERSION-RELEASE, as a dependency names it."""
        epoch = "" if self.epoch is None else f"{self.epoch}:"
        return f"{epoch}{self.version}-{self.release}"

    @property
    def filename(self) -> str:
        """NAME-VERSION-RELEASE.ARCH.rpm; like rpm, without the epoch."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"
