"""Why a package is in the tree that boots next, from what is in the store alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from layer.errors import LayerError, NotFound
from layer.host import Host
from layer.lock import Lock
from layer.model import BaseState, Commit, PackageHeader, Request
from layer.outputs import write_output
from layer.reasons import Needs, Reason, reason
from layer.rpmdb import extract_database
from layer.sandbox.process import run
from layer.solver.asking import Known
from layer.solver.cache import open_cache
from layer.solver.loading import Loader
from layer.solver.needs import read_needs
from layer.status import is_named
from layer.takeover import read_any_lock, read_base, read_headers
from layer.words import did_you_mean

_LONGEST = 60.0  # seconds that a drawing may take


def explain_presence(host: Host, word: str, *, is_whole: bool = False) -> tuple[Reason, ...]:
    """Why the packages that a word names are there; NotFound where none is.

    `is_whole`: by every request that leads to them, not by the nearest alone.
    """
    needs = _read(host)
    named = [n for n in (*needs.layered, *needs.base) if is_named(n, word)]
    if not named:
        raise NotFound(
            f"{word} is neither layered nor in the base of what boots next",
            did_you_mean(
                [word],
                {n.name for n in (*needs.layered, *needs.base)},
                otherwise=f"`layer info {word}` tells whether it could be",
            ),
        )
    return tuple(reason(needs, nevra, is_whole=is_whole) for nevra in named)


def draw(graph: str, file: Path) -> None:
    """Draws a graph in Graphviz's words as an SVG file, with Graphviz's `dot`."""
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        source, drawn = Path(folder, "why.dot"), Path(folder, "why.svg")
        source.write_text(graph)
        try:
            done = run(["dot", "-Tsvg", "-o", str(drawn), str(source)], timeout=_LONGEST)
        except NotFound as error:
            raise NotFound(
                f"{error.message}, which draws graphs",
                "it is of Graphviz; --dot prints the graph, to be drawn elsewhere",
            ) from error
        if done.status != 0:
            hint = "--dot prints the graph as it is, to be drawn elsewhere"
            raise LayerError(f"dot cannot draw the graph: {done.output.strip()}", hint)
        content = drawn.read_bytes()
    write_output(file, content)


def needs_of(host: Host, commit: Commit) -> Needs:
    """Who needs whom in a commit that is here; what was asked for there is not told."""
    lock = read_any_lock(host.store, commit)
    headers = read_headers(host.store, commit, lock) if lock.packages else ()
    return _needs(host, read_base(host.store, commit), lock, headers, ())


def _read(host: Host) -> Needs:
    pending = host.require_pending()
    base, lock = host.base_commit(pending), host.lock_of(pending)
    return _needs(host, base, lock, host.layered_headers(), host.origin(pending).wanted)


def _needs(
    host: Host,
    base: Commit,
    lock: Lock,
    layered: Sequence[PackageHeader],
    wanted: Sequence[Request],
) -> Needs:
    checksums = {package.nevra: package.checksum for package in lock.packages}
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        scratch = Path(folder)
        headers = {}
        for header in layered:
            path = scratch / f"{header.nevra}.rpm"
            path.write_bytes(header.blob)
            headers[checksums[header.nevra]] = path
        state = BaseState(
            lambda: extract_database(host.store, base.root, scratch), checksum=base.checksum
        )
        known = Known(
            state,
            (),
            lock.packages,
            headers,
            frozenset(lock.gone),
            Loader(open_cache(host.cache, host.reporter)),
        )
        return read_needs(known, wanted)
