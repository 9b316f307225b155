"""Why requests take no package: what of the base fulfils them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from layer.model import Commit, Nevra, Request, RequestKind
from layer.paths import tree_paths
from layer.rpmdb import open_packages
from layer.rpmfile.stored import StoredPackages
from layer.status import fulfils
from layer.store.contract import ObjectStore
from layer.store.trees import lookup


def reasons(
    store: ObjectStore, base: Commit, requests: Sequence[Request]
) -> tuple[tuple[Request, str], ...]:
    """Each request that takes no package, with what of the base fulfils it, in words."""
    if not requests:
        return ()
    with open_packages(store, base.root) as stored:
        return tuple((request, _reason(store, base, stored, request)) for request in requests)


def _reason(
    store: ObjectStore, base: Commit, stored: StoredPackages | None, request: Request
) -> str:
    if request.kind is RequestKind.GROUP:
        there = sorted({name for name in request.members if stored and stored.providing(name)})
        return f"the base has {', '.join(there)}" if there else "nothing of it is layered"
    owners = sorted(set(_owners(stored, request))) if stored else []
    if owners:
        return f"the base has {owners[0]}"
    if request.kind is RequestKind.PATH and any(
        lookup(store, base.root, path) is not None for path in tree_paths(request.text)
    ):
        return f"the base has {request.text}"
    return "the base fulfils it"


def _owners(stored: StoredPackages, request: Request) -> Iterator[Nevra]:
    if request.kind is RequestKind.PATH:
        for header, _ in stored.claims(
            [request.text, *(f"/{p}" for p in tree_paths(request.text))]
        ):
            yield header.nevra
    for name in _names(request):
        for header in stored.providing(name):
            if fulfils(header, request):
                yield header.nevra


def _names(request: Request) -> Iterator[str]:
    """What may be the name in a request: a NEVRA has further parts behind it."""
    words = re.split(r"\s*[<>=]", request.text, maxsplit=1)
    yield words[0].strip()
    if request.kind is RequestKind.PACKAGE:
        for found in re.finditer(r"[-.]", request.text):
            yield request.text[: found.start()]
