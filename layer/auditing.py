"""The audit of scriptlets as a question: of packages on disk, on offer, or layered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from layer import verbs
from layer.audit.report import Audited
from layer.audit.verdict import Audit
from layer.base_triggers import audits_of_base
from layer.errors import InvalidInput, LayerError, NotFound
from layer.foresight import audits_of
from layer.frozen import dataclass
from layer.host import Host
from layer.model import PackageHeader
from layer.rpmfile.header import read_header
from layer.status import fulfils
from layer.trigger_set import packaged_triggers

_SUFFIX = ".rpm"


@dataclass(frozen=True, slots=True)
class Audits:
    """Those of packages, and those of triggers in the base that run for them."""

    packages: tuple[Audited, ...]
    of_base: tuple[Audit, ...] = ()


def audit_files(opened: Callable[[], Host], files: Sequence[Path]) -> Audits:
    """What becomes of the scriptlets of RPM files.

    By the triggers of the pending deployment and over its packages, or where there is no sysroot
    by the program's own.
    """
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise NotFound(f"no such file: {', '.join(missing)}")
    return _audited([read_header(file) for file in files], opened)


def audit_layered(host: Host) -> Audits:
    """What became of the scriptlets of what is layered in the pending deployment."""
    return _audited(host.layered_headers(), lambda: host)


def audit_offered(host: Host, words: Sequence[str]) -> Audits:
    """What would become of the scriptlets of what `layer install` would bring."""
    host = replace(host, options=replace(host.options, scriptlets="warn"))
    change = verbs.install(host, words, idempotent=True, allow_inactive=True)
    asked = [request for request in change.after.requests if request.text in words]
    chosen = [
        Audited(header, audit)
        for header, audit in zip(change.headers, change.audits, strict=True)
        if header.nevra in change.added or any(fulfils(header, request) for request in asked)
    ]
    names = {one.header.nevra.name for one in chosen}
    of_base = tuple(audit for audit in change.base_audits if names & set(audit.runs_for))
    return Audits(tuple(sorted(chosen, key=lambda one: one.header.nevra)), of_base)


def split_words(words: Sequence[str]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Which of a command line's words are RPM files, and which name packages."""
    files = tuple(Path(word) for word in words if word.endswith(_SUFFIX))
    names = tuple(word for word in words if not word.endswith(_SUFFIX))
    if files and names:
        raise InvalidInput(
            f"files and packages at once: {files[0]}, {names[0]}", "ask for them one after another"
        )
    return files, names


def _audited(headers: Sequence[PackageHeader], opened: Callable[[], Host]) -> Audits:
    triggers, host = packaged_triggers(), None
    with suppress(LayerError):
        host = opened()
        tree = host.store.read_commit(host.require_pending().checksum).root
        triggers = host.triggers(tree)
    pairs = zip(headers, audits_of(headers, triggers), strict=True)
    found = tuple(sorted((Audited(*pair) for pair in pairs), key=lambda one: one.header.nevra))
    if host is None or host.pending() is None:
        return Audits(found)
    return Audits(found, audits_of_base(host.store, tree, headers, lambda: triggers))
