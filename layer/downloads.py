"""What was downloaded last and is not deployed yet: kept from being cleaned up.

A stateroot's refs below `layer/download/` name it (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from layer.change import Change
from layer.host import Host

_REFS = "layer/download"
_BASE = "base"


def remember(host: Host, change: Change) -> None:
    """Keeps what a change takes, in place of what was downloaded before; in a transaction."""
    place = _place(host.stateroot)
    store = host.store
    wanted = {f"{place}/{_BASE}": change.base.checksum}
    for selection in change.resolution.selections:
        checksum = selection.package.checksum
        imported = store.find_commit(f"layer/pkg/{checksum}")
        if imported is not None:
            wanted[f"{place}/{checksum}"] = imported
    for ref in store.refs(place).keys() - wanted.keys():
        store.set_ref(ref, None)
    for ref, commit in wanted.items():
        store.set_ref(ref, commit)


def forget(host: Host) -> None:
    """Lets the next clean-up take what was downloaded and is not deployed."""
    with host.store.transaction():
        for ref in host.store.refs(_place(host.stateroot)):
            host.store.set_ref(ref, None)


def settle(host: Host, change: Change) -> None:
    """The same once a change is deployed, unless it stays on its base and another one was fetched.

    An upgrade that was downloaded outlives an install on the base that it is to replace.
    """
    base = host.store.refs(_place(host.stateroot)).get(f"{_place(host.stateroot)}/{_BASE}")
    if base == change.base.checksum or change.base != change.previous_base:
        forget(host)


def needed_refs(host: Host) -> Iterator[str]:
    """The refs that hold what was downloaded, of all stateroots, these here among them."""
    found: Mapping[str, str] = host.store.refs(_REFS)
    for ref, commit in found.items():
        yield ref
        name = ref.rpartition("/")[2]
        yield f"layer/base/{commit}" if name == _BASE else f"layer/pkg/{name}"


def _place(stateroot: str) -> str:
    # A ref has no plus sign, and no stateroot begins with an underscore.
    return f"{_REFS}/{stateroot.replace('+', '_2B')}"
