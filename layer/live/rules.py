"""Which paths never change under running programs, and which new names come before old ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

_LIBRARIES = r"usr/lib(64|32|/[^/]+-linux-[^/]+)?"
# Paths of a tree, with what they are. By path, since distributions name packages differently.
_HARD = (
    (r"usr/lib/modules/.*", "the kernel, its modules or its initramfs"),
    (r"usr/lib/firmware/.*", "firmware, which the kernel loads when it likes"),
    (
        r"usr/lib/(ostree-boot|ostree|bootupd|grub|efi|dracut|initramfs-tools|bootc)/.*"
        r"|usr/bin/(dracut|mkinitramfs|update-initramfs)",
        "what the machine boots by",
    ),
    (
        rf"usr/lib/systemd/(systemd[^/]*|lib[^/]+\.so.*)|{_LIBRARIES}/lib(systemd|udev)\.so.*"
        r"|usr/(s?bin/(systemctl|udevadm|init))"
        rf"|{_LIBRARIES}/systemd/libsystemd[^/]*\.so.*"
        r"|usr/(lib|etc)/systemd/[^/]+\.conf(\.d/.*)?",
        "systemd, which runs all the time",
    ),
    (
        r"usr/(lib|etc)/systemd/(system|user)/"
        r"(service|socket|timer|path|target|mount|automount|slice|scope|swap|device)\.d/.*",
        "a drop-in for all units of a kind",
    ),
    (
        rf"{_LIBRARIES}/(lib(c|m|mvec|pthread|dl|rt|resolv|util|anl|thread_db|nss_\w+)\.so(\..*)?"
        r"|lib(c|m|pthread|dl|rt|resolv|util|anl)-[0-9.]+\.so|ld-[^/]*\.so(\.[0-9]+)?)",
        "the C library, which every program has loaded",
    ),
    (
        rf"usr/s?bin/dbus-(daemon|broker[^/]*)|{_LIBRARIES}/libdbus-1\.so.*",
        "the message bus, which runs all the time",
    ),
    (
        rf"{_LIBRARIES}/(libpam[^/]*\.so.*|security/.*)|usr/lib/security/.*",
        "PAM, which every login loads",
    ),
    (r"usr/(etc|share)/selinux/.*", "the SELinux policy"),
)
# Of a package that has one of these, nothing changes.
_CORE = (
    "systemd, which runs all the time",
    "the C library, which every program has loaded",
    "the message bus, which runs all the time",
    "PAM, which every login loads",
    "the SELinux policy",
)
_WHAT = tuple((re.compile(pattern), what) for pattern, what in _HARD)
_UNIT_DROP_IN = re.compile(r"usr/(?:lib|etc)/systemd/(system|user)/([^/]+)\.d/[^/]+\.conf")
_OVERRIDE = re.compile(r"usr/etc/(.+)")
_SONAME = re.compile(rf"({_LIBRARIES})/(?:.*/)?([^/]+\.so(?:\.[^/]+)?)")
_PROGRAM = re.compile(r"usr/(s?bin)/([^/]+)")
_INSIDE_LIBRARIES = re.compile(rf"{_LIBRARIES}/(glibc-hwcaps/.*/)?[^/]+")


def hard(path: str) -> str:
    """What a path of a tree is that only a reboot may change, "" for all others."""
    return next((what for pattern, what in _WHAT if pattern.fullmatch(path)), "")


def core(paths: Iterable[str]) -> str:
    """What of the core of the system is among the paths of a package, "" for nothing."""
    return next((what for what in map(hard, paths) if what in _CORE), "")


def shadowed(path: str, folders: Collection[str], is_there: Callable[[str], bool]) -> str:
    """The path, there already, whose part an added one would take or change; "" for none.

    `folders` are the directories of the tree that the loader looks for libraries in.
    """
    return next((other for other in _rivals(path, folders) if is_there(other)), "")


def _rivals(path: str, folders: Collection[str]) -> tuple[str, ...]:
    program = _PROGRAM.fullmatch(path)
    if program:
        other = "bin" if program[1] == "sbin" else "sbin"
        return (f"usr/{other}/{program[2]}",)
    library = _SONAME.fullmatch(path)
    if library and _INSIDE_LIBRARIES.fullmatch(path):
        places = (f"{folder}/{library[3]}" for folder in sorted(folders))
        return tuple(place for place in places if place != path)
    drop_in = _UNIT_DROP_IN.fullmatch(path)
    if drop_in:
        unit = f"systemd/{drop_in[1]}/{drop_in[2]}"
        return (f"usr/lib/{unit}", f"usr/etc/{unit}")
    override = _OVERRIDE.fullmatch(path)
    return (f"usr/lib/{override[1]}",) if override else ()
