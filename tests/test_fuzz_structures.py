"""What is written of a structure is the same when it is read, whatever texts are in it."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layer.history import BaseVersion, Entry, format_entry, parse_entries
from layer.live.record import (
    Addition,
    Journal,
    LiveState,
    Placed,
    Replacement,
    Stage,
    as_values,
    parse_journal,
)
from layer.lock import Lock, Record, TreeOptions, format_metadata, read_lock, read_record
from layer.lock_file import LockFile, format_lock, parse_lock
from layer.model import Commit, LockedPackage, Package, Request, RequestKind, Tree, TriggerRun
from layer.nevra import Nevra
from layer.origin import Origin, OstreeRef, format_origin, parse_origin
from layer.overrides import Offered, Overrides

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
# Texts as requests, paths and reasons may be: with all that the formats use themselves.
texts = st.text(
    st.sampled_from("ab1-;\\=#%[]\"':,.> \u00e9\u2028")
    | st.characters(codec="utf-8", min_codepoint=32),
    min_size=1,
    max_size=12,
).filter(lambda text: text == text.strip() and text.isprintable())
words = st.from_regex(r"[a-z][a-z0-9+_.-]{0,8}", fullmatch=True)
remotes = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
checksums = st.integers(0, (1 << 256) - 1).map(lambda number: f"{number:064x}")
nevras = st.builds(
    Nevra,
    words,
    st.integers(0, 9),
    st.just("1.2~3"),
    st.just("4.fc40"),
    st.sampled_from(["noarch"]),
)
locked = st.builds(LockedPackage, nevras, checksums)
numbers = st.dictionaries(words, st.integers(0, 65535), max_size=3).map(
    lambda d: tuple(sorted(d.items()))
)
plain = texts.filter(lambda text: text[0] not in "/@")
requests = st.sets(
    st.builds(Request, st.just(RequestKind.PACKAGE), plain)
    | st.builds(Request, st.just(RequestKind.PATH), texts.map(lambda text: f"/{text}"))
    | st.builds(
        Request,
        st.just(RequestKind.GROUP),
        words.map(lambda word: f"@{word}"),
        st.sets(words, max_size=3).map(lambda found: tuple(sorted(found))),
    ),
    max_size=4,
).filter(lambda found: len({request.text for request in found}) == len(found))
options = st.builds(
    lambda documentation, arguments, regenerate: TreeOptions(
        documentation, regenerate, tuple(arguments) if regenerate else ()
    ),
    st.booleans(),
    st.lists(texts, max_size=3),
    st.booleans(),
)
pairs = st.dictionaries(texts, texts, max_size=3).map(lambda d: tuple(sorted(d.items())))
sets_of_locked = st.sets(locked, max_size=2).map(lambda found: tuple(sorted(found)))
overrides = st.builds(
    Overrides,
    removed=st.sets(words, max_size=2).map(lambda found: tuple(sorted(found))),
    files=sets_of_locked,
    offered=st.sets(st.builds(Offered, words | st.just(""), words), max_size=3).map(
        lambda found: tuple(sorted(found))
    ),
)
origins = st.builds(
    Origin,
    base=st.builds(OstreeRef, remotes | st.just(""), st.just("demo/12/x86_64/base")),
    requests=requests.map(lambda found: tuple(sorted(found, key=lambda r: (r.text, r.kind.value)))),
    override_commit=st.just("") | checksums,
    options=options,
    initramfs_etc=st.sets(texts.map(lambda text: f"/etc/{text}"), max_size=2).map(
        lambda found: tuple(sorted(found))
    ),
    accepted=st.dictionaries(words, checksums, max_size=2).map(lambda d: tuple(sorted(d.items()))),
    left_out=pairs,
    local=sets_of_locked,
    overrides=overrides,
)


@quick
@given(origins)
def test_an_origin(origin: Origin) -> None:
    text = format_origin(origin)
    assert parse_origin(text) == origin
    assert format_origin(parse_origin(text)) == text


@quick
@given(
    st.builds(
        Lock,
        packages=sets_of_locked,
        ids=numbers,
        triggers=checksums,
        tools=pairs,
        options=options,
        gone=st.sets(nevras, max_size=2).map(lambda found: tuple(sorted(found))),
    ),
    st.builds(
        Record,
        st.lists(
            st.builds(TriggerRun, words, checksums, words, st.lists(texts, max_size=2).map(tuple)),
            max_size=2,
        ).map(tuple),
        pairs,
    ),
)
def test_a_commits_metadata(lock: Lock, record: Record) -> None:
    commit = Commit("a" * 64, None, 0, Tree("b" * 64, "c" * 64), format_metadata(lock, record))
    assert (read_lock(commit), read_record(commit)) == (lock, record)


packages = st.builds(
    Package,
    nevras,
    checksums,
    st.integers(0, 1 << 60),
    st.integers(0, 1 << 60),
    texts,
    words.map(lambda word: f"Packages/{word}.rpm") | st.just(""),
)


@quick
@given(origins, st.lists(packages, max_size=3, unique_by=lambda p: (p.nevra, p.checksum)), numbers)
def test_a_lock_file(
    origin: Origin, found: list[Package], ids: tuple[tuple[str, int], ...]
) -> None:
    found.sort(key=lambda package: package.nevra)
    lock = Lock(
        packages=tuple(sorted(LockedPackage(p.nevra, p.checksum) for p in found)),
        ids=ids,
        options=origin.options,
    )
    whole = LockFile("a" * 64, "b" * 64, "1", replace(origin, foreign=()), lock, tuple(found))
    assert parse_lock(format_lock(whole), "x") == whole


kinds = st.sampled_from([placed.value for placed in Placed])
additions = st.lists(st.builds(Addition, texts, kinds, texts), max_size=3).map(tuple)
states = st.none() | st.builds(
    LiveState,
    checksums,
    words,
    additions,
    st.lists(st.builds(Replacement, texts, texts, texts), max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
    additions,
)


@quick
@given(st.builds(Journal, texts, checksums, st.sampled_from(Stage), states, states))
def test_a_live_journal(journal: Journal) -> None:
    assert parse_journal(json.loads(json.dumps(as_values(journal)))) == journal


lists = st.lists(texts, max_size=3).map(tuple)
moves = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
bases = st.none() | st.builds(BaseVersion, texts, checksums, texts | st.just(""))


@quick
@given(
    st.builds(
        Entry,
        st.integers(0, 1 << 35),
        words,
        checksums,
        lists,
        texts | st.just(""),
        texts | st.just(""),
        bases,
        bases,
        *[lists] * 5,
        moves,
        moves,
        lists,
        texts | st.just(""),
        st.booleans(),
    )
)
def test_an_entry_of_the_history(entry: Entry) -> None:
    assert parse_entries(format_entry(entry).splitlines()) == ((entry,), 0)
