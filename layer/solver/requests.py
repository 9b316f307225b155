"""What a request means among the packages on offer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import solv

from layer.errors import InvalidInput, NotFound
from layer.model import Request, RequestKind
from layer.solver.excluding import all_included, excluders
from layer.solver.overriding import file_candidates
from layer.solver.pool import PRETENDED, SOURCE_ARCHES, Offer, nevra
from layer.words import did_you_mean, is_utf8, joined

_LATER = {
    RequestKind.GROUP: "groups",
    RequestKind.BUNDLE: "bundles",
}
_RELATION = re.compile(r"(\S+?)\s*(<=|>=|<|>|=)\s*(\S+)")
_OPERATORS = {
    "=": solv.REL_EQ,
    "<": solv.REL_LT,
    ">": solv.REL_GT,
    "<=": solv.REL_LT | solv.REL_EQ,
    ">=": solv.REL_GT | solv.REL_EQ,
}
_AS_PACKAGE = (
    solv.Selection.SELECTION_NAME
    | solv.Selection.SELECTION_CANON
    | solv.Selection.SELECTION_DOTARCH
)
# What createrepo puts into primary.xml; of these paths it has all.
_IN_PRIMARY = re.compile(r"/etc/.*|.*bin/.*|/usr/lib/sendmail", re.DOTALL)
_MOST_OTHERS = 3  # versions that a hint names
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def refuse_unsupported(requests: Iterable[Request]) -> None:
    """InvalidInput for requests of kinds that cannot be solved yet, all at once."""
    lines = [
        f"{request.text}: {_LATER[request.kind]} are not supported yet"
        for request in sorted(requests, key=sort_key)
        if request.kind in _LATER
    ]
    if lines:
        raise InvalidInput("\n".join(lines), "name packages of a repository")


def sort_key(request: Request) -> tuple[str, str]:
    """Requests in the order of kind and text."""
    return request.kind.value, request.text


def classify_word(offer: Offer, word: str) -> Request:
    """What a word of the command line names; a capability where it is nothing else."""
    is_file = word.startswith(("./", "../")) or word.endswith(".rpm") or "://" in word
    if not word.strip() or _UNPRINTABLE.search(word) or not (is_file or is_utf8(word)):
        raise InvalidInput(f"not a package's name: {word!r}")
    if word.startswith("/"):
        return Request(RequestKind.PATH, word)
    if word.startswith("@"):
        return Request(RequestKind.GROUP, word)
    if is_file:
        return Request(RequestKind.FILE, word)
    request = Request(RequestKind.PACKAGE, word)
    return request if candidates(offer, request) else Request(RequestKind.PROVIDE, word)


def candidates(offer: Offer, request: Request) -> list[solv.XSolvable]:
    """All packages that would fulfil the request, the base's own included."""
    found = _FINDERS[request.kind](offer, request.text)
    return [
        each
        for each in found
        if each.arch not in SOURCE_ARCHES
        and not offer.stands_in(each)
        and each.id not in offer.gone
    ]


def needs_filelists(request: Request) -> bool:
    """Whether only filelists can say that nobody has what is asked for."""
    return request.kind is RequestKind.PATH and not _IN_PRIMARY.fullmatch(request.text)


def missing(offer: Offer, requests: Sequence[Request]) -> NotFound:
    """The error that names every request that nothing fulfils, with names that resemble them."""
    with all_included(offer):
        unwanted = {request.label: _excluded(offer, request) for request in requests}
    lines = [
        f"{label} is excluded by {excluders(offer, found)}"
        for label, found in sorted(unwanted.items())
        if found
    ]
    words = sorted(label for label, found in unwanted.items() if not found)
    if not words:
        return NotFound("\n".join(lines), "change that setting, or name another package")
    names = {each.name for each in offer.pool.solvables} - {PRETENDED}
    where = (
        "no enabled repository has" if offer.repositories else "without repositories, nothing has"
    )
    hint = "no repository was read: put a .repo file into /etc/yum.repos.d, or use --repo-dir"
    if offer.repositories:
        usual = "check the names and which repositories are enabled"
        others = sorted({str(nevra(each)) for word in words for each in _others(offer, word)})
        there = f"there is {joined(others[-_MOST_OTHERS:])}"
        hint = there if others else did_you_mean(words, names, otherwise=usual)
    return NotFound("\n".join([f"{where} {', '.join(words)}", *lines]), hint)


def _others(offer: Offer, word: str) -> list[solv.XSolvable]:
    """Packages of the name in a word that asks for another version or architecture of them."""
    relation = _RELATION.fullmatch(word)
    shorter = [relation[1]] if relation else [word.rpartition(".")[0]]
    parts = word.split("-")
    # What begins with a digit is a version; else it is a part of a name.
    shorter += ["-".join(parts[:n]) for n in (-1, -2) if parts[n:][0][:1].isdigit()]
    for name in filter(None, shorter):
        found = candidates(offer, Request(RequestKind.PACKAGE, name))
        found = [each for each in found if each.id not in offer.excluded]
        if found:
            return found
    return []


def _excluded(offer: Offer, request: Request) -> list[solv.XSolvable]:
    # Where no such package was found, a name counted as something provided.
    named = Request(RequestKind.PACKAGE, request.text)
    found = candidates(offer, request) or candidates(offer, named)
    return [each for each in found if each.id in offer.excluded]


def _packages(offer: Offer, text: str) -> list[solv.XSolvable]:
    return list(offer.pool.select(text, _AS_PACKAGE).solvables())


def providers(offer: Offer, text: str) -> list[solv.XSolvable]:
    """All packages that provide what a dependency's text says, the base's own included."""
    pool = offer.pool
    if text.startswith("("):
        dependency = pool.parserpmrichdep(text)
        if dependency is None:
            raise InvalidInput(f"not a dependency: {text}")
        return list(pool.whatprovides(dependency))
    relation = _RELATION.fullmatch(text)
    if relation is None:
        return list(pool.whatprovides(pool.str2id(text)))
    name, operator, version = relation.groups()
    return list(
        pool.whatprovides(
            pool.rel2id(pool.str2id(name), pool.str2id(version), _OPERATORS[operator])
        )
    )


def _owners(offer: Offer, text: str) -> list[solv.XSolvable]:
    return list(offer.pool.select(text, solv.Selection.SELECTION_FILELIST).solvables())


_FINDERS = {
    RequestKind.PACKAGE: _packages,
    RequestKind.PROVIDE: providers,
    RequestKind.PATH: _owners,
    RequestKind.FILE: file_candidates,
}
