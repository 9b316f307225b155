"""Groups of packages and environments of groups, as repositories list them (comps.xml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layer.errors import InvalidInput, NotFound
from layer.frozen import dataclass

if TYPE_CHECKING:
    from xml.etree import ElementTree

_ID = re.compile(r"[\w.+\-]{1,200}")
_PACKAGE = re.compile(r"[^\s/;]{1,200}")
WITH_OPTIONAL = "/optional"  # behind a group's name
KINDS = ("mandatory", "default", "conditional", "optional")


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A package of a group; one that is conditional comes only where `condition` is there."""

    name: str
    kind: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Packages that belong together; a hidden one is for environments, not for people."""

    id: str
    name: str
    description: str
    members: tuple[Member, ...]
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """Ids of groups that belong together, and of those that may be added."""

    id: str
    name: str
    description: str
    groups: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a word comes to: a request's text, which is the same for each word of a group."""

    word: str
    text: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All groups and environments that repositories list, sorted by id."""

    groups: tuple[Group, ...] = ()
    environments: tuple[Environment, ...] = ()

    def find(self, word: str) -> Group | Environment:
        """The group or environment of this id or name, after `^` an environment; else NotFound."""
        wanted = word.removeprefix("@").removeprefix("^")
        is_environment = word.removeprefix("@").startswith("^")
        groups = () if is_environment else self.groups
        choices: tuple[Group | Environment, ...] = (*groups, *self.environments)
        by_id = [choice for choice in choices if choice.id == wanted]
        by_name = [choice for choice in choices if choice.name.lower() == wanted.lower()]
        for choice in (*by_id, *by_name):
            return choice
        what = "environment" if is_environment else "group"
        raise NotFound(
            f"no enabled repository has the {what} {wanted}",
            _did_you_mean(wanted, choices) or "`layer group list --hidden` shows all",
        )

    def expansion(self, word: str) -> Expansion:
        """What `@NAME` comes to, `@^NAME` for an environment; behind it `/optional` adds the rest.

        InvalidInput for a word that names nothing, NotFound for one that nobody lists.
        """
        name = word.removesuffix(WITH_OPTIONAL)
        if not name.startswith("@") or not name.strip("@^ "):
            raise InvalidInput(
                f"not a group's name: {word!r}", "it is @NAME, or @^NAME for an environment"
            )
        found = self.find(name)
        groups = self.groups_of(found)
        is_whole = name != word
        if is_whole and isinstance(found, Environment):
            groups = (*groups, *(g for g in self.groups if g.id in found.optional))
        text = f"@^{found.id}" if isinstance(found, Environment) else f"@{found.id}"
        members = {
            member if member.kind == "conditional" else replace(member, condition="")
            for group in groups
            for member in group.members
            if is_whole or member.kind != "optional"
        }
        text = f"{text}{WITH_OPTIONAL if is_whole else ''}"
        return Expansion(word, text, tuple(sorted(members)))

    def groups_of(self, found: Group | Environment) -> tuple[Group, ...]:
        """A group itself; the groups of an environment, of which NotFound names those missing."""
        if isinstance(found, Group):
            return (found,)
        known = {group.id: group for group in self.groups}
        missing = [id_ for id_ in found.groups if id_ not in known]
        if missing:
            raise NotFound(
                f"environment {found.id} names groups that no enabled repository has: "
                f"{', '.join(missing)}",
                "enable the repository that has them, or name single groups",
            )
        return tuple(known[id_] for id_ in found.groups)


def parse_groups(content: bytes) -> Catalogue:
    """What a comps.xml says; InvalidInput where it is damaged, or is none.

    libcomps is not used for it: 0.1.19 ends the process on some files, well formed ones too.
    """
    from xml.etree import ElementTree  # which only few plans need

    if b"\0" in content:  # in UTF-16 no word of the next line would be found
        raise InvalidInput("is not written in UTF-8")
    if b"<!ENTITY" in content:
        raise InvalidInput("declares entities, which no list of groups needs")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no entities, size is bounded
    except (ElementTree.ParseError, ValueError) as error:
        raise InvalidInput(f"is no XML: {error}") from error
    if root.tag != "comps":
        raise InvalidInput(f"lists no groups: it is <{root.tag[:40]}>")
    return Catalogue(
        groups=_sorted(_group(element) for element in root.iterfind("group")),
        environments=_sorted(_environment(element) for element in root.iterfind("environment")),
    )


def optional(words: Iterable[str]) -> tuple[str, ...]:
    """The words, those for groups with their optional packages."""
    return tuple(
        f"{word.removesuffix(WITH_OPTIONAL)}{WITH_OPTIONAL}" if word.startswith("@") else word
        for word in words
    )


def merged(catalogues: Iterable[Catalogue]) -> Catalogue:
    """One of several repositories; a group that two have has the packages of both."""
    groups: dict[str, Group] = {}
    environments: dict[str, Environment] = {}
    for catalogue in catalogues:
        for group in catalogue.groups:
            first = groups.get(group.id, group)
            members = tuple(sorted({*first.members, *group.members}))
            groups[group.id] = Group(
                first.id, first.name, first.description, members, first.is_hidden
            )
        for environment in catalogue.environments:
            environments.setdefault(environment.id, environment)
    return Catalogue(_sorted(groups.values()), _sorted(environments.values()))


def list_as_json(catalogue: Catalogue, *, with_hidden: bool) -> dict[str, Any]:
    """The object that `layer group list --json` prints."""
    return {
        "environments": [{"id": e.id, "name": e.name} for e in catalogue.environments],
        "groups": [
            {"id": g.id, "name": g.name, "hidden": g.is_hidden}
            for g in catalogue.groups
            if with_hidden or not g.is_hidden
        ],
    }


def _group(element: ElementTree.Element) -> Group:
    members = set()
    for entry in element.iterfind("packagelist/packagereq"):
        name, kind = (entry.text or "").strip(), entry.get("type", "mandatory")
        if not _PACKAGE.fullmatch(name) or kind not in KINDS:
            raise InvalidInput(f"names no package in a group: {name[:60]!r}")
        members.add(Member(name, kind, entry.get("requires", "")))
    return Group(
        _id(element),
        _text(element, "name"),
        _text(element, "description"),
        tuple(sorted(members)),
        is_hidden=_text(element, "uservisible").lower() == "false",
    )


def _environment(element: ElementTree.Element) -> Environment:
    return Environment(
        _id(element),
        _text(element, "name"),
        _text(element, "description"),
        tuple(_ids(element, "grouplist/groupid")),
        tuple(_ids(element, "optionlist/groupid")),
    )


def _id(element: ElementTree.Element) -> str:
    return _checked((element.findtext("id") or "").strip())


def _ids(element: ElementTree.Element, path: str) -> Iterator[str]:
    return (_checked((entry.text or "").strip()) for entry in element.iterfind(path))


def _checked(text: str) -> str:
    if not _ID.fullmatch(text):
        raise InvalidInput(f"has a group whose id is none: {text[:60]!r}")
    return text


def _did_you_mean(wanted: str, choices: Iterable[Group | Environment]) -> str:
    """The words for those whose id or name resembles it, "" for none."""
    from difflib import get_close_matches  # slow to load, and seldom needed

    words: dict[str, str] = {}
    for one in choices:
        mark = "@^" if isinstance(one, Environment) else "@"
        words |= {text.lower(): f"{mark}{one.id}" for text in (one.id, one.name)}
    near = get_close_matches(wanted.lower(), sorted(words), 2, 0.7)
    found = dict.fromkeys(words[text] for text in near)
    return f"did you mean {' or '.join(found)}?" if found else ""


def _text(element: ElementTree.Element, tag: str) -> str:
    """The text that is not in any one language: translations have an attribute."""
    plain = (entry.text for entry in element.iterfind(tag) if not entry.attrib)
    return next((text.strip() for text in plain if text), "")


def _sorted(found: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(found, key=lambda one: one.id))
