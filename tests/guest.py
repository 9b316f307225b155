"""Boots of the guest, one after the other, and what its steps say on the serial console.

What is asserted is what the guest wrote there; that stays in build/test-boot.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testdata.distro.boot import BootResult, boot_image, make_image
from testdata.guest.build import HERE
from testdata.guest.image import ensure_disks
from testdata.guest.wheels import CHECKOUT

WORK = CHECKOUT / "build/test-boot"
TIMEOUT = 400  # seconds; a boot takes a fifth of that where nothing else is going on
# There is none, and nobody need wait for one.
_NO_NETWORK = "systemd.mask=systemd-networkd-wait-online.service"


@dataclass(frozen=True, slots=True)
class Step:
    """What a boot came to, and what the step said: the last value of each key."""

    result: BootResult
    said: Mapping[str, str]

    def deployment(self, index: int, view: str = "") -> dict[str, object]:
        """What `layer status --json` said of a deployment, at the moment that `view` names."""
        found: dict[str, object] = json.loads(self.said[f"json{view and '-'}{view}.{index}"])
        return found

    def seconds(self) -> Mapping[str, float]:
        """How long each command took."""
        prefix = "seconds."
        return {
            key.removeprefix(prefix): float(value)
            for key, value in self.said.items()
            if key.startswith(prefix)
        }


def live(
    names: Sequence[str],
    scratch: Path,
    arguments: Mapping[str, str] | None = None,
    *,
    files: Mapping[str, bytes] | None = None,
    timeout: float = TIMEOUT,
) -> Mapping[str, Step]:
    """A boot for each step, one after the other, on one disk.

    `arguments` says what else the kernel is told at a step's boot; `files` lie beside the steps.
    """
    begun = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    disks = ensure_disks(WORK)
    print(f"\ndisks: {time.monotonic() - begun:.0f} s", flush=True)
    steps_folder = shutil.copytree(HERE / "steps", scratch / "steps")
    for name, content in (files or {}).items():
        (steps_folder / name).write_bytes(content)
    make_image(steps_folder, scratch / "steps.img", spare=32 << 20)
    system = scratch / "system.img"
    subprocess.run(["cp", "--sparse=always", disks.system, system], check=True)
    begun = time.monotonic()
    steps = {}
    for name in names:
        told = f"guest-step={name} {(arguments or {}).get(name, '')}".rstrip()
        others = (disks.served, scratch / "steps.img")
        steps[name] = _boot(name, told, system, others, timeout)
    print(f"all boots: {time.monotonic() - begun:.0f} s", flush=True)
    system.unlink()
    return steps


def _boot(name: str, told: str, system: Path, disks: tuple[Path, ...], timeout: float) -> Step:
    log = WORK / f"serial-{name}.log"
    arguments = [told, _NO_NETWORK]
    result = boot_image(system, timeout=timeout, arguments=arguments, disks=disks, log=log)
    lines = [line.partition("=") for line in result.values("test")]
    step = Step(result, {key: value for key, _, value in lines})
    spent = ", ".join(f"{what} {seconds}" for what, seconds in step.seconds().items())
    print(f"{name}: {result.state}, {result.seconds:.0f} s ({spent})", flush=True)
    # What follows would only be wrong, too. A unit may fail, as a test may want it.
    assert result.state in ("running", "degraded"), f"{name} came to {result.state}; see {log}"
    return step
