"""What a base offers as alternatives: from layer's record, else from the files of another tool.

A base that layer has not composed says it in the files that `update-alternatives` (dpkg's, which
openSUSE has, too) or `alternatives` (Fedora's) keep, wherever its makers have moved them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from layer import alternatives
from layer.audit.verdict import Alternative
from layer.frozen import dataclass
from layer.model import Tree
from layer.store.contract import ObjectStore
from layer.store.files import read_text
from layer.store.trees import lookup

# Where the files lie that say of each name what is offered; the first that has a name counts.
_PLACES = {
    "usr/etc/alternatives-admindir": "Fedora's tool itself, on systems that boot from OSTree",
    "usr/lib/alternatives": "where rpm-ostree puts what was in /var/lib/alternatives",
    "usr/lib/dpkg/alternatives": "where makers of Debian's images put /var/lib/dpkg",
    "usr/lib/sysimage/dpkg/alternatives": "the same, beside what rpm has there",
    "usr/share/factory/var/lib/alternatives": "content for /var, as tmpfiles.d copies it",
    "usr/share/factory/var/lib/dpkg/alternatives": "content for /var, as tmpfiles.d copies it",
    "var/lib/alternatives": "a commit with content in /var",
    "var/lib/dpkg/alternatives": "a commit with content in /var",
}
_UNKNOWN = "with which priority is not known"
_BY_HAND = "its makers have set it by hand"


@dataclass(frozen=True, slots=True)
class BaseOffers:
    """What a base offers, and the names whose links are not to change, with the reason."""

    offers: tuple[Alternative, ...]
    kept: Mapping[str, str]


def read_offers(store: ObjectStore, base: Tree, ours: Iterable[Alternative]) -> BaseOffers:
    """What the base offers for the names of `ours`; all of its offers where layer recorded them."""
    if lookup(store, base, alternatives.RECORD) is not None:
        text = read_text(store, base, alternatives.RECORD)
        source = f"the base's /{alternatives.RECORD}"
        return BaseOffers(alternatives.parse_record(text, source), {})
    offers: list[Alternative] = []
    kept: dict[str, str] = {}
    names = alternatives.names_of(ours)
    for name in names:
        said = _administered(store, base, name)
        if said is None:
            continue
        offers += said.offers
        if said.is_manual or _target(store, base, name) not in {o.path for o in said.offers}:
            kept |= dict.fromkeys(alternatives.names_of(said.offers), _BY_HAND)
    known = alternatives.names_of(offers)
    for name in names:
        if name not in known and _target(store, base, name):
            kept[name] = _UNKNOWN
    return BaseOffers(tuple(offers), kept)


def _administered(store: ObjectStore, base: Tree, name: str) -> alternatives.Administered | None:
    for place in _PLACES:
        text = read_text(store, base, f"{place}/{name}")
        if text:
            return alternatives.parse_admin_file(text, name)
    return None


def _target(store: ObjectStore, base: Tree, name: str) -> str:
    """Where the base's link in /etc/alternatives leads; "" where it has none."""
    found = lookup(store, base, f"usr{alternatives.FOLDER}/{name}")
    return store.read_file_attributes(found).target if isinstance(found, str) else ""
