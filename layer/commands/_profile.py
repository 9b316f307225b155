"""`layer --profile`: the phases of a run as a table, and as JSON."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from layer import spans

_START = 19  # of the fields behind the program's name in /proc/self/stat: see proc(5)


def start() -> None:
    """This run is measured, from its process's start."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    began = int(fields[_START]) / os.sysconf("SC_CLK_TCK")
    spans.start(max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began))


def table(profile: spans.Profile) -> str:
    """The phases as lines for a person, all of them last."""
    rows = [(span.name, span.clock, span.processor) for span in profile.spans]
    rows.append(("all", profile.clock, profile.processor))
    lines = [f"{'PHASE':10}{'SECONDS':>9}{'PROCESSOR':>11}{'SHARE':>7}"]
    lines += [
        f"{name:10}{clock:9.3f}{processor:11.3f}{clock / (profile.clock or 1):7.0%}"
        for name, clock, processor in rows
    ]
    lines += [f"{what}: {number}" for what, number in profile.counts]
    return "\n".join(lines)


def as_json(profile: spans.Profile) -> dict[str, Any]:
    """The same for programs."""
    return {
        "seconds": profile.clock,
        "processor": profile.processor,
        "phases": [
            {"name": span.name, "seconds": span.clock, "processor": span.processor}
            for span in profile.spans
        ],
        "counts": dict(profile.counts),
    }
