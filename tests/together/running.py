"""Processes with random verbs on one sysroot, and what must hold of all of them together."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layer.recording import read_history
from tests.kill.checks import faults
from tests.world import Machine

LONGEST = 600  # seconds for one process, which may wait for all others
_NAMES = ("apple", "pear", "web", "daemon", "suid", "old-and-new")
# Of a verb: how often it is chosen, whether it has to do with repositories, and its words.
_VERBS: dict[str, tuple[int, bool, tuple[str, ...]]] = {
    "install": (6, True, ("-y", "NAME")),
    "uninstall": (5, True, ("-y", "NAME")),
    "upgrade": (2, True, ("-y",)),
    "reset": (2, True, ("-y",)),
    "rebase": (1, True, ("-y", "BASE")),
    "kargs": (2, False, ("-y", "--append-if-missing=NAME=1")),
    "rollback": (2, False, ("-y",)),
    "cleanup": (3, False, ("-b",)),
    "pin": (1, False, ("0",)),
    "unpin": (1, False, ("0",)),
    "cancel": (3, False, ()),
    "status": (2, False, ()),
    "history": (1, False, ()),
    "db": (1, False, ("list",)),
}
_PLANS = ("install", "uninstall", "upgrade", "reset", "kargs")
_PLANNED = 0.1  # part of those that only plan
_INTERRUPTED = 0.15  # part of all
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its name in the history, words, status, and what it said last."""

    agent: str
    words: tuple[str, ...]
    status: int
    seconds: float
    error: str
    deployed: str
    was_interrupted: bool
    stderr: str

    @property
    def outcome(self) -> str:
        """In a word."""
        if self.status == 0:
            return "done"
        return "interrupted" if self.status > 128 else "refused"


@dataclass
class Crowd:
    """Who works on a machine at once, and what became of everyone."""

    machine: Machine
    bases: tuple[str, ...]
    seed: int = 1
    processes: int = 8
    ended: list[Ended] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, seconds: float) -> None:
        """Lets all of them begin verbs for so long, and waits for the last."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(self.processes) as pool:
            for _ in pool.map(lambda number: self._worker(number, end), range(self.processes)):
                pass

    def _worker(self, number: int, end: float) -> None:
        chance = random.Random(f"{self.seed} {number}")
        turn = 0
        while time.monotonic() < end or turn == 0:
            turn += 1
            found = self._run(f"worker-{number}-{turn}", self._words(chance), chance)
            with self._lock:
                self.ended.append(found)

    def _words(self, chance: random.Random) -> tuple[str, ...]:
        verb = chance.choices(list(_VERBS), [row[0] for row in _VERBS.values()])[0]
        _, with_repositories, words = _VERBS[verb]
        if verb in _PLANS and chance.random() < _PLANNED:
            words = tuple("-n" if word == "-y" else word for word in words)
        names = {"NAME": chance.choice(_NAMES), "BASE": chance.choice(self.bases)}
        chosen = [next((w.replace(k, v) for k, v in names.items() if k in w), w) for w in words]
        where = ["--sysroot", str(self.machine.path)]
        if with_repositories:
            where += ["--repo-dir", str(self.machine.world.repo_dir)]
        first = 1 if verb != "db" else 2
        line = [verb, *chosen]
        return (*line[:first], *where, *line[first:])

    def _run(self, agent: str, words: tuple[str, ...], chance: random.Random) -> Ended:
        is_interrupted, after = chance.random() < _INTERRUPTED, chance.uniform(0, 4)
        number = chance.choice(_SIGNALS)
        start = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "layer", "--json-progress", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RPMOSTREE_CLIENT_ID": agent},
        ) as process:
            # Before it has said that it begins it is Python that starts, and not yet us.
            assert process.stderr is not None
            begun = process.stderr.readline()
            timer = threading.Timer(after, lambda: process.send_signal(number))
            if is_interrupted:
                timer.start()
            try:
                _, stderr = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                _, stderr = process.communicate()
                stderr += "\nit did not end"
            timer.cancel()
        stderr = begun + stderr
        last = _last_event(stderr)
        return Ended(
            agent,
            words,
            process.returncode,
            time.monotonic() - start,
            (last.get("error") or {}).get("message", ""),
            last.get("deployed") or "",
            is_interrupted,
            stderr,
        )

    # --- what must hold ---

    def problems(self) -> Iterator[str]:
        """What was lost or broken, in words."""
        for one in self.ended:
            if "Traceback" in one.stderr or "did not end" in one.stderr:
                yield f"{one.agent} {one.words}: {one.stderr[-2000:]}"
            # Whoever is at work may be the one that somebody else cancels.
            elif one.status not in (0, 1, 77, 130) and not one.was_interrupted:
                yield f"{one.agent} {one.words} ended with {one.status}: {one.stderr[-500:]}"
            elif one.status == 1 and not one.error:
                yield f"{one.agent} {one.words} failed without a word: {one.stderr[-500:]}"
        yield from self._history_problems()
        yield from faults(self.machine.path)

    def _history_problems(self) -> Iterator[str]:
        entries, unread = read_history(self.machine.host())
        if unread:
            yield f"{unread} lines of the history cannot be read"
        ours = [entry for entry in entries if entry.agent.startswith("worker-")]
        counted = Counter(entry.agent for entry in ours)
        known = {one.agent: one for one in self.ended}
        for agent, number in counted.items():
            if number > 1:
                yield f"{agent} stands in the history {number} times"
            if agent not in known:
                yield f"{agent} stands in the history, and was nobody"
        noted = {entry.agent: entry.checksum for entry in ours}
        for one in self.ended:
            if one.deployed and noted.get(one.agent) != one.deployed:
                yield f"{one.agent} {one.words} deployed {one.deployed}, which is not on record"
            if one.agent in noted and not one.deployed and one.status == 0:
                yield f"{one.agent} {one.words} is on record, and said that it deployed nothing"
        last = self.machine.pending().checksum
        if ours and ours[-1].checksum != last:
            yield f"what boots next is {last}, and the history ends with {ours[-1].checksum}"

    def table(self) -> str:
        """Per verb how many came to what, and the longest time."""
        lines = [
            "| verb | done | refused | interrupted | longest |",
            "| --- | --- | --- | --- | --- |",
        ]
        for verb in sorted({one.words[0] for one in self.ended}):
            lines.append(_row(verb, [one for one in self.ended if one.words[0] == verb]))
        return "\n".join([*lines, _row("all", self.ended)])

    def errors(self) -> str:
        """What was said by those that were refused, the most frequent first."""
        said = Counter(_general(one.error) for one in self.ended if one.outcome == "refused")
        return "\n".join(f"{number} x {text}" for text, number in said.most_common())


def _row(name: str, ended: list[Ended]) -> str:
    counted = Counter(one.outcome for one in ended)
    numbers = (str(counted[outcome]) for outcome in ("done", "refused", "interrupted"))
    longest = max(one.seconds for one in ended)
    return f"| {name} | {' | '.join(numbers)} | {longest:.0f} s |"


def _general(text: str) -> str:
    """Without the names and numbers that differ from one to the other."""
    words = text.splitlines()[0].split() if text else ["(no error)"]
    return " ".join("X" if word.strip(",:") in _NAMES or word.isdigit() else word for word in words)


def _last_event(stderr: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in stderr.splitlines():
        if line.startswith('{"') and '"end"' in line:
            found = json.loads(line)
    return found


def log_of(crowd: Crowd, path: Path) -> None:
    """A line for each process, in the order in which they ended."""
    lines = []
    for one in crowd.ended:
        said = f" {one.error.splitlines()[0]}" if one.error else ""
        words = " ".join(w for w in one.words if not w.startswith("/") and w != "--sysroot")
        start = f"{one.seconds:6.1f} s  {one.outcome:11}  {one.agent:12}"
        lines.append(f"{start} {words} {one.deployed[:12]}{said}")
    path.write_text("\n".join(lines) + "\n")
