"""What is known of a repository, to text for a person and to JSON; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from layer.frozen import dataclass
from layer.repository import NEVER, Repository, SigningKey
from layer.tables import table
from layer.words import count, instant, shown, size, without_passwords


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """A repository, and its metadata as far as they were fetched.

    `fetched` and `expires` are in seconds since 1970, None where there are no metadata;
    `expires` may be NEVER. `is_fresh`: nothing is asked until then. `problem` says why metadata
    that were fetched cannot be used. `mirrors` are those of its list, `known_keys` the keys
    that are here.
    """

    repository: Repository
    packages: int | None = None
    size: int | None = None
    fetched: float | None = None
    expires: float | None = None
    is_fresh: bool = False
    problem: str = ""
    mirrors: tuple[str, ...] = ()
    known_keys: tuple[SigningKey, ...] = ()


def repository_list(found: Sequence[RepositoryFacts], width: int | None = None) -> str:
    """A line each."""
    rows = [
        (
            facts.repository.id,
            "enabled" if facts.repository.is_enabled else "disabled",
            _packages(facts),
            shown(facts.repository.name),
        )
        for facts in found
    ]
    return "\n".join(table(rows, indent="", width=width)) if rows else ""


def repository_descriptions(found: Sequence[RepositoryFacts]) -> str:
    """A paragraph each."""
    return "\n\n".join("\n".join(_description(facts)) for facts in found)


def as_json(facts: RepositoryFacts) -> dict[str, Any]:
    """All of it; settings have the names that they have in a .repo file."""
    of = facts.repository
    expires = None if facts.expires in (None, NEVER) else facts.expires
    return {
        "id": of.id,
        "name": of.name,
        "enabled": of.is_enabled,
        "baseurl": [without_passwords(url) for url in of.base_urls],
        "metalink": without_passwords(of.metalink) or None,
        "mirrorlist": without_passwords(of.mirrorlist) or None,
        "mirrors": [without_passwords(url) for url in facts.mirrors],
        "packages": facts.packages,
        "size": facts.size,
        "fetched": None if facts.fetched is None else instant(int(facts.fetched)),
        "expires": None if expires is None else instant(int(expires)),
        "metadata_expire": None if of.metadata_expire == NEVER else of.metadata_expire,
        "fresh": facts.is_fresh,
        "problem": facts.problem or None,
        "gpgcheck": of.checks_packages,
        "repo_gpgcheck": of.checks_metadata,
        "gpgkey": [without_passwords(url) for url in of.keys],
        "keys": [{"fingerprint": key.fingerprint, "user": key.user} for key in facts.known_keys],
        "excludepkgs": list(of.excludes),
        "includepkgs": list(of.includes),
        "priority": of.priority,
        "cost": of.cost,
        "skip_if_unavailable": of.may_be_missing,
        "source": of.source,
    }


def _packages(facts: RepositoryFacts) -> str:
    if facts.problem:
        return "damaged"
    return "not fetched" if facts.packages is None else count(facts.packages, "package")


def _description(facts: RepositoryFacts) -> Iterator[str]:
    of = facts.repository
    checked = [
        what
        for what, is_so in (("packages", of.checks_packages), ("metadata", of.checks_metadata))
        if is_so
    ]
    rows = [
        ("ID", of.id),
        ("Name", of.name),
        ("Status", "enabled" if of.is_enabled else "disabled"),
        *_several("URL", [without_passwords(url) for url in of.base_urls]),
        ("Metalink", without_passwords(of.metalink)),
        ("Mirror list", without_passwords(of.mirrorlist)),
        ("Mirrors", str(len(facts.mirrors)) if facts.mirrors else ""),
        ("Packages", "" if facts.packages is None else str(facts.packages)),
        ("Size", "" if facts.size is None else size(facts.size)),
        ("Metadata", _age(facts)),
        *_several("Problem", facts.problem.splitlines()),
        ("Has to be signed", " and ".join(checked) or "nothing"),
        *_several("Key", [without_passwords(url) for url in of.keys]),
        *_several("Known key", [f"{key.fingerprint} {key.user}" for key in facts.known_keys]),
        ("Excludes", " ".join(of.excludes)),
        ("Includes", " ".join(of.includes)),
        ("Priority", str(of.priority)),
        ("Cost", str(of.cost)),
        ("May be missing", "yes" if of.may_be_missing else ""),
        ("Configured in", of.source),
    ]
    width = max(len(key) for key, _ in rows)
    return (f"{key:{width}} : {shown(value)}" for key, value in rows if value)


def _age(facts: RepositoryFacts) -> str:
    if facts.fetched is None or facts.expires is None:
        return "not fetched yet"
    when = f"of {instant(int(facts.fetched))}"
    if not facts.is_fresh:
        return f"{when}, to be looked at anew"
    if facts.expires == NEVER:
        return f"{when}, which count for ever"
    return f"{when}, which count until {instant(int(facts.expires))}"


def _several(key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A row each, of which the first has the name."""
    for position, value in enumerate(values):
        yield ("" if position else key), value
