"""An RPM's dependencies, those that every package has included."""

from __future__ import annotations

from collections.abc import Iterable

from testdata.distro.rpmheader import Tag, Value
from testdata.distro.rpmspec import Relation, RpmSpec

# (name, flags, EVR), as the header holds a dependency.
Sense = tuple[str, int, str]

_OPERATORS = {"<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}
_SCRIPTLET_FLAGS = {
    "posttrans": 1 << 5,
    "pretrans": 1 << 7,
    "pre": 1 << 9,
    "post": 1 << 10,
    "preun": 1 << 11,
    "postun": 1 << 12,
    "verify": 1 << 13,
}
_FLAG_PREREQ = 1 << 6
_FLAG_INTERPRETER = 1 << 8
_FLAG_RPMLIB = 1 << 24
_FLAG_CONFIG = 1 << 28
_RICH = 0


def parse_relation(relation: Relation) -> Sense:
    """Return the name, flags and EVR of a dependency as a spec file writes it."""
    if relation.startswith("("):
        return relation, _RICH, ""
    match relation.split():
        case [name]:
            return name, 0, ""
        case [name, operator, evr] if operator in _OPERATORS:
            return name, _OPERATORS[operator], evr
    raise ValueError(f"not a dependency: {relation!r}")


def relation_tags(spec: RpmSpec, compression: str) -> dict[Tag, Value]:
    """Return the tags of all the package's dependencies."""
    senses = {
        "PROVIDE": _provides(spec),
        "REQUIRE": _requires(spec, compression),
        "CONFLICT": _parse(spec.conflicts),
        "OBSOLETE": _parse(spec.obsoletes),
        "RECOMMEND": _parse(spec.recommends),
        "SUGGEST": _parse(spec.suggests),
        "SUPPLEMENT": _parse(spec.supplements),
        "ENHANCE": _parse(spec.enhances),
    }
    tags: dict[Tag, Value] = {}
    for prefix, found in senses.items():
        unique = sorted(set(found))
        if unique:
            tags[Tag[f"{prefix}NAME"]] = [name for name, _, _ in unique]
            tags[Tag[f"{prefix}FLAGS"]] = [flags for _, flags, _ in unique]
            tags[Tag[f"{prefix}VERSION"]] = [evr for _, _, evr in unique]
    return tags


def _parse(relations: Iterable[Relation]) -> list[Sense]:
    return [parse_relation(relation) for relation in relations]


def _provides(spec: RpmSpec) -> list[Sense]:
    own = [(spec.name, _OPERATORS["="], spec.evr)]
    if spec.arch == "x86_64":
        own.append((f"{spec.name}(x86-64)", _OPERATORS["="], spec.evr))
    return _parse(spec.provides) + own + _config(spec)


def _config(spec: RpmSpec) -> list[Sense]:
    if not any(file.config for file in spec.files):
        return []
    return [(f"config({spec.name})", _OPERATORS["="] | _FLAG_CONFIG, spec.evr)]


def _requires(spec: RpmSpec, compression: str) -> list[Sense]:
    early = [
        (name, flags | _FLAG_PREREQ | _SCRIPTLET_FLAGS["pre"], evr)
        for name, flags, evr in _parse(spec.pre_requires)
    ]
    interpreters = [
        (scriptlet.interpreter.split()[0], _SCRIPTLET_FLAGS[scriptlet.slot] | _FLAG_INTERPRETER, "")
        for scriptlet in spec.scriptlets
        if not scriptlet.interpreter.startswith("<")
    ]
    return _parse(spec.requires) + early + interpreters + _config(spec) + _rpmlib(spec, compression)


def _rpmlib(spec: RpmSpec, compression: str) -> list[Sense]:
    """Return what the package asks of rpm itself, with the version that brought it."""
    named = (
        *spec.requires,
        *spec.pre_requires,
        *spec.provides,
        *spec.conflicts,
        *spec.obsoletes,
        spec.evr,
    )
    features = {
        "CompressedFileNames": ("3.0.4-1", True),
        "PayloadFilesHavePrefix": ("4.0-1", True),
        "BuiltinLuaScripts": (
            "4.2.2-1",
            any(scriptlet.interpreter.startswith("<") for scriptlet in spec.scriptlets),
        ),
        "FileDigests": ("4.6.0-1", True),
        "FileCaps": ("4.6.1-1", any(file.capabilities for file in spec.files)),
        "TildeInVersions": ("4.10.0-1", any("~" in text for text in named)),
        "RichDependencies": ("4.12.0-1", any(text.startswith("(") for text in named)),
        "CaretInVersions": ("4.15.0-1", any("^" in text for text in named)),
        "PayloadIsZstd": ("5.4.18-1", compression == "zstd"),
    }
    flags = _OPERATORS["<="] | _FLAG_RPMLIB
    return [
        (f"rpmlib({name})", flags, version)
        for name, (version, is_needed) in features.items()
        if is_needed
    ]
