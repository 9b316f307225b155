"""File capabilities: from the text in a header to the extended attribute on disk."""

from __future__ import annotations

import re
import struct

from layer.errors import InvalidInput

XATTR = b"security.capability"

# linux/capability.h, in order of their numbers.
_NAMES = (  # noqa: SIM905
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio "
    "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog "
    "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
).split()
_BITS = {f"cap_{name}": 1 << number for number, name in enumerate(_NAMES)}
# "all" is what libcap's host knows; ours is the same on every machine.
_ALL = (1 << len(_NAMES)) - 1

_CLAUSE = re.compile(r"(?P<names>[a-z0-9_,]*)(?P<actions>(?:[=+-][eip]*)+)")
_ACTION = re.compile(r"([=+-])([eip]*)")

_REVISION_2 = 0x02000000  # VFS_CAP_REVISION_2
_EFFECTIVE = 0x000001  # VFS_CAP_FLAGS_EFFECTIVE


def parse_capabilities(text: str) -> bytes:
    """The value of `security.capability` for capabilities as getcap and rpm write them.

    The text is that of cap_from_text(3): `cap_net_raw,cap_net_admin=ep`, `cap_kill+p`, `=ep`.
    """
    sets = dict.fromkeys("eip", 0)
    for clause in text.lower().split():
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise InvalidInput(f"not file capabilities: {text!r}")
        bits = _bits(found["names"], text)
        for operator, flags in _ACTION.findall(found["actions"]):
            _apply(sets, bits, operator, flags)
    effective, permitted, inheritable = sets["e"], sets["p"], sets["i"]
    # On disk there is one effective bit for all (cap_set_file(3)).
    if effective and effective != (permitted | inheritable):
        raise InvalidInput(f"a file cannot have only some capabilities effective: {text!r}")
    return struct.pack(
        "<5I",
        _REVISION_2 | (_EFFECTIVE if effective else 0),
        permitted & 0xFFFFFFFF,
        inheritable & 0xFFFFFFFF,
        permitted >> 32,
        inheritable >> 32,
    )


def format_capabilities(value: bytes) -> str:
    """What getcap prints for such a value: `cap_net_bind_service,cap_net_raw=ep`."""
    head, *low_and_high = struct.unpack("<5I", value)
    permitted = low_and_high[0] | low_and_high[2] << 32
    inheritable = low_and_high[1] | low_and_high[3] << 32
    groups: dict[str, list[str]] = {}
    for name, bit in _BITS.items():
        flags = f"{'i' if inheritable & bit else ''}{'p' if permitted & bit else ''}"
        if flags:
            groups.setdefault(f"{'e' if head & _EFFECTIVE else ''}{flags}", []).append(name)
    return " ".join(f"{','.join(names)}={flags}" for flags, names in groups.items())


def _bits(names: str, text: str) -> int:
    if names in ("", "all"):
        return _ALL
    bits = 0
    for name in names.split(","):
        if name not in _BITS:
            raise InvalidInput(f"unknown capability {name!r} in {text!r}")
        bits |= _BITS[name]
    return bits


def _apply(sets: dict[str, int], bits: int, operator: str, flags: str) -> None:
    if operator == "=":
        for flag in sets:
            sets[flag] &= ~bits
    for flag in flags:
        if operator == "-":
            sets[flag] &= ~bits
        else:
            sets[flag] |= bits
