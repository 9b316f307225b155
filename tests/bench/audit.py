"""What the audit says of the scriptlets of a whole distribution.

python -m tests.bench.audit [DIRECTORY]

DIRECTORY holds RPMs; without one the full set is taken where it is built, else the demonstration's.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from layer.audit.judge import audit_package, coverage
from layer.audit.verdict import Audit, Verdict
from layer.rpmfile.header import read_header
from layer.triggers.format import parse_trigger
from testdata.distro.build import ensure_demo
from testdata.distro.full import find_full

_TRIGGERS = Path(__file__).parents[2] / "triggers"
_MOST_COMMANDS = 8
_MOST_UNKNOWN = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Audit all packages of a directory and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?")
    directory = parser.parse_args(arguments).directory or _directory()
    triggers = [parse_trigger(p.read_text(), p.name) for p in sorted(_TRIGGERS.glob("*.toml"))]
    headers = [read_header(path) for path in sorted(directory.glob("*.rpm"))]
    began = time.perf_counter()
    audits = [audit_package(header, coverage(header, triggers)) for header in headers]
    print(f"{directory}: {len(audits)} packages in {time.perf_counter() - began:.1f} s")
    _print_classes(audits)
    _print_share(audits)
    _print_unknown(audits)


def _directory() -> Path:
    full = find_full()
    return full.path if full is not None else ensure_demo().path


def _print_classes(audits: Sequence[Audit]) -> None:
    print("\nlines by class and command")
    for verdict in Verdict:
        commands = Counter(
            item.text.split()[0] for a in audits for item in a.judged if item.verdict is verdict
        )
        most = ", ".join(f"{name} {n}" for name, n in commands.most_common(_MOST_COMMANDS))
        print(f"  {verdict.value:<15} {commands.total():>6}  {most}")


def _print_share(audits: Sequence[Audit]) -> None:
    scripted = [audit for audit in audits if audit.bodies]
    asking = [audit for audit in audits if audit.unknown]
    print("\npackages that need no consent")
    for name, among in (("all", audits), ("with install-time scriptlets", scripted)):
        free = len(among) - len(asking)
        print(f"  {name:<30} {free} of {len(among)}, {100 * free / max(len(among), 1):.1f} %")


def _print_unknown(audits: Sequence[Audit]) -> None:
    print(f"\nthe {_MOST_UNKNOWN} most frequent unknown lines, in how many packages")
    lines = Counter(line for a in audits for line in {" ".join(i.text.split()) for i in a.unknown})
    for line, number in lines.most_common(_MOST_UNKNOWN):
        print(f"  {number:>4}  {line[:120]}")


if __name__ == "__main__":
    main()
