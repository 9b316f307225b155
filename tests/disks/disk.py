"""Disks that are files: made, mounted, and recorded while they are written to."""

from __future__ import annotations

import ctypes
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_READY = 20.0  # seconds that the storage daemon has
# How each is made, but for the file's name.
FILESYSTEMS = {
    "ext4": ("mkfs.ext4", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


def keep_mounts_to_ourselves() -> None:
    """What this process mounts is seen by it and its children alone, from now on.

    Else another program's new mount namespace keeps a filesystem that we unmount.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) or libc.mount(None, b"/", None, ctypes.c_ulong(0x44000), None):
        raise OSError(ctypes.get_errno(), "unshare")


def make_disk(image: Path, mebibytes: int, *words: str) -> None:
    """An empty filesystem; `words` are the command that makes it but for the file's name."""
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    done = subprocess.run([*words, image], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def mounted(device: Path, place: Path, options: str = "") -> Iterator[None]:
    """It is there; a filesystem that was not unmounted is recovered on the way."""
    place.mkdir(parents=True, exist_ok=True)
    loop = [] if device.is_block_device() else ["loop"]
    words = ["-o", ",".join([*loop, *options.split()])] if loop or options else []
    done = subprocess.run(["mount", *words, device, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    """At once, or as soon as whoever still uses it is gone."""
    subprocess.run(["sync", "--file-system", place], check=False)
    for words in ([], [], ["--lazy"]):
        if subprocess.run(["umount", *words, place], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.2)


@contextmanager
def recorded(image: Path, log: Path) -> Iterator[Path]:
    """A block device over the image, whose writes and flushes go to the log as well."""
    front = image.with_name(f"{image.name}.recorded")
    front.touch()
    log.write_bytes(b"")
    nodes = (
        f"driver=file,node-name=disk-file,filename={image}",
        "driver=raw,node-name=disk,file=disk-file",
        f"driver=file,node-name=log,filename={log}",
        "driver=blklogwrites,node-name=recorder,file=disk,log=log,log-super-update-interval=1",
    )
    export = f"type=fuse,id=front,node-name=recorder,mountpoint={front},writable=on"
    command = ["qemu-storage-daemon", *_options("--blockdev", nodes), "--export", export]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            _await_mount(front, daemon)
            done = subprocess.run(
                ["losetup", "--find", "--show", front], capture_output=True, text=True, check=True
            )
            device = Path(done.stdout.strip())
            try:
                yield device
            finally:
                subprocess.run(["losetup", "--detach", device], check=True)
        finally:
            daemon.terminate()
            daemon.wait()
            with suppress(OSError):
                front.unlink()


def _options(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _await_mount(front: Path, daemon: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _READY
    while front.stat().st_size == 0:
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            assert daemon.stderr is not None
            raise RuntimeError(f"the storage daemon does not serve: {daemon.stderr.read()}")
        time.sleep(0.02)
