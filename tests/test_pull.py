"""Pulling a base: only what is missing, by a delta where there is one, and never half a base."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from layer import verbs
from layer.errors import RepositoryError
from layer.store import stalls
from layer.store.remote import add_remote, set_remote_ref
from layer.store.sysroot import initialize
from testdata.distro.tiny import FileSpec, tiny_rpm
from tests.cli import do, fails, first
from tests.snapshot import unchanged
from tests.world import REF, STATEROOT, Fault, Machine, World, ostree, remove, served


@pytest.fixture
def faults() -> dict[str, Fault]:
    """What the server of bases does instead of an answer, by path; to be filled."""
    return {}


@pytest.fixture
def watched(
    own_world: World, tmp_path: Path, faults: dict[str, Fault]
) -> Iterator[tuple[Machine, list[str]]]:
    """A machine whose next base has many new files; what is asked of the server of bases."""
    asked: list[str] = []
    with served(own_world.path / "served", asked, faults) as url:
        initialize(tmp_path / "machine", STATEROOT)
        machine = Machine(tmp_path / "machine", own_world)
        add_remote(machine.host().store, "tiny", url, verify=False)
        machine.apply(lambda host: verbs.rebase(host, f"tiny:{REF}"))
        files = [FileSpec(f"/usr/lib/new/{n}", f"{n}\n".encode() * 50) for n in range(30)]
        release = tiny_rpm("tiny-libc", *files, version="3", arch="x86_64")
        own_world.publish(release)
        own_world.compose()
        asked.clear()
        yield machine, asked
    remove([tmp_path / "machine"])


def objects(asked: list[str]) -> list[str]:
    """The files that were asked for, as the server's paths."""
    return sorted(path for path in asked if path.endswith(".filez"))


def here(machine: Machine) -> set[str]:
    """The files that the machine has, those of a pull that was cut among them."""
    files = (machine.path / "ostree/repo").rglob("*.file")
    return {file.parent.name + file.stem for file in files}


def test_after_a_cut_only_what_is_missing_is_fetched(watched: tuple[Machine, list[str]]) -> None:
    machine, asked = watched
    served_ = machine.world.path / "served"
    newest = ostree("rev-parse", f"--repo={served_}", REF).strip()
    known = here(machine)
    new = sorted(
        p for p in served_.glob("objects/*/*.filez") if p.parent.name + p.stem not in known
    )
    lost = new[-1]
    lost.rename(lost.with_suffix(".away"))
    fails(machine, "upgrade", "-y")
    kept = here(machine) - known
    # A commit that is here in part is not built upon, whoever says that it is the newest.
    set_remote_ref(machine.host().store, f"tiny:{REF}", newest)
    error, hint = fails(machine, "upgrade", "-y", "-C")
    assert error == f"error: tiny:{REF}: of commit {newest} only a part is here"
    assert hint == "hint: pull the rest of it while there is a network: leave out --cache-only"
    lost.with_suffix(".away").rename(lost)
    asked.clear()
    do(machine, "upgrade", "-y")
    again = {path.removesuffix(".filez").removeprefix("/objects/") for path in objects(asked)}
    assert f"{lost.parent.name}/{lost.stem}" in again
    assert not {name.replace("/", "") for name in again} & kept
    assert first(machine)["checksum"] == newest


def test_a_commit_whose_tree_was_never_pulled_is_not_built_upon(
    watched: tuple[Machine, list[str]],
) -> None:
    """As `layer deploy` leaves the history that it reads: the commits, and nothing of them."""
    machine, asked = watched
    assert fails(machine, "deploy", "-y", "99")[0].endswith(f"tiny:{REF} has no 99")
    newest = ostree("rev-parse", f"--repo={machine.world.path}/served", REF).strip()
    repo = machine.path / "ostree/repo"
    assert (repo / f"objects/{newest[:2]}/{newest[2:]}.commit").is_file()
    set_remote_ref(machine.host().store, f"tiny:{REF}", newest)
    asked.clear()
    expected = [
        f"error: tiny:{REF}: of commit {newest} only a part is here",
        "hint: pull the rest of it while there is a network: leave out --cache-only",
    ]
    for words in (("upgrade", "-y", "-C"), ("deploy", "-y", "-C", "2"), ("upgrade", "-n", "-C")):
        assert fails(machine, *words) == expected
    assert asked == []
    do(machine, "upgrade", "-y")
    assert first(machine)["checksum"] == newest


def test_a_static_delta_takes_the_place_of_objects(watched: tuple[Machine, list[str]]) -> None:
    machine, asked = watched
    repo = f"--repo={machine.world.path}/served"
    newest = ostree("rev-parse", repo, REF).strip()
    old = machine.pending().checksum
    ostree(
        "static-delta", "generate", repo, f"--from={old}", f"--to={newest}", "--min-fallback-size=0"
    )
    ostree("summary", repo, "-u")
    summary = machine.world.path / "served/summary"
    # The web server tells a file that has changed by its mtime, in whole seconds.
    os.utime(summary, (summary.stat().st_mtime + 10, summary.stat().st_mtime + 10))
    do(machine, "upgrade", "-y")
    assert first(machine)["checksum"] == newest
    # libostree begins to scan the commit while the delta is on its way, so that it may ask for
    # objects, too: `ostree pull` does so in some of its runs.
    assert any(path.startswith("/deltas/") and path.endswith("/0") for path in asked)


def cut(path: Path) -> bytes:
    """Leaves the first half of a file on the server; gives what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def test_an_object_that_comes_in_half_is_one_error_and_fetched_again(
    watched: tuple[Machine, list[str]],
) -> None:
    machine, asked = watched
    known = here(machine)
    new = sorted((machine.world.path / "served").glob("objects/*/*.filez"))
    victim = [p for p in new if p.parent.name + p.stem not in known][-1]
    whole = cut(victim)
    error = fails(machine, "upgrade", "-y")[0]
    assert error.startswith(f"error: cannot pull {REF} from remote tiny (http://127.0.0.1:")
    kept = here(machine) - known
    assert victim.parent.name + victim.stem not in kept
    victim.write_bytes(whole)
    asked.clear()
    do(machine, "upgrade", "-y")
    again = [path.removeprefix("/objects/").removesuffix(".filez") for path in objects(asked)]
    assert again.count(f"{victim.parent.name}/{victim.stem}") == 1
    assert not {name.replace("/", "") for name in again} & kept


def test_a_delta_that_comes_in_half_is_one_error(watched: tuple[Machine, list[str]]) -> None:
    machine, _ = watched
    repo = f"--repo={machine.world.path}/served"
    newest = ostree("rev-parse", repo, REF).strip()
    ends = (f"--from={machine.pending().checksum}", f"--to={newest}")
    ostree("static-delta", "generate", repo, *ends, "--min-fallback-size=0")
    ostree("summary", repo, "-u")
    (part,) = (machine.world.path / "served/deltas").glob("*/*/0")
    whole = cut(part)
    error = fails(machine, "upgrade", "-y")[0]
    assert error.startswith(f"error: cannot pull {REF} from remote tiny (http://127.0.0.1:")
    part.write_bytes(whole)
    do(machine, "upgrade", "-y")
    assert first(machine)["checksum"] == newest


def victim_of(machine: Machine) -> str:
    """The path on the server of a file that the machine has not got."""
    known = here(machine)
    new = (machine.world.path / "served").glob("objects/*/*.filez")
    found = sorted(p for p in new if p.parent.name + p.stem not in known)[-1]
    return f"/objects/{found.parent.name}/{found.name}"


def begin(file: Path, handler: BaseHTTPRequestHandler) -> None:
    """Answers as if all would come, and sends half of it."""
    whole = file.read_bytes()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(whole)))
    handler.end_headers()
    handler.wfile.write(whole[: len(whole) // 2])
    handler.wfile.flush()


def drop(file: Path, handler: BaseHTTPRequestHandler) -> None:
    """Half of the file, and then the connection is gone."""
    begin(file, handler)
    linger = struct.pack("ii", 1, 0)  # a reset, and no orderly end
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def test_a_connection_that_is_dropped_costs_one_object(
    watched: tuple[Machine, list[str]], faults: dict[str, Fault]
) -> None:
    machine, asked = watched
    known, victim = here(machine), victim_of(machine)
    faults[victim] = drop
    error = fails(machine, "upgrade", "-y")[0]
    assert error.startswith(f"error: cannot pull {REF} from remote tiny (http://127.0.0.1:")
    kept = here(machine) - known
    faults.clear()
    asked.clear()
    do(machine, "upgrade", "-y")
    again = [path.removeprefix("/objects/").removesuffix(".filez") for path in objects(asked)]
    assert victim.removeprefix("/objects/").removesuffix(".filez") in again
    assert not {name.replace("/", "") for name in again} & kept
    assert len(set(again)) == len(again)


def test_a_server_that_stalls_is_given_up(
    watched: tuple[Machine, list[str]],
    faults: dict[str, Fault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, _ = watched
    known, victim, is_over = here(machine), victim_of(machine), threading.Event()

    def stall(file: Path, handler: BaseHTTPRequestHandler) -> None:
        begin(file, handler)
        is_over.wait(20)  # so that a broken watch is a failure, and no hang

    faults[victim] = stall
    monkeypatch.setattr(stalls, "PATIENCE", 0.5)
    with pytest.raises(RepositoryError) as caught, unchanged(machine.path / "ostree/deploy"):
        machine.apply(verbs.upgrade)
    is_over.set()
    assert caught.value.message.endswith("): nothing came for 0.5 seconds")
    assert here(machine) - known
    faults.clear()
    monkeypatch.undo()
    do(machine, "upgrade", "-y")


def test_what_came_and_lies_unread_is_not_the_servers_fault() -> None:
    """As when a disk is so slow that nobody has come to read it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections, gave_up = stalls.Connections(), threading.Event()
        with (
            socket.create_connection(server.getsockname()) as ours,
            server.accept()[0] as theirs,
            stalls.Watch(connections, lambda: 0, gave_up.set, 0.2) as watch,
        ):
            theirs.sendall(b"something")
            assert not gave_up.wait(1)
            assert ours.recv(100) == b"something"
            assert gave_up.wait(20)
            assert watch.has_stalled
            assert ours.recv(1) == b""  # hung up


def test_a_server_that_is_slow_is_waited_for(
    watched: tuple[Machine, list[str]],
    faults: dict[str, Fault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, _ = watched

    def trickle(file: Path, handler: BaseHTTPRequestHandler) -> None:
        whole = file.read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(whole)))
        handler.end_headers()
        for at in range(0, len(whole), len(whole) // 12):
            handler.wfile.write(whole[at : at + len(whole) // 12])
            time.sleep(0.25)

    faults[victim_of(machine)] = trickle
    monkeypatch.setattr(stalls, "PATIENCE", 1.5)  # of some 3 seconds that it takes
    machine.apply(verbs.upgrade)
