"""Answers about packages, to text for a person; pure, and without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from layer.answers import Match, Place, Provider, Quality, Sighting, Standing
from layer.groups import KINDS, Catalogue, Environment, Group
from layer.reasons import Need, Reason
from layer.tables import table
from layer.words import count, instant, printable, shown, size

_FEW = 10  # packages that need one of the base
_PLACES = {
    Place.LAYERED: "layered",
    Place.BASE: "in the base",
    Place.REMOVED: "of the base, but taken away by an override",
    Place.AVAILABLE: "available",
}


def matches(found: Sequence[Match], width: int | None = None) -> str:
    """The packages in groups by how well they fit, with where they are."""
    parts = []
    for quality in Quality:
        chosen = [match.sighting for match in found if match.quality is quality]
        if chosen:
            rows = [(*_name(each), printable(each.summary)) for each in chosen]
            parts.append("\n".join([f"By {quality.value}:", *table(rows, width=width)]))
    return "\n\n".join(parts)


def descriptions(found: Sequence[Standing]) -> str:
    """A paragraph for each package."""
    return "\n\n".join("\n".join(_description(standing)) for standing in found)


def providers(found: Sequence[tuple[str, Sequence[Provider]]]) -> str:
    """For each word the packages that have it."""
    parts = []
    for word, several in found:
        lines = [f"{shown(word)}:"]
        for provider in several:
            name, place = _name(provider.sighting, with_version=True)
            lines.append(f"  {name}  {place}")
            lines += [f"    {shown(text)}" for text in provider.what if text != word]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def reasons(found: Sequence[Reason], *, is_whole: bool = False) -> str:
    """For each package the chains that lead to it, a link a line."""
    return "\n\n".join("\n".join(_reason(one, is_whole=is_whole)) for one in found)


def group_list(catalogue: Catalogue, *, with_hidden: bool, width: int | None = None) -> str:
    """Environments and groups, by id with their names."""
    parts = []
    shown_groups = [g for g in catalogue.groups if with_hidden or not g.is_hidden]
    for title, several in (("Environments:", catalogue.environments), ("Groups:", shown_groups)):
        if several:
            rows = [(one.id, shown(one.name)) for one in several]
            parts.append("\n".join([title, *table(rows, width=width)]))
    return "\n\n".join(parts)


def group_descriptions(found: Sequence[tuple[Group | Environment, Sequence[Group]]]) -> str:
    """What is in groups, and in the groups of environments."""
    parts = []
    for one, groups in found:
        if isinstance(one, Environment):
            parts.append("\n".join(_environment(one)))
        parts += ["\n".join(_group(group)) for group in groups]
    return "\n\n".join(parts)


def _environment(environment: Environment) -> Iterator[str]:
    yield f"Environment {environment.id}: {shown(environment.name)}"
    yield from (f"  {shown(line)}" for line in environment.description.splitlines())
    yield f"  groups: {', '.join(environment.groups)}"
    if environment.optional:
        yield f"  may be added: {', '.join(environment.optional)}"


def _group(group: Group) -> Iterator[str]:
    yield f"Group {group.id}: {shown(group.name)}"
    yield from (f"  {shown(line)}" for line in group.description.splitlines())
    for kind in KINDS:
        members = [member for member in group.members if member.kind == kind]
        if members:
            yield f"  {kind}:"
            for member in members:
                condition = f" (if {shown(member.condition)})" if member.condition else ""
                yield f"    {shown(member.name)}{condition}"


def _reason(reason: Reason, *, is_whole: bool) -> Iterator[str]:
    if not reason.is_layered:
        number = count(len(reason.needed_by), "package")
        yield f"{reason.nevra} is part of the base; {number} of this tree need it"
        few = reason.needed_by if is_whole else reason.needed_by[:_FEW]
        yield from (f"  {need.by}  {_dependency(need)}" for need in few)
        if len(few) < len(reason.needed_by):
            yield f"  and {len(reason.needed_by) - len(few)} more (--all)"
        return
    yield f"{reason.nevra} is layered:"
    for chain in reason.chains:
        yield f"  {shown(chain.request.label)} was asked for: {chain.first}"
        yield from (f"    needs {need.of}  {_dependency(need)}" for need in chain.links)
    if not reason.chains:
        yield "  no dependency on record leads to it from what was asked for"


def _dependency(need: Need) -> str:
    return f"{need.kind}: {shown(need.dependency)}{' (weak)' if need.is_weak else ''}"


def _name(sighting: Sighting, *, with_version: bool = False) -> tuple[str, str]:
    nevra = sighting.nevra
    where = sighting.place.value
    if sighting.place is Place.AVAILABLE:
        where = ", ".join(sighting.repositories)
    return (str(nevra) if with_version else f"{nevra.name}.{nevra.arch}"), where


def _description(standing: Standing) -> list[str]:
    facts = standing.facts
    nevra = facts.sighting.nevra
    rows = [
        ("Name", nevra.name),
        ("Epoch", str(nevra.epoch) if nevra.epoch else ""),
        ("Version", nevra.version),
        ("Release", nevra.release),
        ("Architecture", nevra.arch),
        ("State", _PLACES[facts.sighting.place]),
        ("Asked for as", ", ".join(standing.requests)),
        *(("Blocked", line) for line in standing.blocked.splitlines()),
        ("Repository", ", ".join(facts.sighting.repositories)),
        ("Download", size(facts.size) if facts.size else ""),
        ("Installed", size(facts.installed_size) if facts.installed_size else ""),
        ("Summary", facts.sighting.summary),
        ("URL", facts.url),
        ("License", facts.license),
        ("Group", facts.group),
        ("Vendor", facts.vendor),
        ("Packager", facts.packager),
        ("Source", facts.source),
        ("Built", instant(facts.build_time) if facts.build_time else ""),
        ("Built on", facts.build_host),
        ("SHA-256", facts.checksum),
        ("Signed with", "no key" if standing.signer == "" else standing.signer or ""),
        ("Location", facts.location),
        *_several("Description", facts.description.splitlines()),
        *(row for kind, texts in facts.relations for row in _several(kind, texts)),
        *_several("Files", facts.files or ()),
    ]
    width = max(len(key) for key, _ in rows)
    return [f"{key:{width}} : {shown(value)}".rstrip() for key, value in rows if value]


def _several(key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A row each, of which the first has the name."""
    for position, value in enumerate(values):
        yield ("" if position else key), value or " "
