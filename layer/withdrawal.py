"""Which requests the words of a command line take back."""

from __future__ import annotations

from collections.abc import Sequence

from layer.errors import InvalidInput
from layer.host import Host
from layer.model import Request, RequestKind
from layer.origin import Origin, with_local, without_requests
from layer.status import fulfils, is_named
from layer.words import did_you_mean


def without_words(
    host: Host, origin: Origin, words: Sequence[str], *, idempotent: bool = False
) -> Origin:
    """The origin that no longer asks for what these words name.

    InvalidInput for one that was never made, unless `idempotent`.
    """
    local = [p for p in origin.local if any(is_named(p.nevra, word) for word in words)]
    texts = {request.text for request in origin.requests}
    others = [w for w in words if w in texts or not any(is_named(p.nevra, w) for p in local)]
    gone = _requests_of(host, origin, others, idempotent)
    kept = [package for package in origin.local if package not in local]
    return with_local(without_requests(origin, gone), kept)


def _requests_of(
    host: Host, origin: Origin, words: Sequence[str], idempotent: bool
) -> tuple[Request, ...]:
    """The requests that these words made, or that asked for the packages which they name."""
    found = [r for r in origin.requests if r.text in words]
    others = [word for word in words if word not in {r.text for r in found}]
    named = {word: _requests_naming(host, origin, word) for word in others}
    found += [r for requests in named.values() for r in requests if r not in found]
    unknown = sorted(word for word, requests in named.items() if not requests)
    if unknown and not idempotent:
        asked = [request.label for request in origin.wanted]
        raise InvalidInput(
            f"never asked for: {', '.join(unknown)}{_whence(host, origin, unknown)}",
            did_you_mean(unknown, asked, rest=f"asked for is: {', '.join(asked) or 'nothing'}"),
        )
    return tuple(found)


def _requests_naming(host: Host, origin: Origin, word: str) -> list[Request]:
    """The requests by name for the layered package that `word` is a name of: `jq` for `jq-1.6`."""
    headers = [h for h in host.layered_headers() if fulfils(h, Request(RequestKind.PACKAGE, word))]
    by_name = [r for r in origin.requests if r.kind is RequestKind.PACKAGE]
    return [r for r in by_name if any(fulfils(h, r) for h in headers)]


def _whence(host: Host, origin: Origin, words: Sequence[str]) -> str:
    """Why those of the words are layered that are: of a group, or because others need them."""
    pending = host.pending()
    layered = [p.nevra for p in host.lock_of(pending).packages] if pending else []
    facts = []
    for word in words:
        names = {nevra.name for nevra in layered if is_named(nevra, word)}
        groups = [r.text for r in origin.requests if names.intersection(r.members)]
        if groups:
            facts.append(f"{word}: belongs to {', '.join(groups)}, and goes with that alone")
        elif names:
            facts.append(f"{word}: layered because others need it")
    return f" ({'; '.join(facts)})" if facts else ""
