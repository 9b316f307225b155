"""The demo set as data: demo.toml and the packages of demo-tree.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SYNTHETIC_PREFIX = "demo-"


@dataclass(frozen=True, slots=True)
class InitramfsContents:
    """What goes into the initramfs: modules, and programs (by target path) of packages."""

    modules: tuple[str, ...]
    packages: tuple[str, ...]
    programs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DemoSet:
    """The Debian packages that the base and the layers ask for, and what joins them."""

    base: tuple[str, ...]
    layers: tuple[str, ...]
    alternatives: Mapping[str, str]  # link -> what it says
    initramfs: InitramfsContents


def read_demo_set() -> DemoSet:
    """Read the demo set from beside this module."""
    tree = tomllib.loads((HERE / "demo-tree.toml").read_text())
    demo = tomllib.loads((HERE / "demo.toml").read_text())
    initramfs = demo["initramfs"]
    return DemoSet(
        base=tuple(name for name in tree["packages"] if not name.startswith(SYNTHETIC_PREFIX)),
        layers=tuple(demo["layers"]),
        alternatives=demo["alternatives"],
        initramfs=InitramfsContents(
            tuple(initramfs["modules"]), tuple(initramfs["packages"]), initramfs["programs"]
        ),
    )
