"""Reading what an RPM says of itself. No object of `rpm` leaves this room."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rpm

from layer.errors import InvalidInput, NotFound, PackageRefused
from layer.model import Nevra, PackageFile, PackageHeader, Scriptlet
from layer.rpmfile.digests import algorithm_of, check_format, payload_digests
from layer.rpmfile.index import LARGEST, check_index, claimed_size
from layer.solver.conditions import check_condition
from layer.words import shown

# rpm prints what it finds wrong to stderr by itself; our exceptions say it.
rpm.setVerbosity(rpm.RPMLOG_EMERG)

_LEAD = b"\xed\xab\xee\xdb"

_LONGEST_NEVRA = 220  # bytes; files are named after it

_LONGEST_PATHS = 32 << 20  # characters of all files' paths together: a directory is written once

# slot -> rpm's tags of its body and its interpreter. The last two are rpm 4.19's:
# 4.18 knows their numbers only.
_SCRIPTLETS: tuple[tuple[str, str | int, str | int], ...] = (
    ("pretrans", "pretrans", "pretransprog"),
    ("pre", "prein", "preinprog"),
    ("post", "postin", "postinprog"),
    ("preun", "preun", "preunprog"),
    ("postun", "postun", "postunprog"),
    ("posttrans", "posttrans", "posttransprog"),
    ("preuntrans", 5104, 5106),
    ("postuntrans", 5105, 5107),
    ("verify", "verifyscript", "verifyscriptprog"),
)
_TRIGGERS = ("trigger", "filetrigger", "transfiletrigger")
# RPMSENSE_TRIGGERIN and its like. rpm's own words for them (`triggertype`), like all tags that it
# computes instead of reading them, end the process on a header made to do so.
_TRIGGER_KINDS = ((1 << 16, "in"), (1 << 17, "un"), (1 << 18, "postun"), (1 << 25, "prein"))
_RELATIONS = (
    "provide",
    "require",
    "conflict",
    "obsolete",
    "recommend",
    "suggest",
    "supplement",
    "enhance",
    "order",
)
_SENSES = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))


def read_header(path: Path) -> PackageHeader:
    """The header of an RPM file, or of a file that ends with the header.

    Its digests of itself are checked; PackageRefused where it is no RPM, cut short or damaged.
    """
    try:
        # Non-blocking for the sake of FIFOs, which are refused; files do not care.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    try:
        return _read(descriptor, str(path))
    finally:
        os.close(descriptor)


def parse_header(blob: bytes, name: str) -> PackageHeader:
    """The same from memory; `name` stands for the file in errors."""
    descriptor = os.memfd_create("header", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(blob)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return _read(descriptor, name)
    finally:
        os.close(descriptor)


def load(descriptor: int, name: str) -> Any:
    """rpm's own header object, for this room alone; the descriptor is left behind the header."""
    _check_size(descriptor, name)
    # Signatures are checked by whoever has the keys; digests are checked here.
    transaction = rpm.TransactionSet("/")
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm.RPMVSF_MASK_NOPAYLOAD)
    try:
        header = transaction.hdrFromFdno(descriptor)
    except (rpm.error, OSError) as error:
        raise PackageRefused(_why_unreadable(descriptor, name)) from error
    if header.isSource():
        raise PackageRefused(f"{name} is a source package")
    return header


def _read(descriptor: int, name: str) -> PackageHeader:
    header = load(descriptor, name)
    blob = os.pread(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR), 0)
    with _translated(name):
        check_index(blob)
        check_format(header, blob)
        for family in _RELATIONS:
            for name in header[f"{family}name"]:
                check_condition(name)
        nevra = read_nevra(header)
        return PackageHeader(
            nevra=nevra,
            files=_files(header),
            scriptlets=tuple(read_scriptlets(header)),
            provides=tuple(_provides(header)),
            digest_algorithm=algorithm_of(header["filedigestalgo"] or 1),
            payload_codec=_payload_codec(header),
            payload_digests=payload_digests(header),
            installed_size=int(header["size"] or header["longsize"] or 0),
            build_time=int(header["buildtime"] or 0),
            blob=blob,
        )


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """What a header may hold and rpm hands over as it is: other types, counts and numbers."""
    try:
        yield
    except (ValueError, TypeError, LookupError, rpm.error, InvalidInput) as error:
        raise PackageRefused(f"{name}: its header makes no sense: {shown(str(error))}") from error


def _check_size(descriptor: int, name: str) -> None:
    """Before rpm, which takes 256 MB, has it all in memory."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    if claimed_size(lambda position, size: os.pread(descriptor, size, position)) > LARGEST:
        if os.pread(descriptor, len(_LEAD), 0) != _LEAD:
            raise PackageRefused(f"{name} is not an RPM package")
        raise PackageRefused(f"{name}: its header is larger than {LARGEST >> 20} MB, or damaged")


def _why_unreadable(descriptor: int, name: str) -> str:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return f"{name} is not a file"
    if os.pread(descriptor, len(_LEAD), 0) != _LEAD:
        return f"{name} is not an RPM package"
    return f"{name} is damaged or cut short: its header does not pass rpm's checks"


def read_nevra(header: Any) -> Nevra:
    """The NEVRA of one of rpm's header objects; InvalidInput where it is none."""
    name, version, release, arch = (header[t] for t in ("name", "version", "release", "arch"))
    if not all(isinstance(text, str) for text in (name, version, release, arch)):
        raise InvalidInput("a part of the package's name is missing")
    nevra = Nevra(name, int(header["epoch"] or 0), version, release, arch)
    if len(str(nevra).encode("utf-8", "surrogateescape")) > _LONGEST_NEVRA:
        raise InvalidInput(f"its name and version have more than {_LONGEST_NEVRA} bytes")
    if Nevra.parse(str(nevra)) != nevra or not str(nevra).isprintable():
        raise InvalidInput(f"not a package's NEVRA: {str(nevra)!r}")
    return nevra


def _files(header: Any) -> tuple[PackageFile, ...]:
    paths = _paths(header)
    count = len(paths)
    modes = [mode & 0xFFFF for mode in header["filemodes"]]
    flags = header["fileflags"]
    inodes = list(zip(_listed(header, "filedevices", count, 0), header["fileinodes"], strict=True))
    links = Counter(
        inode
        for inode, mode, flag in zip(inodes, modes, flags, strict=True)
        if _can_be_linked(mode, flag)
    )
    groups = {inode: n for n, inode in enumerate((i for i in links if links[i] > 1), start=1)}
    columns = zip(
        paths,
        modes,
        flags,
        inodes,
        header["fileusername"],
        header["filegroupname"],
        header["filesizes"] or header["longfilesizes"],
        header["filemtimes"],
        header["filedigests"],
        header["filelinktos"],
        _listed(header, "filecolors", count, 0),
        _listed(header, "filecaps", count, ""),
        strict=True,
    )
    return tuple(
        PackageFile(
            path=path,
            mode=mode,
            user=user,
            group=group,
            size=size,
            mtime=mtime,
            digest=digest,
            link_to=link if stat.S_ISLNK(mode) else "",
            link_group=groups.get(inode, 0) if _can_be_linked(mode, flag) else 0,
            color=color,
            capabilities=caps,
            is_config=bool(flag & rpm.RPMFILE_CONFIG),
            is_ghost=bool(flag & rpm.RPMFILE_GHOST),
            is_doc=bool(flag & rpm.RPMFILE_DOC),
        )
        for path, mode, flag, inode, user, group, size, mtime, digest, link, color, caps in columns
    )


def _paths(header: Any) -> list[str]:
    names = header["basenames"]
    directories = header["dirnames"]
    for directory in directories:
        if not directory.endswith("/"):
            raise ValueError(f"directory name {directory!r} does not end with a slash")
    paths = []
    length = 0
    for name, index in zip(names, header["dirindexes"], strict=True):
        if not 0 <= index < len(directories) or "/" in name:
            raise ValueError(f"file {name!r} has no directory")
        length += len(directories[index]) + len(name)
        if length > _LONGEST_PATHS:
            raise ValueError("its paths are too many or too long")
        paths.append(directories[index] + name)
    return paths


def _can_be_linked(mode: int, flags: int) -> bool:
    """Names of one inode; where several ghosts share one, nothing in the payload is shared."""
    return stat.S_ISREG(mode) and not flags & rpm.RPMFILE_GHOST


def _listed(header: Any, tag: str, count: int, default: int | str) -> list[Any]:
    return header[tag] or [default] * count


def read_scriptlets(header: Any) -> Iterator[Scriptlet]:
    """The scriptlets and triggers of one of rpm's header objects."""
    for slot, body_tag, interpreter_tag in _SCRIPTLETS:
        body, interpreter = header[body_tag], header[interpreter_tag]
        if body or interpreter:
            yield Scriptlet(slot, _words(interpreter) or "/bin/sh", body or "")
    for family in _TRIGGERS:
        bodies = header[f"{family}scripts"]
        if bodies:
            programs = header[f"{family}scriptprog"]
            kinds = _trigger_kinds(header, family)
            pairs = tuple(zip(header[f"{family}index"], header[f"{family}name"], strict=True))
            for number, (body, program) in enumerate(zip(bodies, programs, strict=True)):
                about = tuple(name for index, name in pairs if index == number)
                yield Scriptlet(f"{family}{kinds[number]}", program, body, about)


def _trigger_kinds(header: Any, family: str) -> dict[int, str]:
    """When each of the scripts would run; all conditions of one script say the same."""
    pairs = zip(header[f"{family}index"], header[f"{family}flags"], strict=True)
    return {index: kind for index, flags in pairs for bit, kind in _TRIGGER_KINDS if flags & bit}


def _provides(header: Any) -> Iterator[str]:
    columns = (header["providename"], header["provideflags"], header["provideversion"])
    for name, flags, version in zip(*columns, strict=True):
        sense = "".join(sign for bit, sign in _SENSES if flags & bit)
        yield f"{name} {sense} {version}" if sense else name


def _words(value: str | list[str] | None) -> str:
    return value if isinstance(value, str) else " ".join(value or ())


def _payload_codec(header: Any) -> str:
    layout = header["payloadformat"]
    if layout not in (None, "cpio"):
        raise ValueError(f"payload format {layout!r} is unknown")
    return str(header["payloadcompressor"] or "none")
