"""The origin: what is in the tree, as rpm-ostree's keyfile says it.

`[origin] refspec=` is a pristine base, `baserefspec=` one with something asked
for on top. Keys that belong to other tools are kept as they are; ours stand
under `[layer]` (rpm-ostree's own: rpmostree-origin.cxx).
"""

from __future__ import annotations

import configparser
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from layer import initramfs
from layer.errors import InvalidInput
from layer.frozen import dataclass
from layer.grouped import format_recorded, groups_among, parse_recorded, without_groups
from layer.keyfile import format_item, parser, set_lists, set_value, split_list
from layer.lock import DEFAULTS, TreeOptions
from layer.model import LockedPackage, Nevra, Request, RequestKind
from layer.overrides import NO_OVERRIDES, Offered, Overrides

SCHEMA = 1
# The keys that this module writes itself; all others pass through untouched.
_OURS = {
    ("origin", "refspec"),
    ("origin", "baserefspec"),
    ("origin", "override-commit"),
    ("packages", "requested"),
    (initramfs.SECTION, initramfs.ETC),
    ("packages", "requested-local"),
    ("overrides", "remove"),
    ("overrides", "replace-local"),
    ("overrides", "replace"),
    ("layer", "override-replace"),
    ("layer", "schema"),
    ("layer", "requested-provides"),
    ("layer", "documentation"),
    ("layer", "accepted-scriptlets"),
    ("layer", "left-out"),
    ("layer", "groups"),
    ("layer", "group-members"),
}
# These too, where they mean anything; where they are off, they are kept as they are.
_INITRAMFS = {
    (initramfs.SECTION, initramfs.REGENERATE),
    (initramfs.SECTION, initramfs.ARGUMENTS),
}
# What holds for one deployment alone, such as its pin: libostree drops it from each new one.
_TRANSIENT = "libostree-transient"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class OstreeRef:
    """A base that is a ref of an OSTree remote; `remote` is "" for a ref of this repository."""

    remote: str
    ref: str

    def __str__(self) -> str:
        return f"{self.remote}:{self.ref}" if self.remote else self.ref


# An OCI image, or a lock with a directory of RPMs, will be a further member.
BaseSource = OstreeRef


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the base comes from and what was asked for; requests are sorted, without repeats.

    `local` are packages that came as files, sorted.

    `override_commit` pins the base to one commit of its ref. `options` hold for what
    is layered. `accepted` are names of packages, each with the digest of the scriptlets
    whose lines the user agreed not to run; sorted. `left_out` are requests, each with the
    reason, that did not fit this base and that the next upgrade tries anew; sorted.
    `initramfs_etc` are files of the machine's /etc, whose content goes into an initrd beside the
    tree's; sorted. `foreign` are the sections, keys and values of other tools.
    """

    base: BaseSource
    requests: tuple[Request, ...] = ()
    override_commit: str = ""
    options: TreeOptions = DEFAULTS
    initramfs_etc: tuple[str, ...] = ()
    accepted: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    foreign: tuple[tuple[str, str, str], ...] = ()
    local: tuple[LockedPackage, ...] = ()
    overrides: Overrides = NO_OVERRIDES

    @property
    def asked(self) -> tuple[Request, ...]:
        """All that is asked for, packages that came as files too."""
        files = (Request(RequestKind.FILE, f"{p.checksum}:{p.nevra}") for p in self.local)
        return (*self.requests, *files)

    @property
    def wanted(self) -> tuple[Request, ...]:
        """The same but for what is left out."""
        skipped = {text for text, _ in self.left_out}
        return tuple(request for request in self.asked if request.text not in skipped)

    @property
    def is_pristine(self) -> bool:
        """Whether the base is wanted as it is."""
        return not self.asked and self.overrides == NO_OVERRIDES

    @property
    def is_to_solve(self) -> bool:
        """Whether packages come or go."""
        return bool(self.wanted) or self.overrides != NO_OVERRIDES

    @property
    def files(self) -> tuple[LockedPackage, ...]:
        """The packages that no repository need have: the store keeps them."""
        return tuple(sorted({*self.local, *self.overrides.files}))


def parse_source(text: str) -> BaseSource:
    """`REMOTE:REF` or `REF`; InvalidInput for anything else."""
    remote, colon, ref = text.rpartition(":")
    if not re.fullmatch(r"[\w.\-/+]+", ref) or (colon and not re.fullmatch(r"[\w.\-]+", remote)):
        raise InvalidInput(
            f"not an OSTree refspec: {text!r}", "it is REMOTE:REF, such as demo:demo/12/x86_64/base"
        )
    return OstreeRef(remote, ref)


def parse_origin(text: str) -> Origin:
    """The origin that a keyfile says; InvalidInput names what is wrong."""
    keyfile = parser()
    try:
        keyfile.read_string(text)
    except configparser.Error as error:
        raise InvalidInput(f"the origin file is corrupt: {error.message}") from error
    values = {(s, k): v for s in keyfile.sections() for k, v in keyfile.items(s)}
    _refuse_unknown(values)
    image = values.get(("origin", "container-image-reference"))
    if image is not None:
        raise InvalidInput(
            f"the base is a container image ({image}), which this version cannot layer over",
            "the tool that deployed it can go back to an OSTree ref",
        )
    source = values.get(("origin", "baserefspec")) or values.get(("origin", "refspec"))
    if source is None:
        raise InvalidInput(
            "the origin file names no base that this version knows",
            "it needs refspec= or baserefspec= under [origin]",
        )
    ours = _OURS | (_INITRAMFS if initramfs.is_enabled(values) else set())
    provides = set(split_list(values.get(("layer", "requested-provides"), "")))
    requests = {
        Request(_kind(item, provides), item)
        for item in split_list(values.get(("packages", "requested"), ""))
    }
    return Origin(
        base=parse_source(source),
        requests=_sorted({*parse_recorded(values), *requests}),
        override_commit=values.get(("origin", "override-commit"), ""),
        options=_options(values),
        initramfs_etc=tuple(
            sorted(set(split_list(values.get((initramfs.SECTION, initramfs.ETC), ""))))
        ),
        accepted=_accepted(values),
        left_out=_left_out(values),
        foreign=tuple(
            (s, k, v) for (s, k), v in values.items() if (s, k) not in ours and s != _TRANSIENT
        ),
        local=_files(values, "packages", "requested-local"),
        overrides=_overrides(values),
    )


def format_origin(origin: Origin) -> str:
    """The keyfile's text; the same origin gives the same text."""
    keyfile = parser()
    for section, key, value in origin.foreign:
        set_value(keyfile, section, key, value)
    is_early = origin.options.regenerate_initramfs or bool(origin.initramfs_etc)
    is_local = not origin.is_pristine or is_early
    set_value(keyfile, "origin", "baserefspec" if is_local else "refspec", str(origin.base))
    if origin.override_commit:
        set_value(keyfile, "origin", "override-commit", origin.override_commit)
    set_lists(keyfile, (*_request_lists(origin), *_override_lists(origin.overrides)))
    if origin.options.regenerate_initramfs:
        set_value(keyfile, initramfs.SECTION, initramfs.REGENERATE, "true")
        if origin.options.initramfs_arguments:
            arguments = "".join(format_item(a) for a in origin.options.initramfs_arguments)
            set_value(keyfile, initramfs.SECTION, initramfs.ARGUMENTS, arguments)
    set_lists(keyfile, [(initramfs.SECTION, initramfs.ETC, list(origin.initramfs_etc))])
    _set_layer(keyfile, origin)
    out = io.StringIO()
    keyfile.write(out, space_around_delimiters=False)
    return out.getvalue()


def with_requests(origin: Origin, requests: Iterable[Request]) -> Origin:
    """The origin that asks for these too; one that was left out is tried again."""
    requests = tuple(requests)
    texts = {request.text for request in requests}
    left_out = tuple(pair for pair in origin.left_out if pair[0] not in texts)
    kept = set(origin.requests) - set(requests)  # a group may come to other packages now
    return replace(origin, requests=_sorted({*kept, *requests}), left_out=left_out)


def without_requests(origin: Origin, requests: Iterable[Request]) -> Origin:
    """The origin that no longer asks for these; what others asked for stays."""
    kept = _sorted(set(origin.requests) - set(requests))
    texts = {request.text for request in kept}
    return replace(
        origin,
        requests=kept,
        left_out=tuple(pair for pair in origin.left_out if pair[0] in texts),
    )


def with_left_out(origin: Origin, left_out: Iterable[tuple[str, str]]) -> Origin:
    """The origin that goes without these requests, each with the reason, and without no others."""
    return replace(origin, left_out=tuple(sorted(left_out)))


def with_local(origin: Origin, packages: Iterable[LockedPackage]) -> Origin:
    """The origin with exactly these packages that came as files."""
    return replace(origin, local=tuple(sorted(set(packages))))


def with_overrides(origin: Origin, overrides: Overrides) -> Origin:
    """The origin with exactly these overrides."""
    return replace(
        origin,
        overrides=Overrides(
            removed=tuple(sorted(set(overrides.removed))),
            files=tuple(sorted(set(overrides.files))),
            offered=tuple(sorted(set(overrides.offered))),
        ),
    )


def with_options(origin: Origin, options: TreeOptions) -> Origin:
    """The origin with these options for all that is layered."""
    foreign = origin.foreign
    if options.regenerate_initramfs:  # what stood there while it was off is replaced
        foreign = tuple(row for row in foreign if row[:2] not in _INITRAMFS)
    return replace(origin, options=options, foreign=foreign)


def with_accepted(origin: Origin, accepted: Iterable[tuple[str, str]]) -> Origin:
    """The origin that agrees to these scriptlets not being run, and to no others."""
    return replace(origin, accepted=tuple(sorted(accepted)))


def pristine(origin: Origin) -> Origin:
    """The origin of the base alone."""
    return replace(
        origin,
        requests=(),
        options=DEFAULTS,
        accepted=(),
        left_out=(),
        initramfs_etc=(),
        local=(),
        overrides=NO_OVERRIDES,
    )


def _set_layer(keyfile: configparser.ConfigParser, origin: Origin) -> None:
    if not origin.is_pristine or not origin.options.documentation:
        set_value(keyfile, "layer", "schema", str(SCHEMA))
    if not origin.options.documentation:
        set_value(keyfile, "layer", "documentation", "false")
    if origin.left_out:
        set_value(keyfile, "layer", "left-out", json.dumps(dict(origin.left_out), sort_keys=True))
    if members := format_recorded(origin.requests):
        set_value(keyfile, "layer", "group-members", members)
    set_lists(keyfile, _own_lists(origin))


def _refuse_unknown(values: Mapping[tuple[str, str], str]) -> None:
    schema = values.get(("layer", "schema"), str(SCHEMA))
    if schema != str(SCHEMA):
        raise InvalidInput(
            f"the origin file has schema {schema}; this version knows {SCHEMA}",
            "a newer version of layer wrote it; use that one",
        )


def _files(
    values: Mapping[tuple[str, str], str], section: str, key: str
) -> tuple[LockedPackage, ...]:
    """Packages by checksum: `SHA-256:NEVRA`, rpm-ostree's form."""
    found = set()
    for item in split_list(values.get((section, key), "")):
        checksum, _, nevra = item.partition(":")
        if not _CHECKSUM.fullmatch(checksum):
            raise InvalidInput(f"the origin file says {key}={item}; it is SHA-256:NEVRA")
        found.add(LockedPackage(Nevra.parse(nevra), checksum))
    return tuple(sorted(found))


def _overrides(values: Mapping[tuple[str, str], str]) -> Overrides:
    offered = {
        Offered("", name) for name in split_list(values.get(("layer", "override-replace"), ""))
    }
    for item in split_list(values.get(("overrides", "replace"), "")):
        source, *names = item.split(",")
        if not source.startswith("repo=") or not names:
            raise InvalidInput(f"the origin file says replace={item}; it is repo=ID,NAME,...")
        offered |= {Offered(source.removeprefix("repo="), name) for name in names}
    return Overrides(
        removed=tuple(sorted(set(split_list(values.get(("overrides", "remove"), ""))))),
        files=_files(values, "overrides", "replace-local"),
        offered=tuple(sorted(offered)),
    )


def _override_lists(overrides: Overrides) -> Iterable[tuple[str, str, list[str]]]:
    """Sections, keys and items; a repository's packages stand together, as rpm-ostree has it."""
    repositories = sorted({o.repository for o in overrides.offered} - {""})
    named = {r: [o.name for o in overrides.offered if o.repository == r] for r in repositories}
    return (
        ("overrides", "remove", list(overrides.removed)),
        ("overrides", "replace-local", [_file(package) for package in overrides.files]),
        ("overrides", "replace", [",".join([f"repo={r}", *names]) for r, names in named.items()]),
        ("layer", "override-replace", [o.name for o in overrides.offered if not o.repository]),
    )


def _request_lists(origin: Origin) -> Iterable[tuple[str, str, list[str]]]:
    return (
        ("packages", "requested", [r.text for r in without_groups(origin.requests)]),
        ("packages", "requested-local", [_file(package) for package in origin.local]),
    )


def _own_lists(origin: Origin) -> Iterable[tuple[str, str, list[str]]]:
    provides = [r.text for r in origin.requests if r.kind is RequestKind.PROVIDE]
    return (
        ("layer", "accepted-scriptlets", [f"{name}:{digest}" for name, digest in origin.accepted]),
        ("layer", "requested-provides", provides),
        # Not in `requested`: no other program would know what to do with it.
        ("layer", "groups", [r.text for r in groups_among(origin.requests)]),
    )


def _file(package: LockedPackage) -> str:
    return f"{package.checksum}:{package.nevra}"


def _options(values: Mapping[tuple[str, str], str]) -> TreeOptions:
    documentation = values.get(("layer", "documentation"), "true")
    if documentation not in ("true", "false"):
        raise InvalidInput(
            f"the origin file says documentation={documentation}; it is true or false"
        )
    options = TreeOptions(documentation=documentation == "true")
    if not initramfs.is_enabled(values):
        return options
    arguments = split_list(values.get((initramfs.SECTION, initramfs.ARGUMENTS), ""))
    return replace(options, regenerate_initramfs=True, initramfs_arguments=tuple(arguments))


def _accepted(values: Mapping[tuple[str, str], str]) -> tuple[tuple[str, str], ...]:
    found = []
    for item in split_list(values.get(("layer", "accepted-scriptlets"), "")):
        name, colon, digest = item.rpartition(":")
        if not (name and colon and re.fullmatch(r"[0-9a-f]{64}", digest)):
            raise InvalidInput(
                f"the origin file says accepted-scriptlets={item}; it is NAME:SHA-256"
            )
        found.append((name, digest))
    return tuple(sorted(found))


def _left_out(values: Mapping[tuple[str, str], str]) -> tuple[tuple[str, str], ...]:
    text = values.get(("layer", "left-out"), "{}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the origin file says left-out={text}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(why, str) for why in found.values()):
        raise InvalidInput(f"the origin file says left-out={text}; it is an object of texts")
    return tuple(sorted(found.items()))


def _kind(text: str, provides: set[str]) -> RequestKind:
    if text.startswith("/"):
        return RequestKind.PATH
    if text.startswith("@"):
        return RequestKind.GROUP
    return RequestKind.PROVIDE if text in provides else RequestKind.PACKAGE


def _sorted(requests: Iterable[Request]) -> tuple[Request, ...]:
    return tuple(sorted(requests, key=lambda r: (r.text, r.kind.value)))
