"""Debian's versions and dependencies said in RPM's language."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testdata.distro.rpmspec import Relation

# A release above all others: Debian writes "<< 1.2-." or "<= 1.2-z" for "any revision of 1.2".
_ANY_REVISION = "999999"
_OPERATORS = {"<<": "<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">", "<": "<=", ">": ">="}
_ALTERNATIVE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)"
    r"(?::\w+)?"  # :any and other architecture qualifiers mean nothing here
    r"(?:\s*\(\s*(?P<operator>[<>=]+)\s*(?P<version>[^)\s]+)\s*\))?"
)


@dataclass(frozen=True, slots=True)
class Evr:
    """An RPM's epoch, version and release; the release is None where Debian names none."""

    epoch: int | None
    version: str
    release: str | None

    def __str__(self) -> str:
        epoch = "" if self.epoch is None else f"{self.epoch}:"
        release = "" if self.release is None else f"-{self.release}"
        return f"{epoch}{self.version}{release}"


def parse_debian_version(text: str) -> Evr:
    """Return the RPM version that sorts where Debian's does."""
    epoch, _, rest = text.rpartition(":") if re.match(r"\d+:", text) else ("", "", text)
    if epoch:
        epoch, _, rest = text.partition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return Evr(
        int(epoch) if epoch and int(epoch) else None,
        # "-" may not stand in an RPM version. "+~" sorts before "" for rpm, after it for dpkg.
        upstream.replace("-", "^").replace(":", ".").replace("+~", "+"),
        _release(revision) if dash else None,
    )


def _release(revision: str) -> str:
    return _ANY_REVISION if revision in (".", "z") else revision.replace("+~", "+")


def translate_relations(field: str) -> tuple[Relation, ...]:
    """Return RPM's form of a Depends-like field; alternatives become one rich dependency."""
    clauses = [clause for clause in field.split(",") if clause.strip()]
    return tuple(_translate_clause(clause) for clause in clauses)


def relation_name(relation: Relation) -> str:
    """Return the package name that a relation without alternatives begins with."""
    return relation.split()[0]


def _translate_clause(clause: str) -> Relation:
    alternatives = [_translate_alternative(text.strip()) for text in clause.split("|")]
    if len(alternatives) == 1:
        return alternatives[0]
    return f"({' or '.join(alternatives)})"


def _translate_alternative(text: str) -> Relation:
    match = _ALTERNATIVE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a Debian dependency: {text!r}")
    name, operator, version = match.group("name", "operator", "version")
    if operator is None:
        return str(name)
    return f"{name} {_translate_bound(operator, version)}"


def _translate_bound(operator: str, version: str) -> str:
    evr = parse_debian_version(version)
    if evr.release is None and operator in (">>", "<=", "<"):
        # To dpkg a version without revision is older than any with one; rpm compares
        # no release where one side has none, so that 2.36-9 would not be > 2.36.
        return f"{'>=' if operator == '>>' else '<='} {evr}-0"
    return f"{_OPERATORS[operator]} {evr}"
