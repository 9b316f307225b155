"""Scriptlets that are known as a whole, by the SHA-256 of interpreter and body: mostly Lua."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from layer.audit.verdict import Verdict
from layer.model import Scriptlet


@dataclass(frozen=True, slots=True)
class KnownBody:
    """A body, where it was seen, what it is and why."""

    digest: str
    seen_in: str
    verdict: Verdict
    reason: str


BODIES: tuple[KnownBody, ...] = ()

_BY_DIGEST = {body.digest: body for body in BODIES}


def find(scriptlet: Scriptlet) -> KnownBody | None:
    """The row for a scriptlet, None where there is none."""
    return _BY_DIGEST.get(body_digest(scriptlet.interpreter, scriptlet.body))


def body_digest(interpreter: str, body: str) -> str:
    """SHA-256 in hex; blank lines and the space around lines do not count."""
    lines = [line.strip() for line in body.split("\n") if line.strip()]
    return hashlib.sha256("\n".join([interpreter, *lines]).encode("utf-8", "replace")).hexdigest()
