"""The results as text, and as the README has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.bench.cost.results import Goal, Results, goals, spread
from tests.bench.cost.scenes import SCENES

BEGIN, END = "<!-- make bench writes this -->", "<!-- to here -->"
_SYNCED = (
    "What others wrote is on the disk before each run, and each run ends when what it wrote is, "
    "too (sync, syncfs)."
)
_UNSYNCED = "No run waits for the disk but as its own program does."
_POLICY = "All files are in the page cache. Scriptlets are run by nobody."
_CLASSIC = (
    "classic is our reconstruction of rpm-ostree's way, a C program through libostree: checkout, "
    "union, rpm database, commit, deployment; its packages are solved and imported beforehand. "
    "It and dnf make equal trees, which is checked in each run."
)


def text(results: Results) -> str:
    """All medians with their spread, and the goals."""
    lines = [*_facts(results), ""]
    for size, files in sorted(results.files.items()):
        lines.append(f"base of {files:,} files ({size // 1000}k), seconds")
        head = f"{'median':>9} {'(least to most)':>17} {'processor':>10} {'peak':>8}"
        lines.append(f"  {'':64}{'':18}{head}")
        for scene in SCENES:
            lines += _lines(results, size, scene)
        lines.append("")
    lines += [*_goal_lines(goals(results)), ""]
    return "\n".join(lines)


def markdown(results: Results, pictures: Sequence[str]) -> str:
    """What the README shows: the goals, seconds by base size, and the pictures."""
    sizes = sorted(results.files)
    lines = [*(f"{line}  " for line in _facts(results)), ""]
    lines += ["| measure | goal | by the clock | by the processor |", "| --- | --- | --- | --- |"]
    for goal in goals(results):
        sign = {True: "", False: " (missed)", None: ""}[goal.is_met]
        found = f"{_shown(goal, goal.clock)}{sign}"
        lines.append(f"| {goal.text} | {_limit(goal)} | {found} | {_shown(goal, goal.processor)} |")
    heads = " | ".join(f"{results.files[size]:,} files" for size in sizes)
    lines += [
        "",
        f"| seconds, medians (processor) | by | {heads} |",
        "| --- | --- |" + " --- |" * len(sizes),
    ]
    for scene in SCENES:
        contenders = dict.fromkeys(c for _, s, c in results.samples if s == scene)
        for contender in contenders:
            cells = " | ".join(_cell(results, size, scene, contender) for size in sizes)
            lines.append(f"| {results.subjects.title(scene)} | {contender} | {cells} |")
    disk = _SYNCED if results.facts["synced"] else _UNSYNCED
    lines += ["", f"{_POLICY} {disk} {_CLASSIC[0].upper()}{_CLASSIC[1:]}", ""]
    lines += [f"![{Path(name).stem}]({name})" for name in pictures]
    return "\n".join(lines)


def write_readme(readme: Path, block: str) -> None:
    """Puts a block between the marks."""
    found = readme.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    assert pattern.search(found), f"{readme} has no place for it: {BEGIN}"
    readme.write_text(pattern.sub(lambda _: f"{BEGIN}\n{block}\n{END}", found))


def _facts(results: Results) -> list[str]:
    facts = results.facts
    return [
        f"{facts['date']}, {facts['machine']}, {facts['system']}; {facts['runs']} interleaved "
        f"runs; load {facts['load']:.1f} on {facts['processors']} processors at the beginning.",
        f"{results.subjects.large[0].upper()}{results.subjects.large[1:]}; "
        f"a repository of {facts['packages']:,} packages.",
    ]


def _lines(results: Results, size: int, scene: str) -> list[str]:
    lines = []
    title = results.subjects.title(scene)
    for (where, what, contender), costs in results.samples.items():
        if (where, what) == (size, scene):
            clock, least, most = spread(costs)
            processor, peak = spread(costs, "processor")[0], spread(costs, "peak")[0]
            lines.append(
                f"  {title:64}{contender:18}{clock:9.2f}   ({least:6.2f} to {most:6.2f})"
                f"{processor:11.2f}{peak / (1 << 20):6.0f} MB"
            )
            title = ""
    return lines


def _goal_lines(found: Sequence[Goal]) -> list[str]:
    lines = [f"{'goals':68}{'goal':>10}{'clock':>10}{'processor':>11}"]
    for goal in found:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[goal.is_met]
        lines.append(
            f"  {goal.text:66}{_limit(goal):>10}{_shown(goal, goal.clock):>10}"
            f"{_shown(goal, goal.processor):>11}  {verdict}"
        )
    return lines


def _limit(goal: Goal) -> str:
    if 0 < goal.limit < 1 / 4:
        return f"<= 1/{1 / goal.limit:.0f}"
    return f"{'>=' if goal.is_least else '<='} {goal.limit:.3g}{goal.unit}"


def _shown(goal: Goal, value: float | None) -> str:
    if value is None:
        return ""
    if 0 < goal.limit < 1 / 4 and value:
        return f"1/{1 / value:.1f}"
    return f"{value:.3g}{goal.unit}"


def _cell(results: Results, size: int, scene: str, contender: str) -> str:
    clock = results.median(size, scene, contender)
    processor = results.median(size, scene, contender, "processor")
    return "" if clock is None or processor is None else f"{clock:.2f} ({processor:.2f})"
