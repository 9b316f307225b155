"""The results as pictures: time against the base's size, and the phases of layer's time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle

from layer.spans import PHASES, REST
from tests.bench.cost.results import Results
from tests.bench.cost.scenes import (
    CLASSIC,
    DNF,
    LARGE,
    LARGE_AGAIN,
    LARGE_KEPT,
    LAYER,
    SMALL,
    SMALL_BOOT,
    UPGRADE,
)

CURVES, BARS = "cost-curves.svg", "cost-phases.svg"
_LINES = (
    (SMALL, LAYER),
    (SMALL, DNF),
    (SMALL, CLASSIC),
    (SMALL_BOOT, LAYER),
    (SMALL_BOOT, CLASSIC),
    (LARGE, LAYER),
    (LARGE, DNF),
)
_BARS = (SMALL, SMALL_BOOT, LARGE, LARGE_KEPT, LARGE_AGAIN, UPGRADE)
_LOOK: dict[str, Any] = {
    # No script, no name made anew: the same figures are the same file.
    "js": [],
    "no_prefix": True,
    "disable_xml_declaration": True,
    "show_dots": True,
    "style": CleanStyle(
        background="white",
        legend_font_size=12,
        plot_background="white",
        colors=(
            *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2"),
            *("#7f7f7f", "#bcbd22", "#17becf", "#aec7e8", "#ffbb78", "#98df8a"),
        ),
    ),
    "width": 900,
    "height": 500,
    "margin_bottom": 40,  # the last line of the legend would be cut
    "legend_at_bottom": True,
    "legend_at_bottom_columns": 2,
    "truncate_legend": -1,
}


def draw(results: Results, folder: Path) -> Sequence[Path]:
    """Writes both pictures; they say by which measure they are drawn."""
    found = folder / CURVES, folder / BARS
    for path, drawing in zip(found, (_curves(results), _bars(results)), strict=True):
        # pygal's figures for its script, which is not there, name each chart anew.
        drawn = re.sub(r"<script.*?</script>", "", drawing.render(is_unicode=True), flags=re.DOTALL)
        path.write_text(f"{drawn.rstrip()}\n")
    return found


def _curves(results: Results) -> Any:
    chart = pygal.XY(
        title="Seconds by the clock against files in the base",
        logarithmic=True,
        x_title="files in the base",
        x_value_formatter=lambda value: f"{value / 1000:.0f}k",
        value_formatter=lambda value: f"{value:.2g} s",
        **_LOOK,
    )
    for scene, contender in _LINES:
        points = [
            (files, results.median(size, scene, contender))
            for size, files in sorted(results.files.items())
        ]
        kept = [(files, seconds) for files, seconds in points if seconds]
        if kept:
            chart.add(f"{contender}: {results.subjects.title(scene)}", kept)
    return chart


def _bars(results: Results) -> Any:
    size = max(results.files)
    chart = pygal.HorizontalStackedBar(
        title=f"Phases of layer, seconds by the clock, {results.files[size]:,} files",
        value_formatter=lambda value: f"{value:.2f}",
        **_LOOK | {"legend_at_bottom_columns": 6},
    )
    scenes = [scene for scene in reversed(_BARS) if (size, scene, LAYER) in results.samples]
    chart.x_labels = [results.subjects.title(scene) for scene in scenes]
    found = [results.phases(size, scene, 0) for scene in scenes]
    for phase in (*PHASES, REST):
        seconds = [phases.get(phase, 0.0) for phases in found]
        if any(value >= 0.005 for value in seconds):
            chart.add(phase, seconds)
    return chart
