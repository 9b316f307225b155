"""Boot a sysroot in QEMU and say what came of it.

python -m testdata.distro.boot SYSROOT [--timeout SECONDS]

The tree must have demo-release: its boot-marker unit writes the lines judged here.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MARKER = "boot-marker: "
# Without acceleration a boot takes about 15 s, three times that on a busy machine.
_TIMEOUT = 180
_SPARE_BYTES = 512 * 1024 * 1024
_INODES_PER_FILE = 1.5
_LISTED_NAME = re.compile(r"/\d+/\d+/\d+/\d+/([^/]+)/")


@dataclass(frozen=True, slots=True)
class BootResult:
    """What a boot came to."""

    state: str  # what `systemctl is-system-running` said, "timeout", or "no marker"
    seconds: float  # of wall clock, until the machine was off
    lines: tuple[str, ...]  # the marker's, "key=value"
    console: str  # all that was written to the serial console

    @property
    def is_running(self) -> bool:
        """Whether every unit started."""
        return self.state == "running"

    def values(self, key: str) -> tuple[str, ...]:
        """Return what the marker said of `key`; "test" is what the tree's boot-test printed."""
        prefix = f"{key}="
        return tuple(line.removeprefix(prefix) for line in self.lines if line.startswith(prefix))


@dataclass(frozen=True, slots=True)
class BootEntry:
    """The newest entry of a disk's boot loader."""

    kernel: str  # paths in the image
    initramfs: tuple[str, ...]  # one after the other
    arguments: str


def boot_sysroot(
    sysroot: Path,
    *,
    timeout: float = _TIMEOUT,
    arguments: Sequence[str] = (),
    scratch: Path | None = None,
) -> BootResult:
    """Boot a copy of the sysroot's newest deployment; the directory is only read."""
    with disk_image(sysroot, scratch=scratch) as image:
        return boot_image(image, timeout=timeout, arguments=("boot-marker", *arguments))


@contextmanager
def disk_image(sysroot: Path, *, scratch: Path | None = None) -> Iterator[Path]:
    """Make an ext4 image of the sysroot in `scratch`, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="boot-", dir=scratch) as directory:
        image = Path(directory, "disk.img")
        make_image(sysroot, image)
        yield image


def make_image(directory: Path, image: Path, *, spare: int = _SPARE_BYTES) -> None:
    """Write an ext4 image of a directory, with `spare` bytes left free."""
    content, files = _measure(directory)
    with open(image, "wb") as stream:
        stream.truncate(content + content // 8 + spare)
    subprocess.run(
        [
            *("mkfs.ext4", "-q", "-F", "-L", "root"),
            # Neither a journal nor checksums: the image lives for one test.
            *("-O", "^has_journal,^metadata_csum"),
            *("-E", "lazy_itable_init=1,root_owner=0:0"),
            *("-N", str(int(files * _INODES_PER_FILE) + 10_000)),
            *("-d", str(directory), str(image)),
        ],
        check=True,
    )


def boot_image(
    image: Path,
    *,
    timeout: float = _TIMEOUT,
    arguments: Sequence[str] = ("boot-marker",),
    disks: Sequence[Path] = (),
    log: Path | None = None,
) -> BootResult:
    """Boot the image's newest entry until the machine is off or wants to boot again.

    What it writes stays in the image; `disks` are further ones, read only. The console is kept
    in `log`. `arguments` name, to the kernel, who writes the marker's lines.
    """
    with tempfile.TemporaryDirectory(prefix="boot-") as directory:
        scratch = Path(directory)
        entry = read_boot_entry(image)
        _dump(image, entry.kernel, scratch / "kernel")
        _join(image, entry.initramfs, scratch / "initramfs")
        output = log or scratch / "console"
        command = _qemu(image, scratch, output, [entry.arguments, "panic=-1", *arguments])
        for number, disk in enumerate(disks):
            command += _drive(disk, f"more{number}", "readonly=on")
        begun = time.monotonic()
        is_late = False
        try:
            subprocess.run(command, check=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            is_late = True
        seconds = time.monotonic() - begun
        console = output.read_text(errors="replace")
    return judge(console, seconds, is_late=is_late)


def judge(console: str, seconds: float, *, is_late: bool) -> BootResult:
    """Return what the serial console's text says of a boot."""
    # A login prompt may stand before the marker on its line.
    lines = tuple(
        line.partition(_MARKER)[2].rstrip() for line in console.splitlines() if _MARKER in line
    )
    states = [line.removeprefix("state=") for line in lines if line.startswith("state=")]
    if not states or not any(line.startswith("end=") for line in lines):
        # Without its last line, nobody knows what else the marker had to say.
        states = ["timeout" if is_late else "no marker"]
    return BootResult(states[0], seconds, lines, console)


def read_boot_entry(image: Path) -> BootEntry:
    """Return the entry that a boot loader would choose."""
    directory = "/boot/loader/entries"
    listing = _debugfs(image, f"ls -p {directory}")
    names = [name for name in _LISTED_NAME.findall(listing) if name.endswith(".conf")]
    if not names:
        raise FileNotFoundError(f"{image} has no boot entry in {directory}")
    entries = [_parse_entry(_debugfs(image, f"cat {directory}/{name}")) for name in names]
    newest = max(entries, key=lambda fields: int(fields["version"][0]))
    return BootEntry(
        _on_disk(newest["linux"][0]),
        tuple(map(_on_disk, newest["initrd"])),
        newest["options"][0],
    )


def _parse_entry(text: str) -> dict[str, list[str]]:
    """Return the fields of a Boot Loader Specification entry; some may be there twice."""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        fields.setdefault(key, []).append(value.strip())
    return fields


def _on_disk(path: str) -> str:
    """Return where a path of a boot entry lies: ostree names it from the boot partition."""
    return path if path.startswith("/boot/") else f"/boot{path}"


def _debugfs(image: Path, request: str) -> str:
    finished = subprocess.run(
        ["debugfs", "-R", request, str(image)], capture_output=True, text=True, check=True
    )
    return finished.stdout


def _join(image: Path, paths: Sequence[str], target: Path) -> None:
    """Write the files of an image one after the other, each from a multiple of 4 on."""
    with target.open("wb") as joined:
        for path in paths:
            part = target.with_suffix(".part")
            _dump(image, path, part)
            joined.write(part.read_bytes())
            joined.write(bytes(-joined.tell() % 4))
            part.unlink()


def _dump(image: Path, path: str, target: Path) -> None:
    _debugfs(image, f"dump {path} {target}")
    if not target.exists() or not target.stat().st_size:
        raise FileNotFoundError(f"{image} has no file {path}")


def _measure(directory: Path) -> tuple[int, int]:
    """Return the bytes that the tree takes, hardlinks once, and its number of inodes."""
    finished = subprocess.run(
        ["du", "--summarize", "--block-size=1", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    inodes = subprocess.run(
        ["du", "--summarize", "--inodes", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(finished.stdout.split()[0]), int(inodes.stdout.split()[0])


def _qemu(image: Path, scratch: Path, log: Path, arguments: Sequence[str]) -> list[str]:
    return [
        "qemu-system-x86_64",
        # microvm is quicker, but hung in three of eight boots with two processors.
        *("-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512"),
        *("-cpu", "qemu64", "-smp", "2", "-m", "1024"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{log}"),
        *("-kernel", str(scratch / "kernel"), "-initrd", str(scratch / "initramfs")),
        *("-append", " ".join(arguments)),
        *_drive(image, "disk", "cache=unsafe"),
        *("-device", "virtio-rng-pci"),
    ]


def _drive(image: Path, name: str, option: str) -> list[str]:
    drive = f"file={image},if=none,id={name},format=raw,{option}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Boot, print the marker's lines, and return 0 if the system runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sysroot", type=Path)
    parser.add_argument("--timeout", type=float, default=_TIMEOUT)
    options = parser.parse_args(arguments)
    result = boot_sysroot(options.sysroot, timeout=options.timeout)
    print(*(result.lines or result.console.splitlines()[-30:]), sep="\n")
    print(f"{result.state} after {result.seconds:.1f} s")
    return 0 if result.is_running else 1


if __name__ == "__main__":
    sys.exit(main())
